"""Karpathy's JSON of Flickr and COCO, in small copies with every quirk."""

import json
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.datasets import find
from pipeline.datasets.ingest import IngestSettings, ingest
from pipeline.datasets.karpathy import KARPATHY, read, recognises
from pipeline.datasets.layout import BY_CHOICE, Listing
from pipeline.errors import InputError
from pipeline.images.decode import PictureError, inside

Entry = dict[str, Any]
NAMES = ("a.jpg", "b.jpg", "c.jpg")


def sentence(number: int, text: str = "A dog .", **changes: Any) -> Entry:
    entry = {"tokens": text.lower().split(), "raw": text, "imgid": 0, "sentid": number}
    return entry | changes


def flickr() -> list[Entry]:
    """Three pictures of two sentences: a in train, b in val, c in test."""
    return [
        {
            "filename": name,
            "split": split,
            "imgid": number,
            "sentids": [2 * number, 2 * number + 1],
            "sentences": [
                sentence(2 * number, f"One of {name}"),
                sentence(2 * number + 1, f"Two of {name}"),
            ],
        }
        for number, (name, split) in enumerate(zip(NAMES, ("train", "val", "test"), strict=True))
    ]


GOOD = {
    **{"a#0": "One of a.jpg", "a#1": "Two of a.jpg"},
    **{"b#2": "One of b.jpg", "b#3": "Two of b.jpg"},
    **{"c#4": "One of c.jpg", "c#5": "Two of c.jpg"},
}


def make(
    raw: Path,
    images: Any = None,
    *,
    name: str = "dataset_flickr8k.json",
    folder: str = "pictures",
    pictures: tuple[str, ...] = NAMES,
) -> Path:
    """Write a file with the `images`, those of `flickr` unless told, and empty pictures."""
    for picture in pictures:
        path = raw / folder / picture
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    content = {"images": flickr() if images is None else images, "dataset": "flickr8k"}
    (raw / name).write_text(json.dumps(content))
    return raw


def texts(listing: Listing) -> dict[str, str]:
    return {caption.caption_id: caption.text for caption in listing.captions}


def dropped(listing: Listing) -> list[tuple[str, str, str]]:
    """Places after the file's name, items and reasons."""
    return [
        (row["source"].removeprefix("dataset_flickr8k.json:"), row["item"], row["reason"])
        for row in listing.dropped
    ]


@pytest.mark.parametrize("folder", ["Flicker8k_Dataset", "any name", "Images/Images", "."])
def test_all_of_a_flickr_set_is_read_from_a_folder_of_any_name(tmp_path: Path, folder: str) -> None:
    listing = read(make(tmp_path, folder=folder))
    assert texts(listing) == GOOD
    prefix = "" if folder == "." else f"{folder}/"
    assert [(i.image_id, i.path, i.split, i.source) for i in listing.images] == [
        ("a", f"{prefix}a.jpg", "train", "dataset_flickr8k.json:images[0]"),
        ("b", f"{prefix}b.jpg", "val", "dataset_flickr8k.json:images[1]"),
        ("c", f"{prefix}c.jpg", "test", "dataset_flickr8k.json:images[2]"),
    ]
    assert listing.captions[1].source == "dataset_flickr8k.json:images[0].sentences[1]"
    assert listing.captions[1].image_id == "a"
    assert listing.dropped == []
    assert listing.uncaptioned == set()


def coco() -> list[Entry]:
    """One picture of each split, in the folders that COCO has."""
    rows = [
        ("train2014", 9, "train"),
        ("val2014", 42, "val"),
        ("val2014", 73, "test"),
        ("val2014", 74, "restval"),
    ]
    return [
        {
            "filepath": folder,
            "sentids": [770_000 + number],
            "filename": f"COCO_{folder}_{number:012}.jpg",
            "imgid": imgid,
            "split": split,
            "sentences": [sentence(770_000 + number, f" Picture {number}\n")],
            "cocoid": number,
        }
        for imgid, (folder, number, split) in enumerate(rows)
    ]


def coco_pictures() -> tuple[str, ...]:
    return tuple(f"{entry['filepath']}/{entry['filename']}" for entry in coco())


