"""Whether what is going to be written has room on the disk, asked before any work starts."""

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from pipeline.errors import InputError
from pipeline.images.cache import free_bytes, told_bytes


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


def _device(folder: Path) -> int:
    while not folder.exists():
        folder = folder.parent
    return folder.stat().st_dev
