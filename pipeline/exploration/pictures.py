"""The pictures that the page shows, read small, and sure to be those that `ingest` saw."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
from PIL import Image

from pipeline.images.reading import Picture, read_known


def read_pictures(
    images: pa.Table, rows: Sequence[int], raw: Path, side: int
) -> dict[int, Image.Image]:
    """Read rows of images.parquet, each picture's longer side at most `side` pixels.

    Raises:
        InputError: a picture is gone, cannot be read or has changed since `ingest` saw it.
    """
    chosen = sorted(set(rows))
    pictures = map(Picture.of, images.take(chosen).to_pylist())
    return {row: read_known(own, raw, side) for row, own in zip(chosen, pictures, strict=True)}