@pytest.mark.parametrize("folder", [".", "images", "coco/images"])
def test_all_of_coco_is_read_with_its_own_folders(tmp_path: Path, folder: str) -> None:
    make(tmp_path, coco(), name="dataset_coco.json", folder=folder, pictures=coco_pictures())
    (tmp_path / folder / "val2014" / "COCO_val2014_000000000001.jpg").touch()
    listing = read(tmp_path)
    prefix = "" if folder == "." else f"{folder}/"
    assert [(i.image_id, i.path, i.split) for i in listing.images] == [
        ("9", f"{prefix}train2014/COCO_train2014_000000000009.jpg", "train"),
        ("42", f"{prefix}val2014/COCO_val2014_000000000042.jpg", "val"),
        ("73", f"{prefix}val2014/COCO_val2014_000000000073.jpg", "test"),
        ("74", f"{prefix}val2014/COCO_val2014_000000000074.jpg", "restval"),
    ]
    assert texts(listing) == {f"{n}#{770_000 + n}": f" Picture {n}\n" for n in (9, 42, 73, 74)}
    unlisted = f"{prefix}val2014/COCO_val2014_000000000001.jpg"
    assert dropped(listing) == [(unlisted, unlisted, "not_listed")]


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("dataset_flickr8k.json", True),
        ("dataset_coco.json", True),
        ("dataset_mine.json", True),
        ("dataset_info.json", False),  # of TensorFlow Datasets and Hugging Face
        ("dataset_infos.json", False),
        ("dataset_dict.json", False),
        ("captions_val2014.json", False),
    ],
)
def test_it_is_known_by_its_name_alone(tmp_path: Path, name: str, is_one: bool) -> None:
    (tmp_path / name).write_text("not JSON")
    assert recognises(tmp_path) == is_one


def test_a_folder_of_that_name_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "dataset_coco.json").mkdir()
    assert not recognises(tmp_path)


def test_the_three_files_together_are_refused(tmp_path: Path) -> None:
    make(tmp_path, name="dataset_flickr8k.json")
    make(tmp_path, name="dataset_flickr30k.json")
    told = r"Received: dataset_flickr30k\.json, dataset_flickr8k\.json\. Keep the one whose"
    with pytest.raises(InputError, match=told):
        read(tmp_path)
    with pytest.raises(InputError, match="Received: none"):
        read(tmp_path / "pictures")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "an empty file"),
        (b'{"images": [{"filename": "a.jpg"', "cut off"),
        (b"[1]", r"expected \{.images.: .*Received: a list"),
        (b'{"annotations": []}', "an object with 'annotations'"),
        (b'{"images": {"a.jpg": 1}}', '"images" as an object'),
        (b'{"images": []}', "expected the names of pictures. Received: none"),
        (b'{"images": [3]}', "expected the names of pictures. Received: none"),
        (b'{"images": [' + b"[" * 100_000 + b"]}", "nested too deeply"),
        (b'{"images": [{"filename": "z.jpg"}]}', r"such as 'z\.jpg'.*is in: \., pictures"),
    ],
)
def test_a_file_that_is_not_of_the_form(tmp_path: Path, content: bytes, told: str) -> None:
    make(tmp_path)
    (tmp_path / "dataset_flickr8k.json").write_bytes(content)
    with pytest.raises(InputError, match=told) as caught:
        read(tmp_path)
    assert "\n" not in str(caught.value)
    assert "dataset_flickr8k.json" in str(caught.value)


def test_broken_entries_are_dropped_with_their_sentences_and_no_others(tmp_path: Path) -> None:
    broken: list[Any] = [
        3,
        None,
        [flickr()[0]],
        {},
        {"filename": "x.jpg", "split": "train"},
        {"filename": "x.jpg", "split": "train", "sentences": {"0": "A dog ."}},
        {"filename": "x.jpg", "filepath": 3, "split": "train", "sentences": []},
        {"filename": " ", "split": "train", "sentences": [sentence(90)]},
        {"filename": ["x.jpg"], "split": "train", "sentences": [sentence(91), "A dog ."]},
        *(
            {"filename": "x.jpg", "split": "train", "cocoid": number, "sentences": [sentence(92)]}
            for number in ("9", 9.0, True, float("nan"))
        ),
    ]
    listing = read(make(tmp_path, broken[:5] + flickr() + broken[5:]))
    assert texts(listing) == GOOD
    images = [row for row in listing.dropped if row["kind"] == "image"]
    assert {row["reason"] for row in images} == {"broken_line"}
    places = [*range(5), *range(8, 16)]
    assert [row["source"] for row in images] == [
        f"dataset_flickr8k.json:images[{place}]" for place in places
    ]
    captions = [row for row in listing.dropped if row["kind"] == "caption"]
    assert Counter(row["reason"] for row in captions) == {"picture_dropped": 7}
    first = captions[0]
    assert first["source"] == first["item"] == "dataset_flickr8k.json:images[10].sentences[0]"
    assert json.loads(first["raw"])["sentid"] == 90


