"""What this machine has to offer, and how a process takes it."""

import ctypes
import importlib.util
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from tempfile import TemporaryFile
from types import ModuleType

# Names of glibc's mallopt, from malloc.h.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX, _ARENA_MAX = -1, -2, -4, -8
_NEVER, _MIB = -1, 2**20


def cores() -> int:
    """Count the cores that this process may use: in a container fewer than there are."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        return os.cpu_count() or 1


def prepare() -> None:
    """Set what has to stand before TensorFlow is imported and threads are started.

    Intel's kernels (oneDNN) are TensorFlow's own default on newer CPUs alone; on others they are
    faster too. And features come out alike only where all machines of a run use the same kernels.
    """
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    keep_memory()


def keep_memory() -> bool:
    """Have the C library keep freed memory for the next tensor; tell whether it could.

    By default glibc hands tensors of more than a few MiB back to the system as soon as they are
    freed. The next batch asks for the same memory again, and the system clears it page by page:
    MobileNetV2 spent over a third of its time so. What is kept instead is what a step needs at its
    peak. Other C libraries know no mallopt and are left as they are. Threads that are there
    already keep heaps of their own, so this comes first of all.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    settings = (
        (_ARENA_MAX, 1),  # one heap: a thread's own is small, and given back all the same
        (_MMAP_MAX, 0),  # and nothing outside it, as that cannot be kept
        (_TRIM_THRESHOLD, _NEVER),
        (_TOP_PAD, 64 * _MIB),  # by which the heap grows
    )
    return all(mallopt(name, value) == 1 for name, value in settings)


# What TensorFlow's C++ part says while it is imported, whatever TF_CPP_MIN_LOG_LEVEL is: lines of
# level I, those that follow one of them, and a warning that they go to standard error.
CHATTER = re.compile(
    rb"I\d{4} |To enable the following instructions: |WARNING: All log messages before absl::Init"
)


def hush_tensorflow() -> None:
    """Have TensorFlow say nothing but warnings and errors while it is imported, if it ever is."""
    sys.meta_path.insert(0, _Hushed("tensorflow"))


class _Hushed(MetaPathFinder):
    """Finds one package as it would be found without it, and imports it without its chatter."""

    def __init__(self, name: str) -> None:
        self.name = name

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """See `MetaPathFinder`; for all other packages nothing is found here."""
        if name != self.name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def quietly(module: ModuleType) -> None:
                with _without_chatter():
                    execute(module)

            spec.loader.exec_module = quietly  # type: ignore[method-assign]
        return spec


@contextmanager
def _without_chatter() -> Iterator[None]:
    """Keep what is written to standard error, by C++ too, and pass on what is no chatter."""
    try:
        before = os.dup(2)
    except OSError:  # it is closed
        yield
        return
    with TemporaryFile() as kept:
        os.dup2(kept.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(before, 2)
            os.close(before)
            kept.seek(0)
            for line in kept:
                if not CHATTER.match(line):
                    os.write(2, line)
