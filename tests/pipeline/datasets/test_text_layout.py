"""What the layouts of one caption a line share: recognising, hostile names, long lines."""

import os
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipeline.datasets import find
from pipeline.datasets.flickr8k import FLICKR8K
from pipeline.datasets.flickr8k_kaggle import FLICKR8K_KAGGLE
from pipeline.datasets.flickr30k import FLICKR30K
from pipeline.datasets.flickr30k_kaggle import FLICKR30K_KAGGLE
from pipeline.datasets.ingest import Ingested, IngestSettings, ingest
from pipeline.datasets.layout import Layout
from pipeline.datasets.text_layout import LOOKED_AT, first_line, only_file
from pipeline.errors import InputError

# Of each layout the file of captions, a line without its picture and caption, and the split lists.
FORMS = {
    FLICKR8K: ("x.token.txt", "{}#0\t{}\n", "x.{}Images.txt", ("train", "dev", "test")),
    FLICKR8K_KAGGLE: ("captions.txt", "{},{}\n", "x.{}Images.txt", ("train", "dev", "test")),
    FLICKR30K: ("results.token", "{}#0\t{}\n", "{}.txt", ("train", "val", "test")),
    FLICKR30K_KAGGLE: ("results.csv", "{}| 0| {}\n", "{}.txt", ("train", "val", "test")),
}
NAMES = [f"{number}.png" for number in range(30)]
all_layouts = pytest.mark.parametrize("layout", FORMS, ids=lambda layout: layout.name)


def make(raw: Path, layout: Layout, names: list[str]) -> Path:
    """Lay out good pictures, and captions of all `names`."""
    (raw / "photos").mkdir(parents=True)
    for number, name in enumerate(NAMES):
        Image.new("RGB", (4, 5), (number, 0, 0)).save(raw / "photos" / name)
    file, line, _, _ = FORMS[layout]
    lines = [line.format(name, f"Picture {n} .") for n, name in enumerate(names)]
    (raw / file).write_bytes("".join(lines).encode())
    return raw


def add_lists(raw: Path, layout: Layout, names: list[str]) -> None:
    _, _, pattern, splits = FORMS[layout]
    for place, split in enumerate(splits):
        (raw / pattern.format(split)).write_text("".join(f"{n}\n" for n in names[place::3]))


def settings(**changes: Any) -> IngestSettings:
    values: dict[str, Any] = {"folder": "not read", "format": "auto", "restval": "train"}
    values |= {"val_share": 0.3, "test_share": 0.3, "max_dropped": 0.0, "max_pixels": 1_000_000}
    return IngestSettings.model_validate(values | changes)


def read(monkeypatch: pytest.MonkeyPatch, raw: Path) -> Ingested:
    monkeypatch.setattr(find, "LAYOUTS", tuple(FORMS))
    return ingest(raw, settings())