def test_broken_sentences_are_dropped_alone(tmp_path: Path) -> None:
    images = flickr()
    images[0]["sentences"] += [
        "A dog .",
        sentence(10, sentid="10"),
        sentence(10, sentid=True),
        sentence(10, sentid=None),
        sentence(10, raw=3, tokens=["a"]),
        sentence(11, raw=None, tokens=None),
        sentence(12, raw=None, tokens=["a", 3]),
        sentence(13, raw="A \ud800 dog ."),
        sentence(14, raw=" "),
        sentence(15, raw=None, tokens=[]),
        sentence(0, raw="Again ."),
        sentence(16, raw="Last ."),
    ]
    listing = read(make(tmp_path, images))
    assert texts(listing) == GOOD | {"a#16": "Last ."}
    place = "images[0].sentences[{}]".format
    nameless = [f"dataset_flickr8k.json:{place(number)}" for number in (2, 3, 4, 5)]
    assert dropped(listing) == [
        *((item.partition(":")[2], item, "broken_line") for item in nameless),
        (place(6), "a#10", "broken_line"),
        (place(7), "a#11", "broken_line"),
        (place(8), "a#12", "broken_line"),
        (place(9), "a#13", "encoding"),
        (place(10), "a#14", "empty_caption"),
        (place(11), "a#15", "empty_caption"),
        (place(12), "a#0", "duplicate_id"),
    ]
    assert "\\ud800" in listing.dropped[7]["raw"]


def test_tokens_stand_in_for_a_text_that_is_absent(tmp_path: Path) -> None:
    images = flickr()
    del images[0]["sentences"][0]["raw"]
    images[0]["sentences"][1]["raw"] = None
    listing = read(make(tmp_path, images))
    assert texts(listing) == GOOD | {"a#0": "one of a.jpg", "a#1": "two of a.jpg"}
    assert dropped(listing) == [
        ("images[0].sentences[0]", "a#0", "repaired"),
        ("images[0].sentences[1]", "a#1", "repaired"),
    ]


def test_names_of_splits(tmp_path: Path) -> None:
    images = flickr()
    written = ["restval", " Validation", "holdout", "", None, 3, ["train"]]
    for number, split in enumerate(written):
        entry = {"filename": f"p{number}.jpg", "split": split, "sentences": [sentence(90 + number)]}
        images.append(entry)
    images.append({"filename": "q.jpg", "sentences": []})
    listing = read(make(tmp_path, images, pictures=(*NAMES, "p2.jpg")))
    splits = ["train", "val", "test", "restval", "val"]
    assert [image.split for image in listing.images] == splits
    # p2.jpg is there and was named, though its entry is of no use: it is not told twice.
    assert [row for row in dropped(listing) if row[2] != "picture_dropped"] == [
        *((f"images[{number}]", f"p{number - 3}", "unknown_split") for number in range(5, 10)),
        ("images[10]", "q", "unknown_split"),
    ]
    left_out = [row[1] for row in dropped(listing) if row[2] == "picture_dropped"]
    assert left_out == [f"p{number}#{90 + number}" for number in range(2, 7)]


def test_a_picture_twice_keeps_what_its_second_entry_adds(tmp_path: Path) -> None:
    again = flickr()[0] | {"sentences": [sentence(0, "One ."), sentence(9, "More .")]}
    listing = read(make(tmp_path, [*flickr(), again]))
    assert texts(listing) == GOOD | {"a#9": "More ."}
    assert [image.image_id for image in listing.images] == ["a", "b", "c"]
    assert dropped(listing) == [
        ("images[3]", "a", "duplicate_id"),
        ("images[3].sentences[0]", "a#0", "duplicate_id"),
    ]


