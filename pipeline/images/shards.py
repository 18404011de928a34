"""Picture features in shards.

One row a picture, sorted by `image_id`:
    image_id  string              as in images.parquet
    feature   float16/float32[n]  pooled: (f,), the average pool of the encoder's last block; (2 f,)
                                  of several views
                                  grid: (h, w, f) in C order, the map before pooling
Files: features-00000-of-00008.parquet (or .tfrecord) and so on; manifest.json has the shape and is
written last, so a folder with a manifest is complete.

Parquet: `feature` is a list of fixed size, not compressed, in row groups of about 1 MiB: readers
share them out, and a row can be read from its place in the file. In TFRecord each record is a
tf.train.Example with the same two fields; its floats have 32 bits, rounded to the same values.
Size: 4 KiB a picture for 2048 float16 values; 196 KiB for a grid of 7 x 7 x 2048.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.ahead import ahead
from pipeline.errors import InputError
from pipeline.files import folder_written_whole, is_plain, sha256_of, unsealed, write_sealed

MANIFEST = "manifest.json"
GROUP_BYTES = 1 << 20  # of features in a row group; also how many are read or written at once
Format = Literal["parquet", "tfrecord"]
Precision = Literal["float16", "float32"]
Row = tuple[str, np.ndarray]  # image_id and its features, of any shape with the right size
Block = tuple[list[str], np.ndarray]  # of n rows: ids, and features (n, w) of the set's dtype


class Shard(BaseModel):
    """One file of the set."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str
    rows: int
    sha256: str


class Manifest(BaseModel):
    """What manifest.json says of the set."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Format
    dtype: Precision
    shape: list[int]  # of one picture's features: [f], or [h, w, f] for grids
    rows: int
    encoder: str  # identity: the encoder's fingerprint, and "-grid" and the like where it applies
    shards: list[Shard]

    @property
    def width(self) -> int:
        """Values a picture."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Features:
    """All features of a set in memory: `ids` in order, `values` float (n, *shape)."""

    ids: list[str]
    values: np.ndarray

    def row_of(self) -> dict[str, int]:
        """The row of each picture."""
        return {image_id: row for row, image_id in enumerate(self.ids)}