@all_layouts
def test_without_lists_the_splits_are_taken_by_hash(
    tmp_path: Path, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingested = read(monkeypatch, make(tmp_path, layout, NAMES))
    assert ingested.layout == layout.name
    assert set(ingested.hashed_splits) == {row["split"] for row in ingested.images}
    assert ingested.hashed_splits == ["train", "val", "test"]
    assert [row["path"] for row in ingested.images] == [f"photos/{name}" for name in NAMES]
    assert [row["caption_id"] for row in ingested.captions] == [f"{n}#0" for n in range(30)]
    assert ingested.dropped == []


@all_layouts
def test_lists_win(tmp_path: Path, layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    add_lists(make(tmp_path, layout, [*NAMES, "z.png"]), layout, NAMES[:27])
    ingested = read(monkeypatch, tmp_path)
    assert ingested.hashed_splits == []
    splits = {row["image_id"]: row["split"] for row in ingested.images}
    assert splits == {str(n): ("train", "val", "test")[n % 3] for n in range(27)}
    captions = [(r["item"], r["reason"]) for r in ingested.dropped if r["kind"] == "caption"]
    unlisted = [(f"{n}.png#0", "no_split") for n in (27, 28, 29)]
    assert captions == [*unlisted, ("z.png#0", "missing")]
    pictures = [(r["item"], r["reason"]) for r in ingested.dropped if r["kind"] == "image"]
    assert pictures == [(f"photos/{n}.png", "not_listed") for n in (27, 28, 29)]


@all_layouts
def test_lists_win_in_folders_below_too(
    tmp_path: Path, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"photos/{name}" for name in NAMES]
    add_lists(make(tmp_path, layout, [*names, "photos/z.png"]), layout, names[:27])
    ingested = read(monkeypatch, tmp_path)
    assert len(ingested.images) == 27
    captions = [(r["item"], r["reason"]) for r in ingested.dropped if r["kind"] == "caption"]
    unlisted = [(f"photos/{n}.png#0", "no_split") for n in (27, 28, 29)]
    assert captions == [*unlisted, ("photos/z.png#0", "missing")]
    pictures = [(r["item"], r["reason"]) for r in ingested.dropped if r["kind"] == "image"]
    assert pictures == [(f"photos/{n}.png", "not_listed") for n in (27, 28, 29)]


@all_layouts
def test_two_lists_of_three_are_refused(tmp_path: Path, layout: Layout) -> None:
    add_lists(make(tmp_path, layout, NAMES), layout, NAMES)
    _, _, pattern, splits = FORMS[layout]
    (tmp_path / pattern.format(splits[1])).unlink()
    with pytest.raises(InputError, match=r"the lists of the other splits\. Received: none"):
        layout.read(tmp_path)


@all_layouts
def test_names_that_leave_the_folder_are_refused_and_never_looked_up(
    tmp_path: Path, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (4, 5)).save(tmp_path / "secret.png")
    evil = ["../secret.png", f"{tmp_path}/secret.png", "x/../../secret.png", "\0.png"]
    raw = make(tmp_path / "raw", layout, [*evil, *NAMES, "gone.png", "x" * 1_000_000 + ".png"])
    looked_up = []
    lexists = os.path.lexists
    monkeypatch.setattr(os.path, "lexists", lambda p: (looked_up.append(str(p)), lexists(p))[1])
    ingested = read(monkeypatch, raw)
    assert [row["path"] for row in ingested.images] == [f"photos/{name}" for name in NAMES]
    reasons = [row["reason"] for row in ingested.dropped if row["kind"] == "image"]
    assert reasons == [*["outside_folder"] * 3, *["missing"] * 3]
    assert len(ingested.dropped) == 12
    assert looked_up
    assert not any("secret" in path for path in looked_up)


@all_layouts
def test_a_picture_that_is_not_there_and_one_that_nobody_names(
    tmp_path: Path, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingested = read(monkeypatch, make(tmp_path, layout, [*NAMES[1:], "gone.jpg.1"]))
    told = {(row["item"], row["reason"]) for row in ingested.dropped}
    assert told == {
        ("photos/0.png", "not_listed"),
        ("gone.jpg.1", "missing"),
        ("gone.jpg.1#0", "picture_dropped"),
    }
    assert len(ingested.captions) == 29


@all_layouts
def test_a_caption_of_a_megabyte(tmp_path: Path, layout: Layout) -> None:
    file, line, _, _ = FORMS[layout]
    long = "a dog " * 170_000 + "."
    make(tmp_path, layout, NAMES)
    with (tmp_path / file).open("a") as stream:
        stream.write(line.format("new.png", long))
        stream.write("no separator " * 80_000)
    listing = layout.read(tmp_path)
    assert listing.captions[-1].text == long
    assert [row["reason"] for row in listing.dropped] == ["broken_line"]
    assert len(listing.dropped[0]["item"]) == 200


@all_layouts
@pytest.mark.parametrize("content", [b"", b"\n \r\n", b"\xef\xbb\xbf", b"\0", b"\xff\xfe\0"])
def test_a_file_with_nothing_in_it(tmp_path: Path, layout: Layout, content: bytes) -> None:
    make(tmp_path, layout, [])
    (tmp_path / FORMS[layout][0]).write_bytes(content)
    if layout.recognises(tmp_path):
        with pytest.raises(InputError, match="expected"):
            layout.read(tmp_path)


@all_layouts
def test_what_is_no_file_is_not_recognised(tmp_path: Path, layout: Layout) -> None:
    file = tmp_path / FORMS[layout][0]
    assert not layout.recognises(tmp_path)
    file.mkdir()
    assert not layout.recognises(tmp_path)
    file.rmdir()
    os.mkfifo(file)
    assert not layout.recognises(tmp_path)


def test_the_first_line_is_found_past_a_mark_and_blank_lines(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    assert first_line(path) == ""
    path.write_bytes(b"\xef\xbb\xbf\r\n \r\nfirst\r\nsecond")
    assert first_line(path) == "first"
    path.write_bytes(b"x" * 2 * LOOKED_AT)
    assert len(first_line(path)) == LOOKED_AT


def test_one_file_of_captions_is_needed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected one file x\*\. Received: none"):
        only_file(tmp_path, "x*", [])
