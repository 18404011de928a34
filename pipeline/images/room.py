"""Room on the disk: asked for before any work starts, and told of where it ends all the same."""

import errno
import os
import shutil
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import InputError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # no space, quota reached, file too large


def check_room(wanted: Mapping[Path, int]) -> None:
    """Compare what is going to be written with what is free.

    Args:
        wanted: bytes to be written to each folder, of which some may share a disk.

    Raises:
        InputError: it does not fit.
    """
    disks: dict[int, list[Path]] = defaultdict(list)
    for folder in wanted:
        disks[_device(folder)].append(folder)
    for folders in disks.values():
        needed, free = sum(wanted[folder] for folder in folders), free_bytes(folders[0])
        if needed > free:
            parts = " and ".join(f"{told_bytes(wanted[one])} for {one}" for one in folders)
            raise InputError(
                f"features: expected room on the disk for {parts}, uncompressed. Received: "
                f"{told_bytes(free)} free. Make room, or write less: features.dtype: float16, "
                "features.pooling: average, a smaller features.cache_gib"
            )


@contextmanager
def full_disk_told(folder: Path, needed: int) -> Iterator[None]:
    """Tell of a full disk as an InputError.

    Args:
        folder: that is written to.
        needed: bytes that were to be written.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise InputError(
            f"{folder}: the disk is full ({os.strerror(error.errno)}): expected room for"
            f" {told_bytes(needed)}. Received: {told_bytes(free_bytes(folder))} free. What is"
            " written stays good: make room and run again (a smaller features.cache_gib helps)"
        ) from error


def free_bytes(folder: Path) -> int:
    """Bytes that may still be written where `folder` is, or will be."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def told_bytes(number: float) -> str:
    """Tell a number of bytes as people do."""
    for unit in ("bytes", "KiB", "MiB"):
        if number < 1024:
            return f"{number:.3g} {unit}" if number < 1000 else f"{number:.0f} {unit}"
        number /= 1024
    return f"{number:,.1f} GiB"


def _device(folder: Path) -> int:
    while not folder.exists():
        folder = folder.parent
    return folder.stat().st_dev
