"""Room on the disk: asked for before any work starts, and told of where it ends all the same."""

import errno
import os
import shutil
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import InputError

DVC = ".dvc"  # the folder by which a repository of DVC's is known
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # no space, quota reached, file too large


def check_room(
    wanted: Mapping[Path, int], gone: Mapping[Path, int] | None = None, copies: Path | None = None
) -> None:
    """Compare what is going to be written with what is free.

    Args:
        wanted: bytes to be written to each folder, of which some may share a disk.
        gone: bytes that are going to be removed from folders before.
        copies: that one of the folders to which DVC is going to copy, which is told.

    Raises:
        InputError: it does not fit.
    """
    disks: dict[int, list[Path]] = defaultdict(list)
    for folder in wanted:
        disks[_device(folder)].append(folder)
    for device, folders in disks.items():
        needed, free = sum(wanted[folder] for folder in folders), free_bytes(folders[0])
        freed = _on(device, gone or {})
        if needed > free + freed:
            names = {one: f"{one} (DVC's copy)" if one == copies else f"{one}" for one in folders}
            parts = " and ".join(f"{told_bytes(wanted[one])} for {names[one]}" for one in folders)
            more = f", and {told_bytes(freed)} that may leave the cache" if freed else ""
            raise InputError(
                f"features: expected room on the disk for {parts}, uncompressed. Received: "
                f"{told_bytes(free)} free{more}. Make room, or write less: features.dtype: "
                "float16, features.pooling: average, a smaller features.cache_gib"
            )


def lacking(wanted: Mapping[Path, int], folder: Path) -> int:
    """Tell how many bytes the disk that `folder` is on lacks for what is going to be written.

    `wanted` is as for `check_room`.
    """
    return max(0, _on(_device(folder), wanted) - free_bytes(folder))


def copied_to(folder: Path) -> Path | None:
    """Tell where DVC copies a stage's outputs to when the stage has ended.

    Where files can share their blocks (reflinks: Btrfs, XFS) the copy takes no room; that is not
    looked at.

    Returns:
        DVC's cache; None where `folder` lies in no repository of DVC's, or its setting
        `cache.type` has it link files and not copy them.
    """
    for parent in folder.absolute().parents:
        if (parent / DVC).is_dir():
            from dvc.config import Config  # a tenth of a second

            settings = Config(dvc_dir=str(parent / DVC)).get("cache", {})
            links = {"hardlink", "symlink"} & set(settings.get("type", [])[:1])
            return None if links else Path(settings.get("dir", parent / DVC / "cache"))
    return None


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
            return f"{number:.3g} {unit}" if number < 999.5 else f"{number:.0f} {unit}"
        number /= 1024
    return f"{number:,.1f} GiB"


def _on(device: int, folders: Mapping[Path, int]) -> int:
    """Add up the bytes of those folders that are on a disk."""
    return sum(number for folder, number in folders.items() if _device(folder) == device)


def _device(folder: Path) -> int:
    while not folder.exists():
        folder = folder.parent
    return folder.stat().st_dev
