"""Where the decoder looked for each word of the captions, as `evaluate` keeps it for the report.

One Parquet table, a row a picture, sorted by `image_id`; no rows of a decoder that attends to
nothing. Weights are float16: half a thousandth of each is lost, and of the 5,000 captions of COCO's
test pictures about 5 MB stay.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.captioner.looks import Looks
from pipeline.errors import InputError
from pipeline.tables import read_table, write_rows

ATTENTION = "attention.parquet"  # beside the scores
SCHEMA = pa.schema(
    [
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("words", pa.list_(pa.string()), nullable=False),  # of the best caption
        pa.field("rows", pa.int32(), nullable=False),  # of the grid, from top to bottom
        pa.field("columns", pa.int32(), nullable=False),  # from left to right
        # The weights of the first word's places, row by row, then the second word's, and so on.
        pa.field("maps", pa.list_(pa.float16()), nullable=False),
        # A number a word: the sentinel's weight. Without a sentinel 0; with the map it makes 1.
        pa.field("elsewhere", pa.list_(pa.float16()), nullable=False),
    ]
)


class Looked(NamedTuple):
    """A caption, and where the decoder looked for each of its words."""

    words: Sequence[str]
    looks: Looks


def write_attention(path: Path, looked: Mapping[str, Looked]) -> None:
    """Write where the decoder looked, by picture; equal looks give equal bytes."""
    rows = [
        {
            "image_id": image_id,
            "words": list(words),
            "rows": looks.maps.shape[1],
            "columns": looks.maps.shape[2],
            "maps": looks.maps.ravel().astype("float16"),
            "elsewhere": looks.elsewhere.astype("float16"),
        }
        for image_id, (words, looks) in looked.items()
    ]
    write_rows(path, rows, SCHEMA, ["image_id"])


def read_attention(path: Path, image_ids: Collection[str]) -> dict[str, Looked]:
    """Read where the decoder looked, of those of the pictures that are in the file.

    Raises:
        InputError: the file is absent, no such table, or numbers of it do not fit each other.
    """
    whole = read_table(path, SCHEMA)
    wanted = pa.array(sorted(image_ids), pa.string())
    table = whole.filter(pc.is_in(whole["image_id"], value_set=wanted))
    try:
        return dict(_rows(table))
    except ValueError as error:
        raise InputError(
            f"{path}: expected a weight for each place and each word. Received: {error}. Run "
            "`evaluate` again"
        ) from error


def _rows(table: pa.Table) -> Iterator[tuple[str, Looked]]:
    for row in table.to_pylist():
        words, elsewhere = row["words"], np.array(row["elsewhere"], "float32")
        if len(elsewhere) != len(words):
            raise ValueError(f"{len(elsewhere)} weights of {len(words)} words")
        shape = len(words), row["rows"], row["columns"]
        maps = np.array(row["maps"], "float32").reshape(shape)
        yield row["image_id"], Looked(words, Looks(maps, elsewhere))
