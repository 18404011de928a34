"""The Parquet tables that stages hand to each other: their schemas, written stably, read checked.

images    one row a picture, sorted by `image_id`
captions  one row a caption, sorted by `image_id`, then `caption_id`; `tokens` from `clean` on
dropped   one row for each thing left out: what it was, where it stood, why, and its raw value
facts     one row a picture whose facts are known (*scenes* alone; else no rows)
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import InputError
from pipeline.files import written_whole

SPLITS = ("train", "val", "test")

IMAGES = pa.schema(
    [
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),  # one of SPLITS
        pa.field("path", pa.string(), nullable=False),  # relative to the raw folder, with /
        pa.field("offset", pa.int64(), nullable=False),  # of its first byte in that file
        pa.field("bytes", pa.int64(), nullable=False),
        pa.field("sha256", pa.string(), nullable=False),  # of these bytes
        pa.field("width", pa.int32(), nullable=False),  # pixels, as Pillow opens it
        pa.field("height", pa.int32(), nullable=False),
        pa.field("mode", pa.string(), nullable=False),  # Pillow's: RGB, L, CMYK, ...
        pa.field("dhash", pa.string(), nullable=False),  # what it looks like (images/decode.py)
    ]
)
CAPTIONS = pa.schema(
    [
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("caption_id", pa.string(), nullable=False),  # unique in the table
        pa.field("text", pa.string(), nullable=False),  # as found
    ]
)
CLEAN_CAPTIONS = CAPTIONS.append(pa.field("tokens", pa.list_(pa.string()), nullable=False))
DROPPED = pa.schema(
    [
        pa.field("kind", pa.string(), nullable=False),  # "image" or "caption"
        pa.field("item", pa.string(), nullable=False),  # the id, or the path where there is none
        pa.field("source", pa.string(), nullable=False),  # "file" or "file:line", as people say it
        pa.field("reason", pa.string(), nullable=False),  # from a closed list of the stage
        pa.field("raw", pa.string(), nullable=False),  # the value as found
    ]
)
FACTS = pa.schema(
    [
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("facts", pa.string(), nullable=False),  # JSON, see pipeline/datasets/scenes
    ]
)

Row = Mapping[str, Any]


def write_rows(path: Path, rows: Sequence[Row], schema: pa.Schema, sort_by: Sequence[str]) -> None:
    """Write rows as Parquet, sorted, so that equal rows give equal bytes."""
    columns = [
        pa.array([row[name] for row in rows], kind)
        for name, kind in zip(schema.names, schema.types, strict=True)
    ]
    table = pa.table(columns, schema=schema)
    # Arrow sorts texts by their UTF-8 bytes, which is the order of Python's own.
    write_table(path, table.sort_by([(name, "ascending") for name in sort_by]))


def write_table(path: Path, table: pa.Table) -> None:
    """Write a table that is sorted already, with a checksum for each page."""
    with written_whole(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", write_page_checksum=True)


@contextmanager
def unreadable_told(path: Path) -> Iterator[None]:
    """Tell of a table that is absent or not Parquet as an InputError."""
    try:
        yield
    except FileNotFoundError as error:
        raise InputError(
            f"{path}: no such file. Run the stage that writes it: dvc repro"
        ) from error
    except (MemoryError, pa.lib.ArrowCancelled):  # Arrow's errors, too, but no damage
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        number = getattr(error, "errno", None)  # Arrow's own errors of damage have none
        if number is not None:
            raise InputError(
                f"{path}: could not be read: {os.strerror(number)}. Mend that, and run again"
            ) from error
        reason = " ".join(str(error).split())
        raise InputError(
            f"{path}: expected a Parquet table as it was written. Received: {reason}. If a stage "
            "writes it, remove it and run dvc repro"
        ) from error


def read_table(path: Path, schema: pa.Schema) -> pa.Table:
    """Read a Parquet table and check that it has the columns and types of `schema`.

    Raises:
        InputError: the file is absent, not Parquet, damaged, or has other columns.
    """
    table = read_any(path)
    if table.schema.names != schema.names or table.schema.types != schema.types:
        raise InputError(
            f"{path}: expected columns {_tell(schema)}. Received: {_tell(table.schema)}"
        )
    return table


def read_any(path: Path) -> pa.Table:
    """Read a Parquet table, whatever columns it has.

    Raises:
        InputError: the file is absent, not Parquet, or damaged.
    """
    # pq.read_table imports pyarrow.dataset and pandas, half a second that few stages need.
    with unreadable_told(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
        table = file.read()
        check_rows(table.num_rows, file)
        _ = table.schema.names  # which may be no text
    return table


def check_rows(read: int, file: pq.ParquetFile) -> None:
    """See that all rows were read: a page's checksum does not cover how many it is said to have.

    Raises:
        ValueError: there are others than the file says.
    """
    if read != file.metadata.num_rows:
        raise ValueError(f"{read} of {file.metadata.num_rows} rows")


def _tell(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} {field.type}" for field in schema)