def test_a_picture_in_two_splits_stays_in_the_first(tmp_path: Path) -> None:
    again = flickr()[0] | {"split": "test", "sentences": [sentence(9, "More .")]}
    listing = read(make(tmp_path, [*flickr(), again]))
    assert texts(listing) == GOOD
    assert {i.image_id: i.split for i in listing.images} == {"a": "train", "b": "val", "c": "test"}
    assert dropped(listing) == [
        ("images[3]", "a", "two_splits"),
        ("images[3].sentences[0]", "a#9", "picture_dropped"),
    ]


def test_one_file_under_two_ids_and_two_files_under_one(tmp_path: Path) -> None:
    entries = coco()
    entries += [
        entries[0] | {"cocoid": 5, "split": "test", "sentences": [sentence(1)]},
        entries[0] | {"filename": "other.jpg", "sentences": [sentence(2)]},
    ]
    listing = read(make(tmp_path, entries, folder=".", pictures=coco_pictures()))
    assert len(listing.images) == 4
    assert dropped(listing) == [
        ("images[4]", "5", "two_splits"),
        ("images[4].sentences[0]", "5#1", "picture_dropped"),
        ("images[5]", "9", "duplicate_id"),
        ("images[5].sentences[0]", "9#2", "picture_dropped"),
    ]


def test_names_that_are_no_unicode_are_dropped_alone(tmp_path: Path) -> None:
    images = [flickr()[0] | {"filename": "\ud800.jpg", "filepath": "\udcff"}, *flickr()]
    listing = read(make(tmp_path, images))
    assert texts(listing) == GOOD
    assert [row[2] for row in dropped(listing)] == ["encoding", *["picture_dropped"] * 2]
    content = json.dumps({"images": flickr()}).replace("Two of a", "Two caf\xe9")
    (tmp_path / "dataset_flickr8k.json").write_bytes(content.encode("latin-1"))
    listing = read(tmp_path)
    assert texts(listing) == {i: text for i, text in GOOD.items() if i != "a#1"}
    assert dropped(listing) == [("images[0].sentences[1]", "a#1", "encoding")]


@pytest.mark.parametrize("evil", ["../secret.jpg", "{outside}/secret.jpg", "x/../../secret.jpg"])
def test_paths_that_leave_are_handed_on_to_be_refused(tmp_path: Path, evil: str) -> None:
    (tmp_path / "secret.jpg").touch()
    (tmp_path / "other.jpg").touch()
    entry = flickr()[0] | {"filename": evil.format(outside=tmp_path)}
    listing = read(make(tmp_path / "raw", [entry, *flickr()[1:]]))
    with pytest.raises(PictureError) as caught:
        inside(tmp_path / "raw", listing.images[0].path)
    assert caught.value.reason == "outside_folder"
    assert dropped(listing) == [("pictures/a.jpg", "pictures/a.jpg", "not_listed")]


def coco_on_disk(raw: Path) -> Path:
    entries = coco()
    bare = entries[0] | {"filename": "bare.jpg", "cocoid": 1, "sentences": []}
    absent = entries[0] | {"filename": "absent.jpg", "cocoid": 2, "sentences": [sentence(3)]}
    make(raw, [*entries, bare, absent], name="dataset_coco.json", pictures=())
    for number, name in enumerate((*coco_pictures(), "train2014/bare.jpg")):
        path = raw / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (20 * number, 0, 0)).save(path)
    return raw


