"""The whole of ingest as a function: bad pictures go, with their captions, and nothing else."""

import os
import signal
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
from PIL import Image
from pydantic import ValidationError

from pipeline.datasets import ingest as module
from pipeline.datasets.ingest import Ingested, IngestSettings, ingest, problem
from pipeline.datasets.layout import ListedImage, Listing, ListReason
from pipeline.errors import InputError
from pipeline.images.decode import PictureFacts, PictureReason

SPLITS = {"train": "train", "dev": "val", "test": "test"}


def settings(**changes: Any) -> IngestSettings:
    values: dict[str, Any] = {
        "folder": "not read",
        "format": "auto",
        "val_share": 0.2,
        "test_share": 0.2,
        "restval": "train",
        "max_dropped": 0.0,
        "max_pixels": 1_000_000,
    }
    return IngestSettings.model_validate(values | changes)


def make(raw: Path, pictures: int = 2) -> Path:
    """Lay out a good data set: in each split `pictures` pictures of two captions."""
    (raw / "pictures").mkdir(parents=True)
    lines = []
    for split in SPLITS:
        names = [f"{split}{number}.png" for number in range(pictures)]
        (raw / f"x.{split}Images.txt").write_text("\n".join(names))
        for number, name in enumerate(names):
            Image.new("RGB", (5, 4), (number % 256, 0, 0)).save(raw / "pictures" / name)
            lines += [f"{name}#0\tOne of {name}", f"{name}#1\tTwo of {name}"]
    (raw / "x.token.txt").write_text("\n".join(lines) + "\n")
    return raw


def dropped(ingested: Ingested) -> set[tuple[str, str, str, str]]:
    return {(r["item"], r["source"], r["reason"], r["raw"]) for r in ingested.dropped}


def test_good_data_comes_through_whole(tmp_path: Path) -> None:
    ingested = ingest(make(tmp_path), settings())
    assert ingested.layout == "flickr8k"
    assert Counter(row["split"] for row in ingested.images) == {"train": 2, "val": 2, "test": 2}
    assert len(ingested.captions) == 12
    assert ingested.dropped == ingested.facts == []
    assert problem(ingested, settings(), tmp_path) is None
    row = ingested.images[0]
    assert (row["image_id"], row["path"]) == ("train0", "pictures/train0.png")
    assert (row["width"], row["height"], row["mode"]) == (5, 4, "RGB")
    assert row["bytes"] == (tmp_path / row["path"]).stat().st_size


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-30])


def large(path: Path) -> None:
    Image.new("1", (20000, 60)).save(path)


