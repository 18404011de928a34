"""The pictures that the page shows, read small, and sure to be those that `ingest` saw."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
from PIL import Image

from pipeline.errors import InputError
from pipeline.files import sha256_of
from pipeline.images.decode import PictureError, inside, read_small
from pipeline.images.reading import Picture


def read_pictures(
    images: pa.Table, rows: Sequence[int], raw: Path, side: int
) -> dict[int, Image.Image]:
    """Read rows of images.parquet, each picture's longer side at most `side` pixels.

    Raises:
        InputError: a picture is gone, cannot be read or has changed since `ingest` saw it.
    """
    chosen = sorted(set(rows))
    pictures = map(Picture.of, images.take(chosen).to_pylist())
    return {row: _read(own, raw, side) for row, own in zip(chosen, pictures, strict=True)}


def _read(picture: Picture, raw: Path, side: int) -> Image.Image:
    try:
        path = inside(raw, picture.path)
        if sha256_of(path, *picture.span) != picture.sha256:
            raise InputError(f"{path}: has changed since `ingest` saw it. Run `dvc repro`")
        return read_small(path, side, picture.pixels, picture.span)
    except PictureError as error:
        raise InputError(f"{error}, though `ingest` could read it. Run `dvc repro`") from error
