"""images.parquet, read in pieces: the memory that it takes does not grow with its rows."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pyarrow.parquet as pq

from pipeline.errors import InputError
from pipeline.images.reading import Picture
from pipeline.tables import IMAGES, check_rows, unreadable_told

ROWS = 1024  # in memory at once
STREAM = 1 << 16  # bytes of a column read at once
COLUMNS = ("image_id", "path", "offset", "bytes", "sha256", "width", "height")


class Pictures(Protocol):
    """Pictures that can be gone through more than once, in the same order: a list, say."""

    def __iter__(self) -> Iterator[Picture]: ...

    def __len__(self) -> int: ...


class PictureList:
    """The pictures of images.parquet, in its order.

    Args:
        path: of images.parquet.

    Raises:
        InputError: the file is absent, not Parquet, or has other columns; or, while it is gone
            through, damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._opened() as file:
            found = file.schema_arrow
            self._rows: int = file.metadata.num_rows
        absent = [name for name in COLUMNS if name not in found.names]
        if absent or any(found.field(name).type != IMAGES.field(name).type for name in COLUMNS):
            raise InputError(
                f"{path}: expected columns {', '.join(COLUMNS)} as `ingest` writes them. Received: "
                f"{', '.join(f'{field.name} {field.type}' for field in found)}"
            )

    def __len__(self) -> int:
        return self._rows

    def __iter__(self) -> Iterator[Picture]:
        with self._opened() as file:
            pieces = file.iter_batches(ROWS, columns=COLUMNS, use_threads=False)
            count = 0
            while True:
                with unreadable_told(self.path):
                    piece = next(pieces, None)
                    if piece is None:
                        check_rows(count, file)
                        return
                    rows = piece.to_pylist()
                count += len(rows)
                yield from map(Picture.of, rows)

    def _opened(self) -> pq.ParquetFile:
        with unreadable_told(self.path):
            return pq.ParquetFile(
                self.path, buffer_size=STREAM, pre_buffer=False, page_checksum_verification=True
            )
