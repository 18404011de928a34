"""What this machine has to offer, and how a process takes it."""

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
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


# Passes on, line by line, what is no remark of TensorFlow's C++ part: lines of level I, those that
# follow one of them, and a warning that they go to standard error.
FILTER = r"""
import re, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
remark = re.compile(
    rb"I\d{4} |To enable the following instructions: |WARNING: All log messages before absl::Init"
)
for line in iter(sys.stdin.buffer.readline, b""):
    if not remark.match(line):
        sys.stderr.buffer.write(line)
        sys.stderr.buffer.flush()
"""


def hush_tensorflow() -> None:
    """Have TensorFlow say nothing but warnings and errors while it is imported, if it ever is.

    Until it has read TF_CPP_MIN_LOG_LEVEL it remarks on everything, whatever that says.
    """
    sys.meta_path.insert(0, _Hushed("tensorflow"))


class _Hushed(MetaPathFinder):
    """Finds one package as it would be found without it, and imports it without its remarks."""

    def __init__(self, name: str) -> None:
        self.name = name

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """See `MetaPathFinder`; for all other packages nothing is found here."""
        if name != self.name:
            return None
        others = [finder for finder in sys.meta_path if finder is not self]
        specs = (finder.find_spec(name, path, target) for finder in others)
        spec = next((spec for spec in specs if spec is not None), None)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def quietly(module: ModuleType) -> None:
                with _without_remarks():
                    execute(module)

            spec.loader.exec_module = quietly  # type: ignore[method-assign]
        return spec


@contextmanager
def _without_remarks() -> Iterator[None]:
    """Send what is written to standard error, by C++ too, through `FILTER`.

    A process of its own: what is written last before a crash comes out as well. Where it cannot be
    started, nothing is held back.
    """
    try:
        before = os.dup(2)
        command = sys.executable, "-I", "-S", "-c", FILTER
        passing = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    except OSError:
        yield
        return
    assert passing.stdin is not None
    os.dup2(passing.stdin.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)
        passing.stdin.close()
        with suppress(subprocess.TimeoutExpired):  # a child may have the pipe open
            passing.wait(timeout=2)
