"""What runs again after which change: `dvc repro` on a copy of the repository, with tiny *scenes*.

Each test changes one thing, looks at which stages ran, and changes it back.
"""

import json
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.copies import COMMIT, RAW, STAGES, Copy, copy_to

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def copy(tmp_path_factory, own_python) -> Copy:
    made = copy_to(tmp_path_factory.mktemp("copy"))
    assert made.repro()[0] == set(STAGES)
    return made


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


def test_a_data_set_s_folder_may_be_called_as_folders_are(copy):
    folder = "data/raw/Anna's pictures (1)"
    shutil.copytree(copy.root / RAW, copy.root / folder)
    before = copy.set("ingest", folder=folder)
    told = copy.run(sys.executable, "-m", "dvc", "repro", "explore")
    copy.set("ingest", **before)
    assert "Running stage 'explore'" in told


def test_an_experiment_with_several_seeds_runs_in_the_work_tree(copy):
    before = (copy.root / "params.yaml").read_bytes()
    settings = "-S", "train.units=9", "-S", "train.seeds=[1,2]"
    told = copy.run(sys.executable, "-m", "dvc", "exp", "run", *settings)
    (copy.root / "params.yaml").write_bytes(before)
    assert set(re.findall(r"Running stage '(\w+)'", told)) == {
        "train",
        "sweep",
        "evaluate",
        "report",
    }
    metrics = json.loads((copy.root / "data/evaluate/metrics.json").read_text())
    assert set(metrics["seeds"]) >= {"mean", "deviation"}
    assert copy.repro()[0] == set()


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
