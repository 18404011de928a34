"""The data set as files: Flickr8k's layout, the same bytes whatever draws them."""

import hashlib
import json
from pathlib import Path

import pytest
from PIL import Image
from pydantic import ValidationError

from pipeline.datasets.scenes import sample as module
from pipeline.datasets.scenes.facts import fact_accuracy
from pipeline.datasets.scenes.sample import SampleSettings, write_sample

SETTINGS = SampleSettings(seed=1, train=6, val=2, test=3, size=48)


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def changed(**settings: int) -> SampleSettings:
    return SampleSettings(**{**SETTINGS.model_dump(), **settings})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sample") / "scenes"
    write_sample(out, SETTINGS)
    return out


def test_the_layout_is_flickr8ks(folder: Path) -> None:
    train = [f"scene_train_{n:05d}.jpg" for n in range(1, 7)]
    val, test = ["scene_val_00001.jpg", "scene_val_00002.jpg"], [
        f"scene_test_{n:05d}.jpg" for n in range(1, 4)
    ]  # fmt: skip
    assert (folder / "Flickr_8k.trainImages.txt").read_text().splitlines() == train
    assert (folder / "Flickr_8k.devImages.txt").read_text().splitlines() == val
    assert (folder / "Flickr_8k.testImages.txt").read_text().splitlines() == test
    assert sorted(p.name for p in (folder / "images").iterdir()) == sorted(train + val + test)
    lines = (folder / "Flickr8k.token.txt").read_text().splitlines()
    assert [line.split("\t")[0] for line in lines] == [
        f"{name}#{n}" for name in train + val + test for n in range(5)
    ]
    assert len(list(folder.iterdir())) == 6


def test_pictures_have_the_size_asked_for(folder: Path) -> None:
    for path in (folder / "images").iterdir():
        assert Image.open(path).size == (48, 48)


def test_captions_are_true_of_the_facts_beside_them(folder: Path) -> None:
    lines = (folder / "facts.jsonl").read_text().splitlines()
    facts = {(row := json.loads(line))["image"]: row["facts"] for line in lines}
    for line in lines:
        assert line == json.dumps(json.loads(line), sort_keys=True)
    captions = {}
    for line in (folder / "Flickr8k.token.txt").read_text().splitlines():
        name, caption = line.split("\t")
        captions[name] = caption.lower().split()
    by_caption = {name: facts[name.split("#")[0]] for name in captions}
    assert len(captions) == 55
    assert fact_accuracy(captions, by_caption) == 1


def test_bytes_are_the_same_however_many_processes_draw(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FEW", 0)
    monkeypatch.setattr(module, "AT_ONCE", 3)
    write_sample(tmp_path / "two", SETTINGS, processes=2)
    assert digests(tmp_path / "two") == digests(folder)


def test_more_pictures_of_a_split_change_no_other(folder: Path, tmp_path: Path) -> None:
    write_sample(tmp_path / "more", changed(train=9))
    before, after = digests(folder / "images"), digests(tmp_path / "more" / "images")
    assert len(after) == len(before) + 3
    assert before.items() <= after.items()


def test_another_seed_gives_other_pictures(folder: Path, tmp_path: Path) -> None:
    write_sample(tmp_path / "other", changed(seed=2))
    before, after = digests(folder / "images"), digests(tmp_path / "other" / "images")
    assert not set(before.values()) & set(after.values())
    assert len(set(before.values())) == 11  # no two alike, in one split or in two


def test_what_was_there_before_is_replaced(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "scenes"
    (out / "images").mkdir(parents=True)
    (out / "images" / "old.jpg").write_text("old")
    write_sample(out, SETTINGS)
    assert digests(out) == digests(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["scenes"]


@pytest.mark.parametrize(
    "wrong", [{"seed": -1}, {"train": 0}, {"val": 0}, {"test": 0}, {"size": 20}, {"more": 1}]
)
def test_settings_have_ranges(wrong: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        changed(**wrong)