def write_shards(
    folder: Path,
    rows: Iterable[Row],
    total: int,
    *,
    shape: tuple[int, ...],
    encoder: str,
    file_format: Format,
    dtype: Precision,
    rows_per_shard: int,
) -> Manifest:
    """Write rows, sorted by `image_id`, as shards and a manifest; equal rows give equal bytes.

    Some MiB of features are in memory at once: a block of GROUP_BYTES that is written, and the next
    one. `folder` appears when all is written.

    Args:
        folder: made anew.
        rows: `total` ids and features.
        total: how many rows there are.
        shape: of one picture's features, (f,) or (h, w, f).
        encoder: identity of the encoder, see `Manifest`.
        file_format: of the shards.
        dtype: the values are rounded to it.
        rows_per_shard: the last shard may have fewer.

    Raises:
        InputError: a value is not a number, or too large for `dtype`.
        ValueError: there are not `total` rows, or one has not the size that `shape` tells.
    """
    number_of_shards = max(1, -(-total // rows_per_shard))
    checked = _Checked(rows, total, math.prod(shape), dtype)
    shards = []
    with folder_written_whole(folder) as new:
        for number in range(number_of_shards):
            path = new / f"features-{number:05d}-of-{number_of_shards:05d}.{file_format}"
            size = min(rows_per_shard, total - number * rows_per_shard)
            # Read and checked while others are written. Closed, as another thread reads `rows`.
            with closing(ahead(checked.take(size))) as blocks:
                _FORMATS[file_format].write(path, blocks, np.dtype(dtype), math.prod(shape))
            shards.append(Shard(file=path.name, rows=size, sha256=sha256_of(path)))
        checked.check_end()
        manifest = Manifest(
            format=file_format,
            dtype=dtype,
            shape=list(shape),
            rows=total,
            encoder=encoder,
            shards=shards,
        )
        write_sealed(new / MANIFEST, manifest.model_dump())
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """Read what a folder of shards holds.

    Raises:
        InputError: the manifest is absent (the set is not complete) or is not one.
    """
    path = folder / MANIFEST
    try:
        return Manifest.model_validate_json(unsealed(path.read_bytes()))
    except FileNotFoundError as error:
        raise InputError(
            f"{path}: no such file, so the features are not complete. Run `dvc repro features`"
        ) from error
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"])) or "not JSON"
        raise InputError(
            f"{path}: expected a manifest of feature shards. Received: {where}: {problem['msg']}. "
            "Make it anew: dvc repro features"
        ) from error
    except ValueError as error:
        raise InputError(f"{path}: {error}. Make it anew: dvc repro features") from error


def read_shards(folder: Path, encoder: str) -> Features:
    """Read all features of a set into memory, each shard checked against its hash.

    Args:
        folder: with a manifest.
        encoder: as for `open_shards`.

    Raises:
        InputError: as `open_shards`.
    """
    return open_shards(folder, encoder).read_all()


def open_shards(folder: Path, encoder: str) -> "ShardReader":
    """Open a set to read rows from it as they are needed, each shard checked against its hash.

    Args:
        folder: with a manifest.
        encoder: the one that is expected: a bare fingerprint allows every pooling and precision
            of it, a whole identity, with "-grid" and the like, only itself.

    Raises:
        InputError: the set is not complete, is damaged, or comes from another encoder.
    """
    manifest = read_manifest(folder)
    if manifest.encoder != encoder and not manifest.encoder.startswith(f"{encoder}-"):
        raise InputError(
            f"{folder}: expected features of the encoder {_short(encoder)}. Received: those of "
            f"{_short(manifest.encoder)}. Make them anew: dvc repro features"
        )
    return ShardReader(folder, manifest)


class ShardReader:
    """Rows of a set of shards, read from the files when they are asked for.

    Only the ids and the place of each row are in memory; what was read before is kept by the
    operating system as long as it has room for it.

    Attributes:
        ids: of the pictures, in order.
        shape: of one picture's features, (f,) or (h, w, f).
        encoder: identity of the encoder.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        """Look over every shard; see `open_shards`, which checks the encoder too."""
        self.manifest, self._folder = manifest, folder
        self.shape = tuple(manifest.shape)
        self.encoder = manifest.encoder
        self.ids: list[str] = []
        self._shards: list[_OpenShard] = []
        self._first = [0]  # row of each shard's first picture, and the end
        for shard in manifest.shards:
            _check(folder, shard, manifest)
            with _broken_told(folder / shard.file):
                opened = _FORMATS[manifest.format].open(folder / shard.file, manifest)
            if len(opened.ids) != shard.rows:
                raise InputError(
                    f"{folder / shard.file}: expected {shard.rows} rows, as {MANIFEST} says. "
                    f"Received: {len(opened.ids)}. Run `dvc repro features`"
                )
            self.ids.extend(opened.ids)
            self._shards.append(opened)
            self._first.append(len(self.ids))

    def __len__(self) -> int:
        return len(self.ids)

    def row_of(self) -> dict[str, int]:
        """The row of each picture."""
        return {image_id: row for row, image_id in enumerate(self.ids)}

    def rows(self, indices: np.ndarray) -> np.ndarray:
        """Read rows by number, in any order: int (n,) -> float (n, *shape) of the set's dtype."""
        indices = np.asarray(indices, "int64")
        values = np.empty((len(indices), self.manifest.width), self.manifest.dtype)
        shard_of = np.searchsorted(self._first, indices, side="right") - 1
        for number in np.unique(shard_of):
            places = np.flatnonzero(shard_of == number)
            with _broken_told(self._folder / self.manifest.shards[number].file):
                values[places] = self._shards[number].read(indices[places] - self._first[number])
        return values.reshape(len(indices), *self.shape)

    def read_all(self) -> Features:
        """Read every row into memory: for pooled features, as grids are large."""
        values = np.empty((len(self), self.manifest.width), self.manifest.dtype)
        step = _rows_at_once(values.dtype, self.manifest.width)
        for shard, first in zip(self._shards, self._first, strict=False):
            for start in range(0, len(shard.ids), step):
                wanted = np.arange(start, min(start + step, len(shard.ids)))
                values[first + wanted] = shard.read(wanted)
        return Features(self.ids, values.reshape(len(self), *self.shape))

    def select(self, rows: np.ndarray) -> "Selection":
        """Rows of this set as a set of their own."""
        return Selection(self, np.asarray(rows, "int64"))


@dataclass(frozen=True)
class Selection:
    """Some rows of a set, in an order of their own; indexed by rows as an array would be.

    Attributes:
        reader: of the whole set.
        chosen: rows of it, int (n,).
    """

    reader: ShardReader
    chosen: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of pictures and the shape of one's features: (n, *shape)."""
        return (len(self.chosen), *self.reader.shape)

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Read rows, given as an array of numbers or as a slice: float (m, *shape)."""
        return self.reader.rows(self.chosen[rows])


class _OpenShard(NamedTuple):
    """A file that was looked over."""

    ids: list[str]
    read: Callable[[np.ndarray], np.ndarray]  # rows of the file, int (n,) -> (n, width)


class _Format(NamedTuple):
    """How a format is written and read."""

    write: Callable[[Path, Iterator[Block], np.dtype[Any], int], None]
    open: Callable[[Path, Manifest], _OpenShard]


class _Checked:
    """Passes rows on in blocks of `dtype`, if they are as many and as large as they should."""

    def __init__(self, rows: Iterable[Row], total: int, width: int, dtype: Precision) -> None:
        self._rows, self._passed = iter(rows), 0
        self._total, self._width, self._dtype = total, width, dtype
        self._at_once = _rows_at_once(np.dtype(dtype), width)

    def take(self, count: int) -> Iterator[Block]:
        """Pass on the next `count` rows."""
        end = self._passed + count
        while self._passed < end:
            block = list(islice(self._rows, min(self._at_once, end - self._passed)))
            if not block:
                raise ValueError(f"expected {self._total} rows. Received: {self._passed}")
            yield self._rounded(block)

    def check_end(self) -> None:
        """See that no row is left."""
        for image_id, value in self._rows:
            raise self._unlike(self._passed + 1, image_id, value)

    def _rounded(self, block: list[Row]) -> Block:
        for number, (image_id, value) in enumerate(block, self._passed + 1):
            if value.size != self._width:
                raise self._unlike(number, image_id, value)
        self._passed += len(block)
        with np.errstate(over="ignore"):
            rounded = np.stack([np.ravel(value) for _, value in block]).astype(self._dtype)
        is_finite = np.isfinite(rounded).all(axis=1)
        if not is_finite.all():
            raise InputError(_not_finite(*block[int(np.argmin(is_finite))], self._dtype))
        return [image_id for image_id, _ in block], rounded

    def _unlike(self, number: int, image_id: str, value: np.ndarray) -> ValueError:
        return ValueError(
            f"expected {self._total} rows of {self._width} values. Received: row {number} "
            f"({image_id}) of {value.size} values"
        )


def _not_finite(image_id: str, value: np.ndarray, dtype: Precision) -> str:
    if not np.isfinite(value).all():
        return (
            f"features: picture {image_id}: expected numbers from the encoder. Received: values "
            "that are infinite or not a number. Set features.precision: float32; or its weights "
            "are broken: check encoder.weights"
        )
    return (
        f"features: picture {image_id}: expected values up to {np.finfo(dtype).max:.0f}, the "
        f"largest of {dtype}. Received: {np.abs(value).max():.6g}. Set features.dtype: float32"
    )


def _short(identity: str) -> str:
    """The first digits of a fingerprint, with what follows it."""
    fingerprint, dash, rest = identity.partition("-")
    return fingerprint[:12] + dash + rest


@contextmanager
def _broken_told(path: Path) -> Iterator[None]:
    """Tell of a shard that is none, though it has the hash that the manifest names."""
    try:
        yield
    except InputError:
        raise
    except OSError as error:
        if error.errno is None:  # Arrow's, of the content
            raise _broken(path, error) from error
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    except Exception as error:  # Arrow and TensorFlow raise a dozen kinds
        raise _broken(path, error) from error


def _broken(path: Path, error: Exception) -> InputError:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return InputError(
        f"{path}: expected a shard as {MANIFEST} describes it. Received: {reason}. Make the "
        "features anew: dvc repro features"
    )


def _check(folder: Path, shard: Shard, manifest: Manifest) -> None:
    """Check a shard against its hash, and that it can hold what the manifest says."""
    path = folder / shard.file
    if "/" in shard.file or not is_plain(shard.file):
        raise InputError(
            f"{folder / MANIFEST}: expected names of files beside it. Received: {shard.file!r}"
        )
    if not path.is_file():
        raise InputError(f"{path}: no such file, though {MANIFEST} names it. Run `dvc repro`")
    if sha256_of(path) != shard.sha256:
        raise InputError(
            f"{path}: its bytes are not those that {MANIFEST} names: the file is damaged. "
            "Remove it and run `dvc repro`"
        )
    least = shard.rows * manifest.width * np.dtype(manifest.dtype).itemsize
    if not 0 <= least <= path.stat().st_size or min(manifest.shape, default=0) < 1:
        raise InputError(
            f"{path}: expected {shard.rows} rows of {manifest.shape}, as {MANIFEST} says. "
            f"Received: a file of {path.stat().st_size} bytes. Run `dvc repro features`"
        )


def _rows_at_once(dtype: np.dtype[Any], width: int) -> int:
    return max(1, GROUP_BYTES // (width * dtype.itemsize))


def _write_parquet(path: Path, blocks: Iterator[Block], dtype: np.dtype[Any], width: int) -> None:
    kind = pa.list_(pa.from_numpy_dtype(dtype), width)
    schema = pa.schema([("image_id", pa.string()), ("feature", kind)])
    with _parquet_writer(path, schema) as writer:
        for ids, values in blocks:
            feature = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), width)
            writer.write_table(pa.table([pa.array(ids, pa.string()), feature], schema))


def _parquet_writer(path: Path, schema: pa.Schema) -> AbstractContextManager[Any]:
    """Open a writer that leaves the features as they are, one page to a row group.

    `_values_at` counts on it. Statistics and a dictionary would be of no use to floats.
    """
    writer: AbstractContextManager[Any] = pq.ParquetWriter(
        path,
        schema,
        compression={"image_id": "zstd", "feature": "none"},
        use_dictionary=False,
        write_statistics=["image_id"],
        data_page_size=1 << 30,
    )
    return writer


def _open_parquet(path: Path, manifest: Manifest) -> _OpenShard:
    """Find where each row lies in a Parquet file.

    Arrow takes 10 ns a value to read a list column, 80 ms for 128 grids of 7 x 7 x 1280, and can
    read no less than a row group. The values themselves lie one after another in the file.
    """
    size = manifest.width * np.dtype(manifest.dtype).itemsize
    with pq.ParquetFile(path, memory_map=True) as file:
        ids = file.read(columns=["image_id"])["image_id"].to_pylist()
        groups = [file.metadata.row_group(number) for number in range(file.num_row_groups)]
        begins = np.array([at for group in groups for at in _values_at(group, size)], "int64")

        def read(rows: np.ndarray) -> np.ndarray:
            values = np.empty((len(rows), size), "uint8")
            # Opened each time: thousands of shards would be too many open files.
            with path.open("rb", buffering=0) as stream:
                for value, begin in zip(values, begins[rows].tolist(), strict=True):
                    stream.seek(begin)
                    if stream.readinto(value.data) != size:
                        raise ValueError(f"expected {size} bytes at {begin}. Received: fewer")
            return values.view(manifest.dtype)

        first = 0
        for number, group in enumerate(groups):
            rows = np.arange(first, first + group.num_rows)
            if number in (0, len(groups) - 1) and not _agrees(file, number, read(rows)):
                raise InputError(
                    f"{path}: expected uncompressed values, one page to a row group. Received: "
                    "another layout of Parquet. Make the features anew: dvc repro features"
                )
            first += group.num_rows
    return _OpenShard(ids, read)


def _values_at(group: Any, size: int) -> range:
    """Tell where in the file each row of a row group has its values, of `size` bytes each.

    A column's bytes are a header, the levels that tell where lists begin, and at the end the
    values. `_agrees` compares what is found there with what Arrow reads.
    """
    column = group.column(1)
    end = column.data_page_offset + column.total_compressed_size
    return range(end - size * group.num_rows, end, size)


def _agrees(file: pq.ParquetFile, group: int, values: np.ndarray) -> bool:
    """Compare values with what Arrow reads from a row group."""
    column = file.read_row_group(group, columns=["feature"])["feature"].combine_chunks()
    expected = column.flatten().to_numpy(zero_copy_only=False)
    return bool(values.tobytes() == expected.tobytes())


def _write_tfrecord(path: Path, blocks: Iterator[Block], dtype: np.dtype[Any], width: int) -> None:
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(path)) as writer:
        for image_id, value in chain.from_iterable(zip(*block, strict=True) for block in blocks):
            fields = {
                "image_id": tf.train.Feature(
                    bytes_list=tf.train.BytesList(value=[image_id.encode()])
                ),
                "feature": tf.train.Feature(
                    float_list=tf.train.FloatList(value=value.astype("float32").tolist())
                ),
            }
            example = tf.train.Example(features=tf.train.Features(feature=fields))
            # Without `deterministic` the order of the two fields may differ from run to run.
            writer.write(example.SerializeToString(deterministic=True))


def _open_tfrecord(path: Path, manifest: Manifest) -> _OpenShard:
    """Find where each record lies, and read their ids."""
    import tensorflow as tf

    places = _records(path)

    def parse(rows: np.ndarray, field: str, kind: Any) -> Any:
        with path.open("rb") as stream:
            data = [_read_at(stream, *places[row]) for row in rows]
        return tf.io.parse_example(data, {field: kind})[field].numpy()

    def read(rows: np.ndarray) -> np.ndarray:
        kind = tf.io.FixedLenFeature([manifest.width], tf.float32)
        return np.asarray(parse(rows, "feature", kind), manifest.dtype)

    ids: list[str] = []
    step = _rows_at_once(np.dtype("float32"), manifest.width)
    for start in range(0, len(places), step):
        rows = np.arange(start, min(start + step, len(places)))
        found = parse(rows, "image_id", tf.io.FixedLenFeature([], tf.string))
        ids.extend(image_id.decode() for image_id in found)
    return _OpenShard(ids, read)


def _records(path: Path) -> list[tuple[int, int]]:
    """Tell where each record of a TFRecord file begins, and its length.

    A record is its length (8 bytes), the checksum of that (4), the data, and its checksum (4).
    The checksums are not looked at: the whole file was checked against its SHA-256.
    """
    places, at, end = [], 0, path.stat().st_size
    with path.open("rb") as stream:
        while at < end:
            length = int.from_bytes(_read_at(stream, at, 8), "little")
            if at + length + 16 > end:
                raise ValueError("a record that is longer than the file")
            places.append((at + 12, length))
            at += 12 + length + 4
    return places


def _read_at(stream: Any, at: int, length: int) -> bytes:
    stream.seek(at)
    return bytes(stream.read(length))


_FORMATS = {
    "parquet": _Format(_write_parquet, _open_parquet),
    "tfrecord": _Format(_write_tfrecord, _open_tfrecord),
}
