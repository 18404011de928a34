"""The command `sample`."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).parents[2]
SETTINGS = {"seed": 1, "train": 3, "val": 1, "test": 1, "size": 64}


def run(root: Path, **changes: object) -> subprocess.CompletedProcess[str]:
    params = root / "params.yaml"
    params.write_text(yaml.safe_dump({"sample": {**SETTINGS, **changes}}))
    command = [sys.executable, "-m", "stages.sample", str(root / "scenes"), "--params", str(params)]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)


def test_the_data_set_is_written(tmp_path: Path) -> None:
    result = run(tmp_path)
    assert result.returncode == 0, result.stderr
    assert "sample: 5/5 pictures" in result.stderr
    assert len(list((tmp_path / "scenes" / "images").glob("scene_*.jpg"))) == 5
    assert len((tmp_path / "scenes" / "Flickr8k.token.txt").read_text().splitlines()) == 25


def test_many_pictures_are_drawn_by_several_processes(tmp_path: Path) -> None:
    result = run(tmp_path, train=230, size=48)  # more than are drawn in one process
    assert result.returncode == 0, result.stderr
    assert len(list((tmp_path / "scenes" / "images").iterdir())) == 232


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"train": 0}, "sample.train"),
        ({"sise": 64}, "sample.sise is not a setting"),
        ({"seed": "one"}, "sample.seed"),
    ],
)
def test_wrong_settings_are_one_line_and_leave_nothing(
    tmp_path: Path, changes: dict[str, object], told: str
) -> None:
    result = run(tmp_path, **changes)
    assert result.returncode == 2
    assert told in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "scenes").exists()


def test_starting_needs_no_tensorflow() -> None:
    code = (
        "import sys, stages.sample; sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY).returncode == 0


def test_facts_are_checked_without_the_drawing() -> None:
    """`evaluate` depends on the checker alone: editing how a tree looks must not run it again."""
    code = (
        "import sys, pipeline.datasets.scenes.facts; "
        "names = {m.rsplit('.')[-1] for m in sys.modules if 'datasets.scenes.' in m}; "
        "sys.exit(str(sorted(names)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert result.stderr.strip() == "['facts', 'lexicon', 'reading', 'scene']"
