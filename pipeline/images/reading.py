"""Read pictures in batches: decoded by threads, ahead of whoever takes them."""

import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import InputError
from pipeline.files import sha256_of
from pipeline.images.decode import PictureError, Span, inside, read_square

BATCHES_AHEAD = 3  # decoded batches that may wait


@dataclass(frozen=True)
class Picture:
    """One row of images.parquet, as far as it matters here."""

    image_id: str
    path: str  # relative to the raw folder
    span: Span  # of the file; all of it where the picture is a file
    sha256: str
    pixels: int  # width times height

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "Picture":
        """Take what matters from a row of images.parquet."""
        span = Span(row["offset"], row["bytes"])
        pixels = row["width"] * row["height"]
        return cls(row["image_id"], row["path"], span, row["sha256"], pixels)


def read_batches(
    pictures: Sequence[Picture], raw: Path, side: int, batch_size: int
) -> Iterator[tuple[Sequence[Picture], np.ndarray]]:
    """Decode pictures in threads, a few batches ahead of whoever takes them.

    Yields:
        Up to `batch_size` pictures and their pixels, uint8 (n, side, side, 3).
    """
    waiting: deque[tuple[Sequence[Picture], list[Future[np.ndarray]]]] = deque()
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as threads:
        try:
            for first in range(0, len(pictures), batch_size):
                batch = pictures[first : first + batch_size]
                futures = [threads.submit(_read, picture, raw, side) for picture in batch]
                waiting.append((batch, futures))
                if len(waiting) > BATCHES_AHEAD:
                    yield _collect(waiting.popleft())
            while waiting:
                yield _collect(waiting.popleft())
        finally:
            threads.shutdown(cancel_futures=True)


def _collect(
    batch: tuple[Sequence[Picture], list[Future[np.ndarray]]],
) -> tuple[Sequence[Picture], np.ndarray]:
    pictures, futures = batch
    return pictures, np.stack([future.result() for future in futures])


def _read(picture: Picture, raw: Path, side: int) -> np.ndarray:
    try:
        path = inside(raw, picture.path)
        if sha256_of(path, *picture.span) != picture.sha256:
            raise InputError(f"{path}: has changed since `ingest` saw it. Run `dvc repro`")
        return read_square(path, side, picture.pixels, picture.span)
    except PictureError as error:
        raise InputError(f"{error}, though `ingest` could read it. Run `dvc repro`") from error
