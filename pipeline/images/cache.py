"""Features that were computed before, by the content of the picture and the encoder.

    <folder>/<encoder's identity, shortened>/encoded-<hash of its keys>.parquet
        sha256   binary(32)   of the picture's file
        feature  binary(4 f)  float32, little-endian, as the encoder gave it; a grid (h, w, f) flat

Features are bytes to Parquet, as lists of numbers take several times as long to read.

The cache lies outside DVC's outputs, since DVC deletes those before it runs a stage. Each batch is
one file, complete under its name or not there at all, with a checksum for each page: a run that is
killed loses what it had not written yet, and a damaged file is found, told and computed again.
Once there are MERGED_ROWS in such small files they become one: opening files is most of the time
that a run takes in which nothing is new.
When the cache is opened only the keys are read; features are checked when they are read.
A file's time of modification is when it was last used: the least recently used go first.
"""

import errno
import hashlib
import logging
import math
import os
import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import InputError
from pipeline.files import remove_unfinished, written_whole
from pipeline.images.room import full_disk_told, told_bytes

log = logging.getLogger(__name__)

DIGEST = "S32"  # a SHA-256 in an array; NumPy takes zero bytes at its end off when it is taken out
GROUP_BYTES = 4 << 20  # of features that are read at once: a file of grids is not read whole
OPEN_BYTES = 8 << 20  # of features kept in memory: pictures near each other share a file
GIB = 1 << 30
OVERHEAD = 1.01  # of a file, over its features
MERGED_ROWS = 256  # of which batches one file is made; of grids, as many as GROUP_BYTES hold
MERGE_AT = 4096  # new keys, at least, that are held apart before they are sorted in among others
MERGE_SHARE = 64  # ... and as many as one in so many: sorting costs what all keys together do


class DamagedError(Exception):
    """A file of the cache was damaged; it has been removed, and its keys with it."""


class GoneError(DamagedError):
    """A file of the cache is gone: another run has merged it with others, or removed it."""


class _Batch(NamedTuple):
    """What was put into one file."""

    number: int  # the file's
    keys: Sequence[str]
    rows: np.ndarray  # float32 (n, width)


class Leaving(NamedTuple):
    """Files that are to be removed to make room."""

    paths: list[Path]
    freed: int  # bytes


