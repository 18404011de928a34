"""Whatever is killed at whatever moment, `make repro` ends with what it would have ended with.

Each test forces one stage to run anew, kills DVC and the stage together at a random moment of it,
runs what `make repro` runs, and compares every byte under `data/`. Nothing can be restored from a
cache: that of finished runs is removed before, so that the second run works with what the first one
left.

`make test-slow` kills those once that work longest; `CAPTION_KILLS=5 pytest -m slow
tests/test_kills.py` kills each stage five times.
"""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.files import sha256_of
from stages.mend import mend
from tests.copies import STAGES, Copy, copy_to

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("CAPTION_KILLS", "0"))  # of each stage; 0: one of the longest
KILLED = STAGES if KILLS else ("ingest", "encoder", "features", "train", "evaluate")
START = 1.5  # seconds until DVC runs a stage, about
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
DVC = (sys.executable, "-m", "dvc", "repro")


@pytest.fixture(scope="module")
def finished(tmp_path_factory, own_python) -> tuple[Copy, dict[str, str], dict[str, float]]:
    """A finished run, the hash of all that it wrote, and the seconds that each stage takes."""
    made = copy_to(tmp_path_factory.mktemp("copy"))
    begun: dict[str, float] = {}
    with subprocess.Popen(
        DVC, cwd=made.root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as running:
        assert running.stdout is not None
        for line in running.stdout:
            if found := re.match(r"Running stage '(\w+)'", line):
                begun[found[1]] = time.monotonic()
    assert running.returncode == 0
    assert set(begun) == set(STAGES)
    ends = [*list(begun.values())[1:], time.monotonic()]
    lasted = {stage: end - begun[stage] for stage, end in zip(begun, ends, strict=True)}
    return made, written(made), {stage: START + value for stage, value in lasted.items()}


def forget(copy: Copy) -> None:
    """Remove what finished runs left for later ones: of DVC, and the pipeline's own."""
    shutil.rmtree(copy.root / ".dvc" / "cache" / "runs", ignore_errors=True)
    shutil.rmtree(copy.root / ".cache", ignore_errors=True)


def written(copy: Copy) -> dict[str, str]:
    files = (path for path in (copy.root / "data").rglob("*") if path.is_file())
    found = {path.relative_to(copy.root).as_posix(): sha256_of(path) for path in sorted(files)}
    return found | {"dvc.lock": sha256_of(copy.root / "dvc.lock")}


def kill(copy: Copy, stage: str, after: float, how: signal.Signals) -> int:
    """Run a stage alone, kill it with DVC after a while, and return DVC's exit code."""
    command = (*DVC, "--force", "--single-item", stage)
    log = copy.root.parent / "killed.log"
    with log.open("wb") as out:
        running = subprocess.Popen(
            command, cwd=copy.root, stdout=out, stderr=out, start_new_session=True
        )
        try:
            return running.wait(after)
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, how)
            return running.wait(60)
        finally:
            # Whatever of the group did not take the signal may not go on beside the next run.
            for _ in range(100):
                try:
                    os.killpg(running.pid, signal.SIGKILL)
                except ProcessLookupError:
                    break
                time.sleep(0.1)


def half_made(root: Path) -> list[str]:
    """Files and folders under data/ that are hidden, as those are that are not whole yet."""
    return [path.name for path in (root / "data").rglob(".*") if path.name != ".gitignore"]


@pytest.mark.parametrize("number", range(max(1, KILLS)))
@pytest.mark.parametrize("stage", KILLED)
def test_a_killed_stage_ends_with_the_same_bytes(finished, stage, number):
    copy, expected, seconds = finished
    rng = random.Random(f"{stage} {number} {os.environ.get('CAPTION_KILL_SEED', '1')}")
    how = SIGNALS[(STAGES.index(stage) + number) % len(SIGNALS)]
    after = rng.uniform(0.1, 1.0) * seconds[stage]
    forget(copy)
    kill(copy, stage, after, how)
    shutil.rmtree(copy.root / ".dvc" / "cache" / "runs", ignore_errors=True)
    mend(copy.root)  # as `make repro` begins
    told = copy.repro()[1]
    found = written(copy)
    differ = sorted(name for name in expected | found if expected.get(name) != found.get(name))
    assert not differ, f"{how.name} after {after:.2f} s of {stage}: {differ}\n{told}"
    assert not half_made(copy.root)


def test_two_runs_at_once_end_as_one_or_one_of_them_says_so(finished):
    copy, expected, _ = finished
    forget(copy)
    shutil.rmtree(copy.root / "data" / "train")
    both = [
        subprocess.Popen(
            DVC, cwd=copy.root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for _ in range(2)
    ]
    told = [process.communicate()[0] for process in both]
    for process, text in zip(both, told, strict=True):
        assert process.returncode == 0 or "lock" in text.lower(), text
        assert "Traceback" not in text
    assert 0 in [process.returncode for process in both], told
    copy.repro()
    assert written(copy) == expected
