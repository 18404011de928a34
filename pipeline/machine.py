"""What this machine has to offer."""

import os


def cores() -> int:
    """Count the cores that this process may use: in a container fewer than there are."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        return os.cpu_count() or 1
