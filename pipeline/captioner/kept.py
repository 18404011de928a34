"""Checkpoints of finished trainings, of which a bounded number is kept to begin from again.

A training's checkpoint holds its weights two times and what Adam knows of them another two. What is
done after it (self-critical training) can begin from it with other settings, without paying for it
again; but every change of a setting leaves another one behind.
"""

import os
import shutil
from pathlib import Path


def mark_used(checkpoint: Path) -> None:
    """Note that a checkpoint is in use now, so that it is among the newest."""
    os.utime(checkpoint)


def keep_newest(folder: Path, count: int) -> None:
    """Remove all checkpoints in a folder but those that were written or used last.

    One that is being written (its name is hidden) is left alone.

    Args:
        folder: whose folders are checkpoints; it may be absent.
        count: how many to keep.
    """
    found = [path for path in folder.glob("*") if path.is_dir() and not path.name.startswith(".")]
    newest_first = sorted(
        found, key=lambda path: (path.stat().st_mtime_ns, path.name), reverse=True
    )
    for path in newest_first[count:]:
        shutil.rmtree(path, ignore_errors=True)
