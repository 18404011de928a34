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
from contextlib import suppress
from pathlib import Path

from pipeline.files import put_right

# Of a checkpoint's name: digits of its key, and what is behind them for what goes on with another.
KEY, GOES_ON = 16, "-self-critical"
NAME = re.compile(rf"[0-9a-f]{{{KEY}}}({GOES_ON})?")
MARK = "in_a_bundle"  # an empty file


def mark_used(checkpoint: Path) -> None:
    """Note that a bundle came of a checkpoint, now, so that it is among the newest of these.

    Somebody may have removed it meanwhile, to make room: the bundle is there all the same.
    """
    with suppress(FileNotFoundError):
        (checkpoint / MARK).touch()
        os.utime(checkpoint)


def keep_newest(folder: Path, used: int, unused: int) -> None:
    """Remove all checkpoints in a folder but those that were written or used last.

    What is not named as checkpoints are is somebody's own, and left alone; so is one that is being
    written, whose name is hidden. What a killed process left half-written goes.

    Args:
        folder: in which checkpoints are; it may be absent.
        used: how many to keep of which a bundle came.
        unused: how many to keep of the others.
    """
    put_right(folder)
    found = [path for path in folder.glob("*") if path.is_dir() and NAME.fullmatch(path.name)]
    newest_first = sorted(found, key=lambda path: (_written(path), path.name), reverse=True)
    marked = [path for path in newest_first if (path / MARK).exists()]
    others = [path for path in newest_first if path not in marked]
    for path in [*marked[used:], *others[unused:]]:
        shutil.rmtree(path, ignore_errors=True)


def _written(checkpoint: Path) -> int:
    """Tell when it was written, in nanoseconds; 0 where another training has just removed it."""
    try:
        return checkpoint.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
