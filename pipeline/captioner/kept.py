"""Checkpoints of trainings, of which a bounded number is kept.

A training's checkpoint holds its weights two times and what Adam knows of them another two, or
three with an average. What is done after it (self-critical training) can begin from it with other
settings, and another seed be added, without paying for it again; but every change of a setting
leaves another one behind.

A checkpoint of which a bundle came is marked so. The others are of trainings that were killed: one
in the middle, seeds that were done before it, and what self-critical training had begun from. They
are all that is left of these, and kept apart from the marked ones, by a count of their own.
"""

import os
import re
import shutil
from pathlib import Path

# Of a checkpoint's name: digits of its key, and what is behind them for what goes on with another.
KEY, GOES_ON = 16, "-self-critical"
NAME = re.compile(rf"[0-9a-f]{{{KEY}}}({GOES_ON})?")
MARK = "in_a_bundle"  # an empty file


def mark_used(checkpoint: Path) -> None:
    """Note that a bundle came of a checkpoint, now, so that it is among the newest of these."""
    (checkpoint / MARK).touch()
    os.utime(checkpoint)


def keep_newest(folder: Path, used: int, unused: int) -> None:
    """Remove all checkpoints in a folder but those that were written or used last.

    What is not named as checkpoints are is somebody's own, and left alone; so is one that is being
    written, whose name is hidden.

    Args:
        folder: in which checkpoints are; it may be absent.
        used: how many to keep of which a bundle came.
        unused: how many to keep of the others.
    """
    found = [path for path in folder.glob("*") if path.is_dir() and NAME.fullmatch(path.name)]
    newest_first = sorted(
        found, key=lambda path: (path.stat().st_mtime_ns, path.name), reverse=True
    )
    marked = [path for path in newest_first if (path / MARK).exists()]
    others = [path for path in newest_first if path not in marked]
    for path in [*marked[used:], *others[unused:]]:
        shutil.rmtree(path, ignore_errors=True)
