"""Weights of networks in Keras's files: written where there is room, read where they are no trap.

HDF5 is a file system in a file: it has links to other files, data that lie elsewhere, and arrays of
any size that take no room. Weights have none of these, so a file with one of them is refused before
Keras reads it.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py

OVERHEAD = 4096  # bytes that HDF5 takes for an array and its place, at most
SWELL = 4  # times the file's size that its arrays may have, were they compressed
MOST_NAMES = 100_000  # of groups and arrays
MOST_DEPTH = 64


def save(network: Any, path: Path) -> None:
    """Write a network's weights (.weights.h5).

    Raises:
        OSError: there is no room. HDF5 itself, where it meets a full disk, ends the process.
    """
    arrays = network.get_weights()
    size = sum(array.nbytes for array in arrays) + OVERHEAD * (len(arrays) + 16)
    with path.open("wb") as stream:
        if hasattr(os, "posix_fallocate"):  # not on macOS
            os.posix_fallocate(stream.fileno(), 0, size)
    network.save_weights(path)


def check(path: Path) -> None:
    """See that a file holds plain arrays of numbers, and not more than it has bytes for.

    Raises:
        ValueError: it does not. Or as h5py, for a file that is damaged.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    with h5py.File(path, "r") as file:
        size = sum(_sizes(file))
    if size > SWELL * path.stat().st_size:
        raise ValueError(f"arrays of {size} bytes in a file of {path.stat().st_size}")


def _sizes(file: Any) -> Iterator[int]:
    """Yield the bytes of each array of a file.

    A group may be linked to twice, and what is in it then has two names; in 24 such groups, each
    in the one before it, something has 2^24. So it is names that are counted.
    """
    names = 0
    groups = [(file, 0)]
    while groups:
        group, depth = groups.pop()
        if depth > MOST_DEPTH:
            raise ValueError("groups in groups without end")
        for name in group:
            names += 1
            if names > MOST_NAMES:
                raise ValueError(f"more than {MOST_NAMES} names of groups and arrays")
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise ValueError(f"{name!r}, which is a link to elsewhere")
            item = group[name]
            if isinstance(item, h5py.Group):
                groups.append((item, depth + 1))
            elif not isinstance(item, h5py.Dataset) or item.dtype.kind not in "fiub":
                raise ValueError(f"{name!r}, which is no array of numbers")
            elif item.is_virtual or item.external:
                raise ValueError(f"{name!r}, whose numbers lie elsewhere")
            else:
                yield item.nbytes
