"""How many checkpoints are kept, and which."""

import os
from pathlib import Path

import pytest

from pipeline.captioner.kept import MARK, keep_newest, mark_used

A, B, C, D = "a" * 16, "b" * 16, f"{'c' * 16}-self-critical", "d" * 16
OTHERS = [".1.partial.e", "note", "thesis"]  # one being written, and what is somebody's own


@pytest.fixture
def checkpoints(tmp_path) -> list[Path]:
    """Four checkpoints of bundles, the first the oldest, beside what is none."""
    made = [tmp_path / name for name in (D, C, B, A)]
    for day, path in enumerate([tmp_path / "thesis", *made, tmp_path / ".1.partial.e"]):
        path.mkdir()
        (path / "weights.npz").write_bytes(b"weights")
        if path in made:
            mark_used(path)
        os.utime(path, (day, day))
    (tmp_path / "note").write_text("not a checkpoint")
    return made


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_oldest_go(checkpoints, tmp_path):
    keep_newest(tmp_path, 2, 0)
    assert names(tmp_path) == sorted([A, B, *OTHERS])


def test_one_that_was_used_stays(checkpoints, tmp_path):
    mark_used(checkpoints[0])
    keep_newest(tmp_path, 2, 0)
    assert names(tmp_path) == sorted([A, D, *OTHERS])


def test_those_without_a_bundle_are_counted_by_themselves(checkpoints, tmp_path):
    for path in checkpoints[:3]:  # D, C and B
        before = path.stat()
        (path / MARK).unlink()
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    keep_newest(tmp_path, 1, 3)
    assert names(tmp_path) == sorted([A, B, C, D, *OTHERS])
    keep_newest(tmp_path, 1, 2)
    assert names(tmp_path) == sorted([A, B, C, *OTHERS])
    mark_used(tmp_path / C)  # killed, continued, and over
    keep_newest(tmp_path, 1, 2)
    assert names(tmp_path) == sorted([B, C, *OTHERS])


def test_fewer_than_the_bound_all_stay_and_an_absent_folder_is_none(checkpoints, tmp_path):
    before = names(tmp_path)
    keep_newest(tmp_path, 4, 0)
    assert names(tmp_path) == before
    keep_newest(tmp_path / "absent", 1, 1)
    assert not (tmp_path / "absent").exists()


def test_one_that_somebody_has_removed_meanwhile_is_none(checkpoints, tmp_path):
    mark_used(tmp_path / ("e" * 16))
    assert not (tmp_path / ("e" * 16)).exists()


def test_what_a_killed_process_left_goes_or_is_restored(checkpoints, tmp_path):
    gone = 2**22 + 1  # no process has this number
    for name in (f".{gone}.partial.{A}", f".{gone}.replaced.{'f' * 16}"):
        (tmp_path / name).mkdir()
    keep_newest(tmp_path, 4, 4)
    assert names(tmp_path) == sorted([A, B, C, D, "f" * 16, *OTHERS])