class FeatureCache:
    """The features of one encoder.

    One thread may put while another asks and reads.

    Args:
        folder: of the whole cache, which may have those of other encoders; made when the first
            batch is put. What killed processes left unfinished is removed.
        identity: the encoder's, see `spec.identity`.
        shape: of a picture's features, (f,) or (h, w, f).

    Raises:
        InputError: the folder is, or lies in, a link to nowhere.
    """

    def __init__(self, folder: Path, identity: str, shape: Sequence[int]) -> None:
        _check_linked(folder)
        self.root = folder
        self.folder = folder / (identity[:16] + identity[64:])
        self.shape = tuple(shape)
        self.width = math.prod(self.shape)
        self._type = pa.binary(4 * self.width)
        self._group_rows = max(1, GROUP_BYTES // (4 * self.width))
        self._index = _Index()
        self._files: list[Path] = []
        self._used: set[int] = set()  # files whose time was set in this run
        self._open: dict[tuple[int, int], np.ndarray] = {}  # file and row group, oldest first
        self._small: list[_Batch] = []  # put lately, each in a file of its own
        remove_unfinished(self.folder)
        self._look_again()

    def __contains__(self, sha256: str) -> bool:
        digest = np.array([bytes.fromhex(sha256)], DIGEST)
        return bool(self._index.places(digest)[0] >= 0)

    def missing(self, digests: np.ndarray) -> np.ndarray:
        """Tell which of `digests` (n,), bytes of 32, are not there: sorted, each once."""
        wanted = np.unique(digests)
        return wanted[self._index.places(wanted) < 0]

    def put(self, keys: Sequence[str], features: np.ndarray) -> None:
        """Keep one batch: n pictures' sha256 and their float32 features (n, *shape).

        Raises:
            InputError: the disk is full.
        """
        rows = np.ascontiguousarray(features, "<f4").reshape(len(keys), self.width)
        self._small.append(self._write(keys, rows))
        count = sum(len(batch.keys) for batch in self._small)
        if count >= min(MERGED_ROWS, self._group_rows):
            self._merge_small()

    def _write(self, keys: Sequence[str], rows: np.ndarray) -> _Batch:
        """Write a file and take up its keys; rows are float32 (n, width)."""
        name = hashlib.sha256("".join(keys).encode()).hexdigest()[:32]
        path = self.folder / f"encoded-{name}.parquet"
        table = pa.table(
            {
                "sha256": pa.array([bytes.fromhex(key) for key in keys], pa.binary(32)),
                "feature": pa.array([row.tobytes() for row in rows], self._type),
            }
        )
        with full_disk_told(self.folder, rows.nbytes), written_whole(path) as temporary:
            pq.write_table(
                table,
                temporary,
                compression="lz4",
                use_dictionary=False,
                write_page_checksum=True,
                row_group_size=self._group_rows,
            )
        number = self._number(path)
        self._index.add([bytes.fromhex(key) for key in keys], number)
        return _Batch(number, keys, rows)

    def _merge_small(self) -> None:
        """Make one file of the batches put lately. Killed meanwhile, both are there, and alike."""
        small, self._small = self._small, []
        if len(small) > 1:
            keys = [key for batch in small for key in batch.keys]
            self._write(keys, np.concatenate([batch.rows for batch in small]))
            for batch in small:
                _removed(self._files[batch.number])
            self._forget([batch.number for batch in small])

    def read(self, digests: np.ndarray) -> Iterator[np.ndarray]:
        """Read pictures' features, float32 `shape` each, in the order of digests (n,), bytes of 32.

        All are looked up at once, before the first is read.

        Raises:
            KeyError: those of one are not there; before any is given.
            DamagedError: they were, but their file is damaged; or gone, which is a `GoneError`.
        """
        places = self._index.places(digests)
        if (places < 0).any():
            raise KeyError(digests[int(np.argmin(places))])
        numbers, rows = np.divmod(places, 1 << 32)
        groups, rows = np.divmod(rows, self._group_rows)
        is_other = (np.diff(numbers, prepend=-1) != 0) | (np.diff(groups, prepend=-1) != 0)
        is_other[:: self._group_rows] = True  # of one picture many times, not all at once
        # Pictures near each other are in one file, and so are looked for together.
        for run in np.split(np.arange(len(places)), np.flatnonzero(is_other))[1:]:
            yield from self._at(int(numbers[run[0]]), int(groups[run[0]]), rows[run])

    def _at(self, number: int, group: int, rows: np.ndarray) -> np.ndarray:
        """Read rows of a row group of a file: float32 (n, *shape)."""
        try:
            return self._values(number, group)[rows].reshape(-1, *self.shape)
        except FileNotFoundError as error:
            self._look_again()
            raise GoneError(str(self._files[number])) from error
        except (pa.ArrowException, OSError, ValueError, IndexError) as error:
            _unless_of_the_system(self._files[number], error)
            self._drop(number, error)
            raise DamagedError(str(self._files[number])) from error

    def remove_damaged(self, digests: np.ndarray) -> None:
        """Read each file once that pictures' features are in, and remove those that are damaged.

        Args:
            digests: of the pictures, (n,); those that are not there are left out.
        """
        log.warning("features: looks through the whole cache for others that are damaged")
        places = self._index.places(digests)
        numbers, rows = np.divmod(places[places >= 0], 1 << 32)
        bad: set[int] = set()
        for number, group in sorted({*zip(numbers, rows // self._group_rows, strict=True)}):
            if number not in bad:
                try:
                    self._at(int(number), int(group), np.zeros(1, int))
                except DamagedError:
                    bad.add(number)

    def leaving(self, bound: int, needed: int, wanted: np.ndarray, lacking: int = 0) -> Leaving:
        """Choose the files that have to go: the least recently used, of any encoder.

        So many that the bound is kept and the disk has room. Where what stays and what is added
        exceed the bound by themselves, no removal could keep it: then it is the disk alone.

        Args:
            bound: of the whole cache, bytes.
            needed: bytes that are about to be added.
            wanted: digests (n,); a file that has one of them stays.
            lacking: bytes that the disk lacks.
        """
        places = self._index.places(wanted)
        stay = {self._files[number] for number in np.unique(places[places >= 0] >> 32)}
        files = sorted((*_use(path), path) for path in self.root.glob("*/encoded-*.parquet"))
        own = needed + sum(size for _, size, path in files if path in stay)
        others = [(size, path) for _, size, path in files if path not in stay]
        excess = own + sum(size for size, _ in others) - bound
        if own > bound:
            _warn_of(own, bound)
            excess = 0
        excess = max(excess, lacking)
        paths, freed = [], 0
        for size, path in others:
            if freed >= excess:
                break
            paths.append(path)
            freed += size
        return Leaving(paths, freed)

    def remove(self, leaving: Leaving) -> bool:
        """Remove files that `leaving` chose, and tell of them; False where some may not be."""
        sizes = {path: _use(path)[1] for path in leaving.paths}
        gone = {path for path in leaving.paths if _removed(path)}
        if len(gone) < len(sizes):  # they are somebody else's: no reason to fail, nothing is lost
            log.warning(
                "features: %d files may not be removed from the cache (%s), which is larger than"
                " features.cache_gib, or than the disk has room for",
                len(sizes) - len(gone),
                ", ".join(sorted({path.parent.name for path in sizes if path not in gone})),
            )
        if gone:
            log.info(
                "features: removed %d files, %s, least recently used, from the cache (%s): it keeps"
                " to features.cache_gib, and to the room that the disk has",
                len(gone),
                told_bytes(sum(sizes[path] for path in gone)),
                ", ".join(sorted({path.parent.name for path in gone})),
            )
            self._forget([number for number, path in enumerate(self._files) if path in gone])
        return len(gone) == len(sizes)

    def _note(self, path: Path) -> None:
        """Take up the keys of a file, or remove it if it is damaged."""
        try:
            with pq.ParquetFile(path, page_checksum_verification=True) as file:
                self._check(file)
                column = file.read(["sha256"], use_threads=False)["sha256"]
            keys = np.frombuffer(b"".join(column.to_pylist()), DIGEST)
            self._index.add_sorted(keys, self._number(path))
        except FileNotFoundError:
            return  # another process has just merged or removed it
        except (pa.ArrowException, OSError, ValueError, LookupError, AttributeError) as error:
            _unless_of_the_system(path, error)
            log.warning("%s is damaged (%s); its pictures are encoded again", path, error)
            _removed(path)

    def _check(self, file: pq.ParquetFile) -> None:
        """See that a file has the columns, and the row groups, that `put` writes."""
        kind = file.schema_arrow.field("feature").type
        if file.schema_arrow.field("sha256").type != pa.binary(32) or kind != self._type:
            raise ValueError(f"expected {self.width} features a picture. Received: {kind}")
        rows = min(self._group_rows, file.metadata.num_rows)
        if file.metadata.row_group(0).num_rows != rows:
            raise ValueError(f"expected row groups of {rows} rows")

    def _number(self, path: Path) -> int:
        if path in self._files[-1:]:
            return len(self._files) - 1
        self._files.append(path)
        return len(self._files) - 1

    def _values(self, number: int, group: int) -> np.ndarray:
        """Read a row group's features, float32 (n, f), checking every page."""
        key = number, group
        values = self._open.pop(key, None)
        if values is None:
            path = self._files[number]
            with pq.ParquetFile(path, page_checksum_verification=True) as file:
                self._check(file)
                column = file.read_row_group(group, ["feature"], use_threads=False)["feature"]
            values = np.frombuffer(b"".join(column.to_pylist()), "<f4").reshape(-1, self.width)
            if number not in self._used:
                self._used.add(number)
                with suppress(OSError):  # a cache that may only be read is as good
                    os.utime(path)
            open_bytes = values.nbytes + sum(other.nbytes for other in self._open.values())
            while self._open and open_bytes > OPEN_BYTES:
                open_bytes -= self._open.pop(next(iter(self._open))).nbytes
        self._open[key] = values
        return values

    def _look_again(self) -> None:
        """Take up the files that are there, other processes' too; forget those that went."""
        known = set(self._files)
        self._forget([number for number, path in enumerate(self._files) if not path.exists()])
        for path in sorted(self.folder.glob("encoded-*.parquet")):
            if path not in known:
                self._note(path)

    def _drop(self, number: int, error: Exception) -> None:
        path = self._files[number]
        log.warning("%s is damaged (%s); its pictures are encoded again", path, error)
        _removed(path)
        self._forget([number])

    def _forget(self, numbers: Collection[int]) -> None:
        self._index.remove(numbers)
        for key in [key for key in self._open if key[0] in numbers]:
            del self._open[key]


class _Index:
    """Where each key's features are: file number times 2^32, plus the row.

    Sorted arrays, 40 bytes a key, as a dict of texts takes five times as much; what was added
    lately is in a dict until there is enough of it to be worth sorting.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._keys = np.empty(0, DIGEST)
        self._places = np.empty(0, np.int64)
        self._parts: list[tuple[np.ndarray, np.ndarray]] = []  # to be sorted in
        self._new: dict[bytes, int] = {}
        self._gone: set[int] = set()  # files whose keys are to be taken out of the arrays

    def add(self, keys: Sequence[bytes], number: int) -> None:
        with self._lock:
            if number in self._gone:  # a file that comes again under its number
                self._merge()
            self._new.update({key: (number << 32) + row for row, key in enumerate(keys)})
            if len(self._new) >= max(MERGE_AT, len(self._keys) // MERGE_SHARE):
                self._merge()

    def add_sorted(self, keys: np.ndarray, number: int) -> None:
        """Add many keys at a time; they are sorted in at the next question."""
        places = (number << 32) + np.arange(len(keys), dtype=np.int64)
        with self._lock:
            if number in self._gone:
                self._merge()
            self._parts.append((keys, places))

    def places(self, keys: np.ndarray) -> np.ndarray:
        """Find many keys: int64 (n,), -1 where there is none."""
        with self._lock:
            self._merge()
            if not len(self._keys):
                return np.full(len(keys), -1, np.int64)
            at = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
            return np.where(self._keys[at] == keys, self._places[at], -1)

    def remove(self, numbers: Iterable[int]) -> None:
        """Forget the keys of files, with the next sorting or question."""
        with self._lock:
            self._gone.update(numbers)

    def _merge(self) -> None:
        if not self._new and not self._parts and not self._gone:
            return
        fresh = np.array(list(self._new), DIGEST), np.array(list(self._new.values()), np.int64)
        parts = [(self._keys, self._places), *self._parts, fresh]
        keys = np.concatenate([keys for keys, _ in parts])
        places = np.concatenate([places for _, places in parts])
        if self._gone:
            stay = ~np.isin(places >> 32, list(self._gone))
            keys, places = keys[stay], places[stay]
        order = np.argsort(keys, kind="stable")
        self._keys, self._places = keys[order], places[order]
        self._new, self._parts, self._gone = {}, [], set()


def _warn_of(own: int, bound: int) -> None:
    """Say what it costs that a run needs more in the cache than its bound."""
    log.warning(
        "features: this run needs %s in the cache, whose bound is %s: after it, the least recently"
        " used go until that is kept, those of other encoders and %s of this one. The CNN is run"
        " again for them when they are next asked for: for another features.format or"
        " features.dtype, or ten pictures more. To keep all of this run: features.cache_gib: %d",
        *(told_bytes(own), told_bytes(bound), told_bytes(own - bound)),
        math.ceil(OVERHEAD * own / GIB),
    )


def _check_linked(folder: Path) -> None:
    """See that no link on the way leads to nowhere: its disk would be taken for another one."""
    for part in (folder, *folder.parents):
        if part.is_symlink() and not part.exists():
            place = part.parent / part.readlink()
            raise InputError(
                f"{part}: expected a folder, or a link to one. Received: a link to {place}, where"
                f" there is none. Make it: mkdir -p {place}"
            )


def _removed(path: Path) -> bool:
    """Remove a file; tell whether it is gone. A cache may be there only to be read."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        log.debug("%s stays: %s", path, error)
    return not path.exists()


def _use(path: Path) -> tuple[int, int]:
    """When a file was last used, and its size; one that has gone meanwhile counts nothing."""
    with suppress(FileNotFoundError):
        status = path.stat()
        return status.st_mtime_ns, status.st_size
    return 0, 0


def _unless_of_the_system(path: Path, error: Exception) -> None:
    """Raise what is the system's fault (no memory, no permission, too many files) and no damage.

    Arrow's own errors of damage are OSErrors too, but have no number. Its error of no memory, and
    that of a reading that was stopped, are Arrow's as those of damage are.
    """
    if isinstance(error, MemoryError | pa.lib.ArrowCancelled):
        raise error
    number = getattr(error, "errno", None)
    if number not in (None, errno.ENOENT, errno.EINVAL):
        raise InputError(
            f"{path}: the feature cache could not be read: {os.strerror(number)}. Mend that, or"
            " remove the cache, and run again"
        ) from error
