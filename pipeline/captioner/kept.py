"""Checkpoints of finished trainings, of which a bounded number is kept to begin from again.

A training's checkpoint holds its weights two times and what Adam knows of them another two. What is
done after it (self-critical training) can begin from it with other settings, without paying for it
again; but every change of a setting leaves another one behind.
"""

import os
import re
import shutil
from pathlib import Path

# Of a checkpoint's name: digits of its key, and what is behind them for what goes on with another.
KEY, GOES_ON = 16, "-self-critical"
NAME = re.compile(rf"[0-9a-f]{{{KEY}}}({GOES_ON})?")


def mark_used(checkpoint: Path) -> None:
    """Note that a checkpoint is in use now, so that it is among the newest."""
    os.utime(checkpoint)


def keep_newest(folder: Path, count: int) -> None:
    """Remove all checkpoints in a folder but those that were written or used last.

    What is not named as checkpoints are is somebody's own, and left alone; so is one that is being
    written, whose name is hidden.

    Args:
        folder: in which checkpoints are; it may be absent.
        count: how many to keep.
    """
    found = [path for path in folder.glob("*") if path.is_dir() and NAME.fullmatch(path.name)]
    newest_first = sorted(
        found, key=lambda path: (path.stat().st_mtime_ns, path.name), reverse=True
    )
    for path in newest_first[count:]:
        shutil.rmtree(path, ignore_errors=True)