def linked(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/passwd")


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def floating(path: Path) -> None:
    Image.new("F", (5, 4)).save(path, "tiff")


SPOIL: dict[PictureReason, Callable[[Path], Any]] = {
    "missing": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "not_a_picture": lambda path: path.write_text("<html>"),
    "truncated": truncated,
    "too_large": large,
    "outside_folder": linked,
    "not_a_file": pipe,
    "unreadable": floating,
}


def test_every_reason_is_tried() -> None:
    assert set(SPOIL) == set(get_args(PictureReason))


@pytest.mark.parametrize("reason", SPOIL)
def test_a_bad_picture_goes_with_its_captions_and_nothing_else(
    tmp_path: Path, reason: PictureReason
) -> None:
    make(tmp_path)
    SPOIL[reason](tmp_path / "pictures" / "dev1.png")
    ingested = ingest(tmp_path, settings())
    assert dropped(ingested) == {
        ("dev1", "x.devImages.txt:2", reason, "pictures/dev1.png"),
        ("dev1#0", "x.token.txt:7", "picture_dropped", "One of dev1.png"),
        ("dev1#1", "x.token.txt:8", "picture_dropped", "Two of dev1.png"),
    }
    assert len(ingested.images) == 5
    assert len(ingested.captions) == 10


def test_one_bad_picture_of_a_thousand_is_all_that_is_lost(tmp_path: Path) -> None:
    raw = make(tmp_path, pictures=334)
    truncated(raw / "pictures" / "train77.png")
    ingested = ingest(raw, settings())  # by as many processes as there are cores
    assert len(ingested.images) == 3 * 334 - 1
    assert "train77" not in {row["image_id"] for row in ingested.images}
    assert Counter((row["kind"], row["reason"]) for row in ingested.dropped) == {
        ("image", "truncated"): 1,
        ("caption", "picture_dropped"): 2,
    }
    [(name, where)] = [(r["item"], r["raw"]) for r in ingested.dropped if r["kind"] == "image"]
    assert (name, where) == ("train77", "pictures/train77.png")


@pytest.mark.parametrize("mode", ["CMYK", "RGBA", "LA", "I;16", "P", "1", "animated", "wide"])
def test_unusual_pictures_are_kept(tmp_path: Path, mode: str) -> None:
    make(tmp_path)
    path = tmp_path / "pictures" / "train1.png"
    first = Image.new("RGB", (5, 4), (200, 0, 0))
    if mode == "animated":
        first.save(path, "gif", save_all=True, append_images=[Image.new("RGB", (5, 4))])
    elif mode == "wide":
        Image.new("1", (20000, 4)).save(path)
    else:
        picture = Image.new(mode, (5, 4))
        picture.save(path, "jpeg" if mode == "CMYK" else "png")
    ingested = ingest(tmp_path, settings())
    assert ingested.dropped == []
    assert len(ingested.images) == 6


def test_a_picture_without_captions(tmp_path: Path) -> None:
    make(tmp_path)
    tokens = (tmp_path / "x.token.txt").read_text()
    (tmp_path / "x.token.txt").write_text(tokens.replace("dev1.png#", "dev1.png"))
    ingested = ingest(tmp_path, settings())
    assert ("dev1", "x.devImages.txt:2", "no_captions", "pictures/dev1.png") in dropped(ingested)
    assert len(ingested.images) == 5


def test_facts_of_kept_pictures_only(tmp_path: Path) -> None:
    make(tmp_path)
    names = ("train0", "dev1")
    lines = [f'{{"image": "{name}.png", "facts": {{"b": 1, "a": 2}}}}\n' for name in names]
    (tmp_path / "facts.jsonl").write_text("".join(lines))
    truncated(tmp_path / "pictures" / "dev1.png")
    assert ingest(tmp_path, settings()).facts == [
        {"image_id": "train0", "facts": '{"a": 2, "b": 1}'}
    ]


def test_a_table_without_splits_is_split_by_hash(tmp_path: Path) -> None:
    rows = []
    for number in range(40):
        Image.new("L", (2, 2), number).save(tmp_path / f"{number}.png")
        rows += [f"{number}.png,One\n", f"{number}.png,Two\n"]
    (tmp_path / "captions.csv").write_text("image,caption\n" + "".join(rows))
    before = ingest(tmp_path, settings())
    splits = {row["image_id"]: row["split"] for row in before.images}
    assert set(splits.values()) == {"train", "val", "test"}
    assert problem(before, settings(), tmp_path) is None
    Image.new("L", (2, 2)).save(tmp_path / "more.png")
    with (tmp_path / "captions.csv").open("a") as stream:
        stream.write("more.png,One more\n")
    after = {row["image_id"]: row["split"] for row in ingest(tmp_path, settings()).images}
    assert after.pop("more")
    assert after == splits


def listed(splits: dict[str, str | None]) -> Listing:
    return Listing(
        [ListedImage(name, f"{name}.png", split, "list:1") for name, split in splits.items()]
    )


def test_splits_of_the_lists_win_and_missing_ones_are_taken_from_train_by_hash() -> None:
    own = {f"t{n}": "train" for n in range(200)} | {f"v{n}": "val" for n in range(20)}
    found = {i.image_id: i.split for i in module.assign_splits(listed(own), settings())}
    assert {found[f"v{n}"] for n in range(20)} == {"val"}
    taken = Counter(found[f"t{n}"] for n in range(200))
    assert set(taken) == {"train", "test"}
    assert 20 < taken["test"] < 60
    whole = own | {"x": "test"}
    assert {i.image_id: i.split for i in module.assign_splits(listed(whole), settings())} == whole


def test_restval_joins_train_or_is_left_out_as_told(tmp_path: Path) -> None:
    splits = {"a": "train", "b": "restval", "c": "val", "d": "test"}
    joined = module.assign_splits(listed(splits), settings())
    assert [image.split for image in joined] == ["train", "train", "val", "test"]
    kept = module.assign_splits(listed(splits), settings(restval="leave_out"))
    assert [image.split for image in kept] == ["train", "restval", "val", "test"]


def test_restval_left_out_and_pictures_without_captions_by_design(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path)
    layout = module.find_layout(tmp_path, "auto")

    def read(raw: Path) -> Listing:
        listing = layout.read(raw)
        listing.images = [
            i._replace(split="restval") if i.image_id == "train1" else i for i in listing.images
        ]
        listing.captions = [c for c in listing.captions if c.image_id != "test1"]
        listing.uncaptioned = {"test1"}
        return listing

    monkeypatch.setattr(module, "find_layout", lambda *_: replace(layout, read=read))
    found = ingest(tmp_path, settings(restval="leave_out"))
    assert {(r["kind"], r["item"], r["reason"]) for r in found.dropped} == {
        ("image", "train1", "restval"),
        ("caption", "train1#0", "restval"),
        ("caption", "train1#1", "restval"),
    }
    assert problem(found, settings(), tmp_path) is None  # left out by choice, not lost
    assert {r["image_id"] for r in found.images} == {"train0", "dev0", "dev1", "test0", "test1"}


def test_two_files_with_one_id(tmp_path: Path) -> None:
    make(tmp_path)
    with (tmp_path / "x.testImages.txt").open("a") as stream:
        stream.write("\ntrain1.jpg\n")
    with pytest.raises(InputError) as caught:
        ingest(tmp_path, settings())
    assert "pictures/train1.png (x.trainImages.txt:2)" in str(caught.value)
    assert "pictures/train1.jpg (x.testImages.txt:3)" in str(caught.value)


def test_too_much_dropped_is_told_with_reasons_and_examples(tmp_path: Path) -> None:
    make(tmp_path)
    truncated(tmp_path / "pictures" / "dev1.png")
    (tmp_path / "pictures" / "test0.png").write_bytes(b"")
    ingested = ingest(tmp_path, settings())
    told = problem(ingested, settings(max_dropped=0.1), tmp_path / "dropped.parquet")
    assert told is not None
    assert told.startswith("6 of 18 pictures and captions cannot be used (33.3%)")
    assert "allows 10.0%" in told
    assert "picture_dropped 4, empty 1, truncated 1" in told
    assert "x.devImages.txt:2 truncated 'pictures/dev1.png'" in told
    assert "x.testImages.txt:1 empty 'pictures/test0.png'" in told
    assert str(tmp_path / "dropped.parquet") in told
    assert problem(ingested, settings(max_dropped=0.34), tmp_path) is None


def test_a_file_that_looks_like_one_that_is_missed_is_told(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "pictures" / "dev1.png").rename(tmp_path / "pictures" / "dev1.PNG")
    told = problem(ingest(tmp_path, settings()), settings(), tmp_path)
    assert told is not None
    assert "missing 'pictures/dev1.png'" in told
    assert "There is 'pictures/dev1.PNG'. Small and capital letters are not the same." in told
    (tmp_path / "pictures" / "dev1.PNG").unlink()
    assert "There is" not in (problem(ingest(tmp_path, settings()), settings(), tmp_path) or "")


def test_what_people_left_out_themselves_stops_nothing(tmp_path: Path) -> None:
    make(tmp_path, pictures=5)
    for split in SPLITS:
        (tmp_path / f"x.{split}Images.txt").write_text(f"{split}0.png\n")
    ingested = ingest(tmp_path, settings())
    assert {row["reason"] for row in ingested.dropped} == {"no_split", "not_listed"}
    assert len(ingested.dropped) == 12 + 24
    assert problem(ingested, settings(), tmp_path) is None


@pytest.mark.parametrize("split", SPLITS)
def test_a_split_without_captions(tmp_path: Path, split: str) -> None:
    make(tmp_path)
    lines = (tmp_path / "x.token.txt").read_text().splitlines()
    kept = [line for line in lines if not line.startswith(split)]
    (tmp_path / "x.token.txt").write_text("\n".join(kept))
    lax = settings(max_dropped=1.0)
    told = problem(ingest(tmp_path, lax), lax, tmp_path)
    assert told is not None
    assert f"{SPLITS[split]} 0" in told
    assert f"Add to the lists of {SPLITS[split]}" in told


def test_processes_find_the_same_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, pictures=4)
    truncated(tmp_path / "pictures" / "dev1.png")
    alone = ingest(tmp_path, settings())
    monkeypatch.setattr(module, "FEW", 0)
    monkeypatch.setattr(module, "CHUNK", 5)
    assert ingest(tmp_path, settings()) == alone


