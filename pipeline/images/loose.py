"""Pictures that belong to no data set: found by files, folders and globs, and decoded in batches.

What a data set's reader takes for granted does not hold here: any of them may be gone, broken or no
picture at all, and the others are wanted all the same.
"""

import glob
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipeline.errors import InputError
from pipeline.images.decode import PictureError, SystemRefusedError, read_square
from pipeline.machine import cores

BATCHES_AHEAD = 3  # decoded batches that may wait
SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".webp", ".bmp"),
    *(".tif", ".tiff", ".pgm", ".ppm", ".pbm"),
)
# What people can make more of than of what the system says.
PLAINLY = {
    "missing": "no such file",
    "not_a_picture": "is no picture of a format that is read: JPEG, PNG, GIF, WebP, BMP, TIFF, PPM",
}


class Decoded(NamedTuple):
    """A batch of pictures, in the order in which they were given.

    Attributes:
        paths: of all of them.
        errors: why a picture cannot be used, or None, for each.
        pixels: of those that can, uint8 (n, side, side, 3).
    """

    paths: list[Path]
    errors: list[PictureError | None]
    pixels: np.ndarray


def find_pictures(given: Iterable[str], recursive: bool = False) -> list[Path]:
    """List pictures, each path once, in the order in which it is first given.

    A file is taken whatever its name is. Of a folder, and of a glob such as `album/**/*.jpg`, all
    that look like pictures by their suffix are taken, sorted; hidden ones are not. What does not
    exist is taken, too: who decodes it will tell.

    Args:
        given: files, folders, globs.
        recursive: take the folders in folders as well; links to folders are not followed.

    Raises:
        InputError: a name is empty, or it is a folder without pictures or one that cannot be read.
    """
    paths: dict[Path, None] = {}
    for name in given:
        if not name:  # as of a shell's variable that is not set; it would be the folder at hand
            raise InputError("expected a path. Received: an empty one; . is the folder at hand")
        path = Path(name)
        if _is_folder(path):
            paths.update(dict.fromkeys(_in_folder(path, recursive)))
        elif glob.has_magic(name) and not os.path.lexists(path):
            paths.update(dict.fromkeys(_matching(name) or [path]))
        else:
            paths[path] = None
    return list(paths)


def names_of(content: bytes, separator: bytes = b"\n") -> list[str]:
    """Take the names from a list of them, such as `find` prints.

    Args:
        content: of the list; empty names are left out.
        separator: between names, or after each: a line feed, or the byte 0.
    """
    lines = content.split(separator)
    if separator == b"\n":
        lines = [line.removesuffix(b"\r") for line in lines]
    return [os.fsdecode(line) for line in lines if line]


def decode_batches(
    paths: Iterable[Path], side: int, batch_size: int, max_pixels: int, workers: int | None = None
) -> Iterator[Decoded]:
    """Decode pictures in threads, a few batches ahead of whoever takes them.

    Args:
        paths: taken only as they are needed.
        side: of the squares, pixels.
        batch_size: pictures a batch.
        max_pixels: larger pictures are refused.
        workers: threads; None: one for each core.
    """
    paths = iter(paths)
    waiting: deque[tuple[list[Path], list[Future[np.ndarray]]]] = deque()
    with ThreadPoolExecutor(workers or cores(), thread_name_prefix="decode") as threads:
        try:
            while batch := list(islice(paths, batch_size)):
                futures = [threads.submit(read_square, path, side, max_pixels) for path in batch]
                waiting.append((batch, futures))
                if len(waiting) > BATCHES_AHEAD:
                    yield _collect(*waiting.popleft(), side)
            while waiting:
                yield _collect(*waiting.popleft(), side)
        finally:
            threads.shutdown(cancel_futures=True)


def _collect(paths: list[Path], futures: Sequence[Future[np.ndarray]], side: int) -> Decoded:
    """Wait until all of a batch is decoded."""
    pixels = np.empty((len(paths), side, side, 3), np.uint8)
    errors: list[PictureError | None] = []
    good = 0
    for path, future in zip(paths, futures, strict=True):
        try:
            pixels[good] = future.result()
        except SystemRefusedError as error:  # the others are captioned all the same
            errors.append(PictureError("unreadable", str(error)))
        except PictureError as error:
            told = PLAINLY.get(error.reason)
            errors.append(PictureError(error.reason, f"{path}: {told}") if told else error)
        else:
            errors.append(None)
            good += 1
    return Decoded(paths, errors, pixels[:good])


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # a name that is too long, or has a NUL
        return False


def _in_folder(folder: Path, recursive: bool) -> list[Path]:
    """List what looks like a picture in a folder, and in those in it."""
    found: list[Path] = []
    for here, folders, names in os.walk(folder, onerror=_tell):
        found += [Path(here, name) for name in names if _is_shown(name)]
        folders[:] = [name for name in folders if recursive and not name.startswith(".")]
    if not found:
        raise InputError(
            f"{folder}: expected a folder with pictures ({', '.join(SUFFIXES)}). Received: none"
            + ("" if recursive else ". --recursive looks into the folders in it")
        )
    return sorted(found)


def _matching(pattern: str) -> list[Path]:
    """List what looks like a picture of what fits a pattern; all that fits, where nothing does."""
    try:  # Path.glob knows no absolute patterns
        found = [Path(name) for name in glob.glob(pattern, recursive=True)]  # noqa: PTH207
    except ValueError:  # a NUL in it
        return []
    files = sorted(path for path in found if path.is_file())
    return [path for path in files if _is_shown(path.name)] or files


def _is_shown(name: str) -> bool:
    """Whether a file counts as a picture by its name; .name is hidden, as are half-made files."""
    return not name.startswith(".") and name.lower().endswith(SUFFIXES)


def _tell(error: OSError) -> None:
    raise InputError(
        f"{error.filename}: expected a folder that can be read. Received: {error.strerror}"
    ) from error
