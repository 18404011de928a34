"""Features that were computed before, by the content of the picture and the encoder.

    <folder>/<encoder's fingerprint, 16 digits>/<hash of its keys>.parquet
        sha256   string           of the picture's file
        feature  float32[f]       as the encoder gave it

The cache lies outside DVC's outputs, since DVC deletes those before it runs a stage. Each batch is
one file, complete under its name or not there at all, with a checksum for each page: a run that is
killed loses the batch in flight, and a damaged file is found, told and computed again.
"""

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.files import written_whole

log = logging.getLogger(__name__)

MAX_OPEN = 16  # files kept in memory while reading: pictures near each other share them


class FeatureCache:
    """The features of one encoder.

    Args:
        folder: of the whole cache; made when the first batch is put.
        fingerprint: the encoder's.
        features: width of a feature vector, f.
    """

    def __init__(self, folder: Path, fingerprint: str, features: int) -> None:
        self.folder = folder / fingerprint[:16]
        self.features = features
        self._file_of: dict[str, tuple[Path, int]] = {}  # sha256 -> file and row
        self._open: dict[Path, np.ndarray] = {}
        for path in sorted(self.folder.glob("[!.]*.parquet")):
            self._index(path)

    def __contains__(self, sha256: str) -> bool:
        return sha256 in self._file_of

    def put(self, keys: Sequence[str], features: np.ndarray) -> None:
        """Keep one batch: n pictures' sha256 and their float32 features (n, f)."""
        name = hashlib.sha256("".join(keys).encode()).hexdigest()[:32]
        path = self.folder / f"{name}.parquet"
        flat = pa.array(np.ascontiguousarray(features, "float32").ravel())
        table = pa.table(
            {
                "sha256": pa.array(keys, pa.string()),
                "feature": pa.FixedSizeListArray.from_arrays(flat, self.features),
            }
        )
        with written_whole(path) as temporary:
            pq.write_table(table, temporary, compression="zstd", write_page_checksum=True)
        self._file_of.update({key: (path, row) for row, key in enumerate(keys)})

    def get(self, sha256: str) -> np.ndarray:
        """Read one picture's features, float32 (f,).

        Raises:
            KeyError: they are not there.
        """
        path, row = self._file_of[sha256]
        if path not in self._open:
            while len(self._open) >= MAX_OPEN:
                self._open.pop(next(iter(self._open)))
            self._open[path] = self._read(path)
        return self._open[path][row]

    def _index(self, path: Path) -> None:
        """Note what a file has, or remove it if it is damaged."""
        try:
            features = self._read(path)
            keys = pq.read_table(path, columns=["sha256"], page_checksum_verification=True)
        except (pa.ArrowInvalid, OSError, ValueError) as error:
            log.warning("%s is damaged (%s); its pictures are encoded again", path, error)
            path.unlink()
            return
        names = keys["sha256"].to_pylist()
        if len(features) == len(names):
            self._file_of.update({key: (path, row) for row, key in enumerate(names)})

    def _read(self, path: Path) -> np.ndarray:
        """Read a file's features, float32 (n, f), checking every page."""
        table = pq.read_table(path, columns=["feature"], page_checksum_verification=True)
        return _matrix(table["feature"], self.features)


def _matrix(column: pa.ChunkedArray, width: int) -> np.ndarray:
    values = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return values.reshape(-1, width)
