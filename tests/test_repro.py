"""What runs again after which change: `dvc repro` on a copy of the repository, with tiny *scenes*.

Each test changes one thing, looks at which stages ran, and changes it back.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
PARTS = [
    "pipeline",
    "stages",
    "params.yaml",
    "dvc.yaml",
    ".dvc/config",
    ".dvcignore",
    "data/raw/embeddings/README.md",
    "data/raw/weights/README.md",
]
RAW = "data/raw/mine"
WEIGHTS = "mine.weights.h5"
TINY = {
    "sample": {"train": 24, "val": 6, "test": 6, "size": 64},
    "ingest": {"folder": RAW},
    "validate": {"min_pictures": {"train": 1, "val": 1, "test": 1}},
    "vocabulary": {"min_count": 2},
    "encoder": {"weights": WEIGHTS, "side": 32},
    "features": {"batch_size": 8, "rows_per_shard": 16},
    "train": {"units": 8, "embedding": 8, "epochs": 1, "batch_size": 16},
    "evaluate": {"beam_width": 2},
    "sweep": {"beam_widths": [1, 2], "length_penalties": [0.5]},
}
COMMIT = ("git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-q")
MAKE_WEIGHTS = """
import sys
from pipeline.images.networks import NETWORKS
NETWORKS["compact"].body(None, 32).save_weights(sys.argv[1])
"""


class Copy:
    """A copy of the repository, and what one can do in it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def run(self, *command: str) -> str:
        done = subprocess.run(command, cwd=self.root, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def repro(self) -> tuple[set[str], str]:
        """Run the pipeline; return the stages that ran, and all that was printed."""
        told = self.run(sys.executable, "-m", "dvc", "repro")
        return set(re.findall(r"Running stage '(\w+)'", told)), told

    def set(self, section: str, **values: object) -> dict[str, object]:
        """Change settings; return the earlier values."""
        path = self.root / "params.yaml"
        params = yaml.safe_load(path.read_text())
        before = {name: params[section][name] for name in values}
        params[section].update(values)
        path.write_text(yaml.safe_dump(params))
        return before


@pytest.fixture(scope="module")
def copy(tmp_path_factory, module_environment) -> Copy:
    root = tmp_path_factory.mktemp("copy")
    for part in PARTS:
        source, target = ROOT / part, root / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    made = Copy(root)
    made.run("git", "init", "-q")
    made.run(*COMMIT, "--allow-empty", "-m", "begin")  # as a clone has one, and DVCLive needs one
    for section, values in TINY.items():
        made.set(section, **values)
    made.run(sys.executable, "-m", "stages.sample", RAW)
    made.run(sys.executable, "-c", MAKE_WEIGHTS, f"data/raw/weights/{WEIGHTS}")
    ran, _ = made.repro()
    assert ran == {
        *("sample", "ingest", "validate", "clean", "explore", "vocabulary"),
        *("encoder", "features", "train", "sweep", "evaluate", "report"),
    }
    return made


@pytest.fixture(scope="module")
def module_environment() -> Iterator[None]:
    # `python` in dvc.yaml is the one that runs the tests; nothing outside the copy is imported.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(Path(sys.executable).parent), prepend=":")
        patch.setenv("PYTHONPATH", "")
        yield


@contextmanager
def changed(copy: Copy, section: str, **values: object) -> Iterator[set[str]]:
    """Change settings, run, yield what ran; set them back."""
    before = copy.set(section, **values)
    yield copy.repro()[0]
    copy.set(section, **before)


def test_nothing_changed_runs_nothing_and_back_to_an_earlier_value_is_restored(copy):
    assert copy.repro()[0] == set()
    with changed(copy, "evaluate", beam_width=3) as ran:
        assert ran == {"evaluate", "report"}
    ran, told = copy.repro()  # the earlier value again
    assert ran == set()
    assert "Stage 'evaluate' is cached" in told


def test_a_training_setting_runs_train_and_evaluate(copy):
    with changed(copy, "train", dropout=0.25) as ran:
        assert ran == {"train", "sweep", "evaluate", "report"}
    assert copy.repro()[0] == set()


def test_min_count_runs_neither_encoder_nor_features(copy):
    with changed(copy, "vocabulary", min_count=3) as ran:
        assert ran == {"vocabulary", "train", "sweep", "evaluate", "report"}
    assert copy.repro()[0] == set()


def test_a_caption_s_text_does_not_run_features(copy):
    path = copy.root / RAW / "Flickr8k.token.txt"
    before = path.read_bytes()
    path.write_bytes(before.replace(b"\n", b" indeed\n", 1))
    ran, _ = copy.repro()
    path.write_bytes(before)
    assert ran >= {"ingest", "clean", "vocabulary", "train"}
    assert "features" not in ran
    assert copy.repro()[0] == set()


def test_ten_pictures_more_are_the_only_ones_encoded(copy):
    more = copy.root / "more"
    copy.set("sample", seed=2, train=10)
    copy.run(sys.executable, "-m", "stages.sample", str(more))
    copy.set("sample", seed=1, train=24)
    names = (more / "Flickr_8k.trainImages.txt").read_text().split()
    captions = (more / "Flickr8k.token.txt").read_text().splitlines(keepends=True)
    for name in names:
        shutil.copy(more / "images" / name, copy.root / RAW / "images" / f"more_{name}")
    with (copy.root / RAW / "Flickr8k.token.txt").open("a") as stream:
        stream.writelines(f"more_{line}" for line in captions if line.split("#")[0] in names)
    with (copy.root / RAW / "Flickr_8k.trainImages.txt").open("a") as stream:
        stream.writelines(f"more_{name}\n" for name in names)
    ran, told = copy.repro()
    assert ran >= {"ingest", "clean", "vocabulary", "features", "train"}
    assert "46 pictures" in told
    assert "10 encoded now" in told


def test_metrics_of_two_commits_can_be_compared(copy):
    copy.run("git", "add", "-A")
    copy.run(*COMMIT, "-am", "one")
    copy.set("evaluate", beam_width=1)
    copy.repro()
    copy.run(*COMMIT, "-am", "two")
    for kind, expected in (
        ("metrics", "evaluate/metrics.json"),
        ("params", "beam_width"),
        ("plots", "file://"),
    ):
        told = copy.run(sys.executable, "-m", "dvc", kind, "diff", "HEAD~1")
        assert expected in told, told
