"""A small disk of memory, for tests of what becomes of files when there is no room for them."""

import ctypes
import gc
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

BLOCK = 4096  # bytes that a disk of memory gives out at once
SIZE = 16 << 20
OVERRIDES = (1, 2)  # capabilities: to write, and to read, whatever the permissions are


class Disk(NamedTuple):
    """A small disk, and how to change it."""

    root: Path

    def leave(self, room: int) -> None:
        """Fill it up, but for `room` bytes."""
        gc.collect()  # what was removed takes room as long as it is open
        (self.root / "filler").unlink(missing_ok=True)
        status = os.statvfs(self.root)
        taken = status.f_bavail * status.f_frsize - room
        with (self.root / "filler").open("wb") as stream:
            os.posix_fallocate(stream.fileno(), 0, max(1, taken))

    @contextmanager
    def read_only(self) -> Iterator[None]:
        """Let nobody write to it."""
        try:
            gc.collect()  # writers that failed have their files open until then
            mount("-o", "remount,ro", self.root)
            yield
        finally:
            mount("-o", "remount,rw", self.root)

    @contextmanager
    def forbidden(self) -> Iterator[None]:
        """Let its folder be read only by its permissions, and us have no power over them."""
        try:
            self.root.chmod(0o555)
            with powerless():
                yield
        finally:
            self.root.chmod(0o755)


def mount(*arguments: object) -> None:
    subprocess.run(["mount", *map(str, arguments)], check=True, capture_output=True)


@contextmanager
def mounted(root: Path) -> Iterator[Disk]:
    """Mount a disk in a folder, or skip the test where that cannot be done."""
    try:
        mount("-t", "tmpfs", "-o", f"size={SIZE},mode=755", "tmpfs", root)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no disk of memory can be mounted here: it takes Linux, and root")
    gc.freeze()  # what other tests have left: to look through it each time would take seconds
    try:
        yield Disk(root)
    finally:
        gc.unfreeze()
        subprocess.run(["umount", "-l", str(root)], check=False)


@contextmanager
def powerless() -> Iterator[None]:
    """Lay down root's power over permissions, in this thread and those that it starts."""
    if os.geteuid():
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    head = (ctypes.c_uint32 * 2)(0x20080522, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; twice 32 of each
    libc.capget(head, sets)
    before = sets[0]
    try:
        sets[0] = before & ~sum(1 << number for number in OVERRIDES)
        assert libc.capset(head, sets) == 0
        yield
    finally:
        sets[0] = before
        libc.capset(head, sets)