def end_this_process(*_: Any) -> PictureFacts:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("not reached")


def test_a_process_that_is_ended_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path)
    # With TensorFlow loaded, by another test, processes would begin anew and know no patches.
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    monkeypatch.setattr(module, "FEW", 0)
    monkeypatch.setattr(module, "_look_at_one", end_this_process)
    with pytest.raises(InputError, match=r"want of memory\. Lower ingest\.max_pixels"):
        ingest(tmp_path, settings())


@pytest.mark.parametrize(
    "changes",
    [
        {"val_share": 0.5, "test_share": 0.5},
        {"val_share": 1.0},
        {"test_share": -0.1},
        {"max_dropped": 1.1},
        {"max_pixels": 0},
        {"max_pixels": 1.5},
        {"format": "flicker"},
        {"folders": "x"},
    ],
)
def test_settings_out_of_range(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        settings(**changes)


def test_reasons_have_one_meaning_each() -> None:
    # "missing" is a picture's; a list's reason of the same name would hide it.
    assert not set(get_args(ListReason)) & set(get_args(PictureReason))


@pytest.mark.slow
def test_the_real_photographs() -> None:
    folder = os.environ.get("CAPTION_FLICKR8K")
    if not folder:
        pytest.skip("CAPTION_FLICKR8K is not set")
    values = settings(max_dropped=0.01)
    ingested = ingest(Path(folder), values)
    assert problem(ingested, values, Path("dropped.parquet")) is None
    sizes = Counter(row["split"] for row in ingested.images)
    assert sizes == {"train": 5000, "val": 1000, "test": 1000}
    assert len(ingested.captions) == 35_000
    assert {(row["item"], row["reason"]) for row in ingested.dropped} == {
        (f"2258277193_586949ec62.jpg.1#{number}", "missing") for number in range(5)
    }


def test_a_folder_whose_name_is_no_text_is_told_before_pictures_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of an archive that was made on Windows: tables hold UTF-8."""
    raw = make(tmp_path)
    try:
        (raw / "pictures").rename(raw / os.fsdecode(b"f\xfcr"))
    except OSError:  # on macOS
        pytest.skip("names of files are UTF-8 here")
    monkeypatch.setattr(module, "_look_at", lambda *_: pytest.fail("looked at"))
    with pytest.raises(InputError, match=r"in UTF-8\. Received: f\\udcfcr/.*Rename the folder"):
        ingest(raw, settings())