@pytest.mark.parametrize(("restval", "train"), [("train", ["9", "74"]), ("leave_out", ["9"])])
def test_the_whole_of_ingest(
    tmp_path: Path, restval: str, train: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(find, "LAYOUTS", (KARPATHY,))
    ingested = ingest(coco_on_disk(tmp_path), ingest_settings(restval))
    assert ingested.layout == "karpathy"
    assert ingested.hashed_splits == []
    rows = [(row["image_id"], row["split"]) for row in ingested.images]
    assert rows == [
        ("9", "train"),
        ("42", "val"),
        ("73", "test"),
        *[("74", "train")] * (restval == "train"),
    ]
    assert [row["caption_id"] for row in ingested.captions] == [
        f"{image_id}#{770_000 + int(image_id)}" for image_id, _ in rows
    ]
    lost = [row for row in ingested.dropped if row["reason"] not in BY_CHOICE]
    assert [(row["item"], row["reason"]) for row in lost] == [
        ("1", "no_captions"),
        ("2", "missing"),
        ("2#3", "picture_dropped"),
    ]


def ingest_settings(restval: str) -> IngestSettings:
    values = {
        "folder": "not read",
        "format": "auto",
        "val_share": 0.2,
        "test_share": 0.2,
        "restval": restval,
        "max_dropped": 0.0,
        "max_pixels": 1000,
    }
    return IngestSettings.model_validate(values)


ODD = st.sampled_from(
    [None, True, 0, -1, 3, 1.5, float("nan"), 10**40, "", " ", "a.jpg", "\ud800", [], {}, [[3]]]
)
SENTENCES = ODD | st.fixed_dictionaries(
    {},
    optional={
        "sentid": st.integers(0, 3) | ODD,
        "raw": st.sampled_from(["A dog .", "Two\nlines"]) | ODD,
        "tokens": st.lists(st.sampled_from(["a", "dog"]) | ODD, max_size=2) | ODD,
    },
)
IMAGES = ODD | st.fixed_dictionaries(
    {},
    optional={
        "filename": st.sampled_from(
            ["a.jpg", "b.jpg", "./a.jpg", "a.png", "../a.jpg", "/a.jpg", "\0.jpg", "..", "x/a.jpg"]
        )
        | ODD,
        "filepath": st.sampled_from(["", "val2014", "..", "/", "\0", "x" * 300]) | ODD,
        "split": st.sampled_from(["train", "val", "test", "restval", "x"]) | ODD,
        "cocoid": st.integers(0, 2) | ODD,
        "sentences": st.lists(SENTENCES, max_size=4) | ODD,
    },
)
QUIET = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture]}


@settings(**QUIET)
@given(images=st.lists(IMAGES, max_size=6))
@example(images=[{"filename": "\ud800/a.jpg"}])
@example(images=[flickr()[0] | {"filepath": "\0"}])
def test_whatever_the_entries_they_add_up(tmp_path: Path, images: list[Any]) -> None:
    listing = read(make(tmp_path, [*flickr(), *images]))
    check(listing)
    sentences = [entry.get("sentences") for entry in images if isinstance(entry, dict)]
    read_in = len(images) + sum(len(s) for s in sentences if isinstance(s, list))
    told = sum(row["reason"] not in {"not_listed", "repaired"} for row in listing.dropped)
    assert len(listing.images) + len(listing.captions) + told == read_in + 3 + len(GOOD)
    assert GOOD.items() <= texts(listing).items()  # good entries stay, whatever comes after


@settings(**QUIET)
@given(
    content=st.binary(max_size=80)
    | ODD.map(lambda odd: json.dumps({"images": odd}).encode())
    | st.integers(0, 900).map(lambda end: json.dumps({"images": flickr()}).encode()[:end])
    | st.tuples(st.integers(0, 900), st.binary(min_size=1, max_size=1)).map(
        lambda at: (
            (whole := json.dumps({"images": flickr()}).encode())[: at[0]]
            + at[1]
            + whole[at[0] + 1 :]
        )
    )
)
def test_whatever_the_bytes_a_listing_or_one_clear_error(tmp_path: Path, content: bytes) -> None:
    make(tmp_path)
    (tmp_path / "dataset_flickr8k.json").write_bytes(content)
    with suppress(InputError):
        check(read(tmp_path))


def check(listing: Listing) -> None:
    images = [image.image_id for image in listing.images]
    paths = [image.path for image in listing.images]
    ids = [caption.caption_id for caption in listing.captions]
    for unique in (images, paths, ids):
        assert len(set(unique)) == len(unique)
    assert {caption.image_id for caption in listing.captions} <= set(images)
    assert {image.split for image in listing.images} <= {"train", "val", "test", "restval"}
    for row in listing.dropped:
        "".join(row.values()).encode("utf-8")
    for caption in listing.captions:
        assert caption.text.strip()
        caption.text.encode("utf-8")


def test_beside_the_lists_of_coco_it_wins(tmp_path: Path) -> None:
    (tmp_path / "annotations").mkdir()
    for split in ("train", "val"):
        (tmp_path / "annotations" / f"captions_{split}2014.json").touch()
    raw = make(tmp_path, name="annotations/dataset_coco.json")
    assert find.find_layout(raw, "auto") is KARPATHY
    assert texts(read(raw)) == GOOD
    make(tmp_path)
    with pytest.raises(InputError, match=r"expected one file .*dataset_coco.*dataset_flickr8k"):
        read(raw)
