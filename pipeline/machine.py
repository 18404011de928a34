"""What this machine has to offer, and how a process takes it."""

import ctypes
import hashlib
import math
import os
import platform
from contextlib import suppress
from pathlib import Path

# Names of glibc's mallopt, from malloc.h.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX, _ARENA_MAX = -1, -2, -4, -8
_NEVER, _MIB = -1, 2**20

CPU = Path("/proc/cpuinfo")  # on Linux
CGROUP = Path("/sys/fs/cgroup")  # where Linux tells a container's limits
VARIABLES = {  # of the environment, as `prepare` sets them
    "TF_ENABLE_ONEDNN_OPTS": "1",
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
}


def cores() -> int:
    """Count the cores that this process may use: in a container fewer than there are.

    A container is given a set of cores, or a share of the time of all of them (`docker run --cpus
    2`): then as many count as that share comes to.
    """
    try:
        found = len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        found = os.cpu_count() or 1
    share, period = _limits("cpu.max", "cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")
    return min(found, max(1, math.ceil(share / period))) if share and period else found


def memory() -> int | None:
    """Tell the bytes of memory that this process may use; None where the system does not say."""
    try:
        found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
    bound, _ = _limits("memory.max", "memory/memory.limit_in_bytes")
    return min(found, bound) if bound else found


def _limits(name: str, *older: str) -> tuple[int, int]:
    """Read a container's two limits of a kind, of cgroups of version 2 or else 1; 0 where none is.

    Args:
        name: the file of version 2.
        older: those of version 1, one for each limit.
    """
    for names in ((name,), older):
        try:
            told = " ".join((CGROUP / one).read_text() for one in names).split()
            numbers = [int(one) for one in told]
        except (OSError, ValueError):  # absent; or "max", which is no bound
            continue
        first, second = [*numbers, 0, 0][:2]
        return (first, second) if first > 0 else (0, 0)
    return 0, 0


def cpu_flags() -> frozenset[str]:
    """What the CPU can do, in Linux's names; nothing where Linux does not tell."""
    return frozenset(_of_cpu("flags").split())


def cpu_name() -> str:
    """Name the CPU's model as Linux tells it; elsewhere what Python knows."""
    return _of_cpu("model name") or platform.processor() or platform.machine()


def cpu_kind() -> str:
    """Name the CPU and hash what it can do: on virtual machines unlike ones have the same name."""
    flags = hashlib.sha256(" ".join(sorted(cpu_flags())).encode()).hexdigest()
    return f"{cpu_name()} ({flags[:8]})"


def _of_cpu(what: str) -> str:
    with suppress(OSError), CPU.open() as lines:
        return next((line.partition(":")[2].strip() for line in lines if line.startswith(what)), "")
    return ""


def prepare() -> None:
    """Set what has to stand before TensorFlow is imported and threads are started.

    Intel's kernels (oneDNN) are TensorFlow's own default on newer CPUs alone; on others they are
    faster too. And features come out alike only where all machines of a run use the same kernels.
    Of a GPU's memory TensorFlow would take all at once, and JAX three quarters, so that a second
    process (`serve` beside `train`, or another seed) would have none; they take what they need.
    What the user has set stays.
    """
    for name, value in VARIABLES.items():
        os.environ.setdefault(name, value)
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
