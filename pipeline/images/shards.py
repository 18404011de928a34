"""Picture features in shards.

One row a picture, sorted by `image_id`:
    image_id  string              as in images.parquet
    feature   float16/float32[f]  average pool of the encoder's last block, not normalised
Files: features-00000-of-00008.parquet (or .tfrecord) and so on; manifest.json is written last, so
a folder with a manifest is complete. In TFRecord each record is a tf.train.Example with the same
two fields; its floats have 32 bits, rounded to the same values as in Parquet.
Size: 4 KiB a picture for 2048 float16 values, before compression.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.errors import InputError
from pipeline.files import folder_written_whole, sha256_of, write_json

MANIFEST = "manifest.json"
Format = Literal["parquet", "tfrecord"]
Precision = Literal["float16", "float32"]
Row = tuple[str, np.ndarray]  # image_id and its features (f,)


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
    features: int  # width of a feature vector, f
    rows: int
    encoder: str  # fingerprint of the encoder
    shards: list[Shard]


@dataclass(frozen=True)
class Features:
    """All features of a set: `ids` in order, `values` float (n, f)."""

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
    features: int,
    encoder: str,
    file_format: Format,
    dtype: Precision,
    rows_per_shard: int,
) -> Manifest:
    """Write rows, sorted by `image_id`, as shards and a manifest; equal rows give equal bytes.

    No more than one shard is in memory. `folder` appears when all is written.

    Args:
        folder: made anew.
        rows: `total` ids and features (f,).
        total: how many rows there are.
        features: f.
        encoder: fingerprint of the encoder.
        file_format: of the shards.
        dtype: the values are rounded to it.
        rows_per_shard: the last shard may have fewer.
    """
    rows = iter(rows)
    number_of_shards = max(1, -(-total // rows_per_shard))
    shards = []
    with folder_written_whole(folder) as new:
        for number in range(number_of_shards):
            batch = list(islice(rows, rows_per_shard))
            path = new / f"features-{number:05d}-of-{number_of_shards:05d}.{file_format}"
            ids = [image_id for image_id, _ in batch]
            values = np.array([value for _, value in batch], dtype).reshape(len(batch), features)
            _WRITERS[file_format](path, ids, values)
            shards.append(Shard(file=path.name, rows=len(batch), sha256=sha256_of(path)))
        manifest = Manifest(
            format=file_format,
            dtype=dtype,
            features=features,
            rows=sum(shard.rows for shard in shards),
            encoder=encoder,
            shards=shards,
        )
        write_json(new / MANIFEST, manifest.model_dump())
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """Read what a folder of shards holds.

    Raises:
        InputError: the manifest is absent (the set is not complete) or is not one.
    """
    path = folder / MANIFEST
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise InputError(
            f"{path}: no such file, so the features are not complete. Run `dvc repro features`"
        ) from error
    except ValidationError as error:
        problem = error.errors()[0]
        raise InputError(
            f"{path}: expected a manifest of feature shards. Received: {problem['msg']}"
        ) from error


def read_shards(folder: Path, encoder: str) -> Features:
    """Read all features of a set, each shard checked against its hash.

    Args:
        folder: with a manifest.
        encoder: fingerprint of the encoder that is expected.

    Raises:
        InputError: the set is not complete, is damaged, or comes from another encoder.
    """
    manifest = read_manifest(folder)
    if manifest.encoder != encoder:
        raise InputError(
            f"{folder}: expected features of the encoder {encoder[:12]}. Received: those of "
            f"{manifest.encoder[:12]}. Make them anew: dvc repro features"
        )
    ids: list[str] = []
    values = np.empty((manifest.rows, manifest.features), manifest.dtype)
    for shard_ids, shard_values in iterate_shards(folder, manifest):
        values[len(ids) : len(ids) + len(shard_ids)] = shard_values
        ids.extend(shard_ids)
    return Features(ids, values)


def iterate_shards(folder: Path, manifest: Manifest) -> Iterator[tuple[list[str], np.ndarray]]:
    """Read shard after shard: ids and values (rows, f) of the manifest's dtype.

    Raises:
        InputError: a shard is absent or is not the file that the manifest names.
    """
    for shard in manifest.shards:
        path = folder / shard.file
        if not path.is_file():
            raise InputError(f"{path}: no such file, though {MANIFEST} names it. Run `dvc repro`")
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() != shard.sha256:
            raise InputError(
                f"{path}: its bytes are not those that {MANIFEST} names: the file is damaged. "
                "Remove it and run `dvc repro`"
            )
        ids, values = _READERS[manifest.format](data, manifest.features)
        yield ids, values.astype(manifest.dtype)


def _write_parquet(path: Path, ids: Sequence[str], values: np.ndarray) -> None:
    width = values.shape[1]
    feature = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), width)
    table = pa.table({"image_id": pa.array(ids, pa.string()), "feature": feature})
    pq.write_table(table, path, compression="zstd")


def _read_parquet(data: bytes, width: int) -> tuple[list[str], np.ndarray]:
    table = pq.read_table(pa.BufferReader(data))
    values = table["feature"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return table["image_id"].to_pylist(), values.reshape(-1, width)


def _write_tfrecord(path: Path, ids: Sequence[str], values: np.ndarray) -> None:
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(path)) as writer:
        for image_id, value in zip(ids, values, strict=True):
            fields = {
                "image_id": tf.train.Feature(
                    bytes_list=tf.train.BytesList(value=[image_id.encode()])
                ),
                "feature": tf.train.Feature(
                    float_list=tf.train.FloatList(value=value.astype("float32"))
                ),
            }
            example = tf.train.Example(features=tf.train.Features(feature=fields))
            # Without `deterministic` the order of the two fields may differ from run to run.
            writer.write(example.SerializeToString(deterministic=True))


def _read_tfrecord(data: bytes, width: int) -> tuple[list[str], np.ndarray]:
    import tensorflow as tf

    ids, values = [], []
    for record in _records(data):
        fields = tf.train.Example.FromString(record).features.feature
        ids.append(fields["image_id"].bytes_list.value[0].decode())
        values.append(np.array(fields["feature"].float_list.value, "float32"))
    return ids, np.array(values, "float32").reshape(-1, width)


def _records(data: bytes) -> Iterator[bytes]:
    """Split a TFRecord file: length (8 bytes), its checksum (4), data, its checksum (4).

    The checksums are not looked at: the whole file was checked against its SHA-256.
    """
    at = 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 8], "little")
        yield data[at + 12 : at + 12 + length]
        at += 12 + length + 4


_WRITERS = {"parquet": _write_parquet, "tfrecord": _write_tfrecord}
_READERS = {"parquet": _read_parquet, "tfrecord": _read_tfrecord}
