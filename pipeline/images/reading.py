"""Read pictures in batches: decoded by threads, ahead of whoever takes them."""

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np
from PIL import Image

from pipeline.errors import InputError
from pipeline.images.decode import (
    PictureError,
    Span,
    inside,
    read_hashed_small,
    read_hashed_square,
)
from pipeline.machine import cores

Pixels = TypeVar("Pixels")
_Reader: TypeAlias = Callable[[Path, int, int, Span | None], tuple[Pixels, str]]
ANEW = "Run `dvc repro -f -s ingest`, then `dvc repro`, which alone sees no change behind links"
BATCHES_AHEAD = 3  # decoded batches that may wait
Batch = tuple[Sequence["Picture"], np.ndarray]  # and their pixels, uint8 (n, side, side, 3)


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


@dataclass
class Busy:
    """Seconds that a kind of work took, added up over its threads."""

    threads: int = 1
    seconds: float = 0.0

    def share(self, wall: float) -> float:
        """Of `wall` seconds, how much the threads were at work."""
        return self.seconds / max(wall * self.threads, 1e-9)


def read_batches(
    pictures: Iterable[Picture],
    raw: Path,
    side: int,
    batch_size: int,
    workers: int | None = None,
    busy: Busy | None = None,
) -> Generator[Batch, None, None]:
    """Decode pictures in threads, a few batches ahead of whoever takes them.

    `close` stops the threads.

    Args:
        pictures: taken only as they are needed.
        raw: the data set's folder.
        side: of the squares, pixels.
        batch_size: pictures a batch.
        workers: threads; None: one for each core.
        busy: the time that the threads were at work is added to it.

    Yields:
        Up to `batch_size` pictures and their pixels, uint8 (n, side, side, 3).

    Raises:
        InputError: a picture is gone, or is not the one that `ingest` saw.
    """
    busy = busy or Busy()
    busy.threads = workers or cores()
    pictures = iter(pictures)
    waiting: deque[_Waiting] = deque()
    with ThreadPoolExecutor(max_workers=busy.threads, thread_name_prefix="decode") as threads:
        try:
            while batch := list(islice(pictures, batch_size)):
                waiting.append(_Waiting(batch, raw, side, threads))
                if len(waiting) > BATCHES_AHEAD:
                    yield waiting.popleft().collect(busy)
            while waiting:
                yield waiting.popleft().collect(busy)
        finally:
            threads.shutdown(cancel_futures=True)


class _Waiting:
    """A batch that is being decoded, each picture by any thread, straight to its place."""

    def __init__(
        self, batch: Sequence[Picture], raw: Path, side: int, threads: ThreadPoolExecutor
    ) -> None:
        self.batch = batch
        self.pixels = np.empty((len(batch), side, side, 3), np.uint8)
        self.futures: list[Future[float]] = [
            threads.submit(_read, picture, raw, side, place)
            for picture, place in zip(batch, self.pixels, strict=True)
        ]

    def collect(self, busy: Busy) -> Batch:
        """Wait until all of it is decoded."""
        busy.seconds += sum(future.result() for future in self.futures)
        return self.batch, self.pixels


def read_known(picture: Picture, raw: Path, side: int) -> Image.Image:
    """Read a picture as RGB in its own shape, its longer side at most `side` pixels.

    Raises:
        InputError: it is gone, or is not the one that `ingest` saw.
    """
    return _as_listed(read_hashed_small, picture, raw, side)


def _read(picture: Picture, raw: Path, side: int, place: np.ndarray) -> float:
    """Read a picture into `place`, uint8 (side, side, 3); return the seconds that it took."""
    start = time.perf_counter()
    place[:] = _as_listed(read_hashed_square, picture, raw, side)
    return time.perf_counter() - start


def _as_listed(read: _Reader[Pixels], picture: Picture, raw: Path, side: int) -> Pixels:
    """Read a picture, and see that its bytes are those that `ingest` saw."""
    try:
        path = inside(raw, picture.path)
        # Hashed from the bytes that were decoded: read once, and sure to be the same.
        pixels, sha256 = read(path, side, picture.pixels, picture.span)
    except PictureError as error:
        raise InputError(f"{error}, though `ingest` could read it. {ANEW}") from error
    if sha256 != picture.sha256:
        raise InputError(f"{path}: has changed since `ingest` saw it. {ANEW}")
    return pixels
