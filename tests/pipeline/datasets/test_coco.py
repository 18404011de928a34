"""MS COCO's lists of 2014 and 2017, in small copies with every quirk."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.datasets import find
from pipeline.datasets.coco import COCO, read, recognises
from pipeline.datasets.ingest import Ingested, IngestSettings, ingest
from pipeline.datasets.layout import BY_CHOICE, Listing
from pipeline.errors import InputError
from pipeline.images.decode import PictureError, inside

Entry = dict[str, Any]
IDS = {"train": (9, 25), "val": (42,), "test": (1,)}


def image(split: str, number: int, year: str = "2017") -> Entry:
    name = f"{number:012}.jpg" if year == "2017" else f"COCO_{split}{year}_{number:012}.jpg"
    return {"license": 3, "file_name": name, "height": 640, "width": 480, "id": number}


def annotation(number: int, picture: int, caption: Any = "A dog .") -> Entry:
    return {"image_id": picture, "id": number, "caption": caption}


def content(split: str, year: str = "2017") -> dict[str, Any]:
    """Write a list as it is published, with two captions a picture but for those of test."""
    images = [image(split, number, year) for number in IDS[split]]
    whole = {"info": {"year": int(year)}, "licenses": [{"id": 3}], "images": images}
    if split == "test":
        return whole | {"categories": [{"id": 1}]}
    captions = [
        annotation(100 * number + place, number, f"{word} of {number}")
        for number in IDS[split]
        for place, word in enumerate(("One", "Two"))
    ]
    return whole | {"annotations": captions}


GOOD = {
    **{"9#900": "One of 9", "9#901": "Two of 9", "25#2500": "One of 25", "25#2501": "Two of 25"},
    **{"42#4200": "One of 42", "42#4201": "Two of 42"},
}


def list_name(split: str, year: str = "2017") -> str:
    return f"image_info_test{year}.json" if split == "test" else f"captions_{split}{year}.json"


def write(raw: Path, name: str, whole: Any) -> None:
    (raw / name).parent.mkdir(parents=True, exist_ok=True)
    (raw / name).write_text(json.dumps(whole))


def make(
    raw: Path,
    splits: tuple[str, ...] = ("train", "val"),
    *,
    year: str = "2017",
    lists: str = "annotations/",
    folder: str = "",
    **changed: Any,
) -> Path:
    """Lay out lists and empty pictures; a list's keys are `changed` by split."""
    for split in splits:
        whole = content(split, year)
        for entry in whole["images"]:
            path = raw / folder / f"{split}{year}" / entry["file_name"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        write(raw, lists + list_name(split, year), whole | changed.get(split, {}))
    return raw


def texts(listing: Listing) -> dict[str, str]:
    return {caption.caption_id: caption.text for caption in listing.captions}


def dropped(listing: Listing) -> list[tuple[str, str, str]]:
    """Places after the folder of the lists, items and reasons."""
    return [
        (row["source"].removeprefix("annotations/"), row["item"], row["reason"])
        for row in listing.dropped
    ]


@pytest.mark.parametrize("folder", ["", "images", "any name"])
@pytest.mark.parametrize("lists", ["", "annotations/"])
@pytest.mark.parametrize("year", ["2014", "2017"])
def test_all_is_read_in_either_year(tmp_path: Path, year: str, lists: str, folder: str) -> None:
    make(tmp_path, ("train", "val", "test"), year=year, lists=lists, folder=folder)
    for beside in ("instances", "person_keypoints"):
        write(tmp_path, f"{lists}{beside}_val{year}.json", {"images": 3})
    listing = read(tmp_path)
    assert texts(listing) == GOOD
    prefix = f"{folder}/" if folder else ""
    assert [(i.image_id, i.path, i.split, i.source) for i in listing.images] == [
        (
            str(number),
            f"{prefix}{split}{year}/{image(split, number, year)['file_name']}",
            split,
            f"{lists}{list_name(split, year)}:images[{place}]",
        )
        for split in ("train", "val", "test")
        for place, number in enumerate(IDS[split])
    ]
    assert listing.captions[-1].source == f"{lists}captions_val{year}.json:annotations[1]"
    assert listing.captions[-1].image_id == "42"
    assert listing.dropped == []
    assert listing.uncaptioned == {"1"}
    assert listing.splits == {"train", "val", "test"}


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("captions_train2014.json", True),
        ("captions_val2014.json", True),
        ("annotations/captions_train2017.json", True),
        ("annotations/captions_val2017.json", True),
        ("other/captions_val2017.json", False),
        ("captions_val2015.json", False),
        ("captions.json", False),
        ("image_info_test2017.json", False),
        ("annotations/instances_val2017.json", False),
    ],
)
def test_it_is_known_by_its_names_alone(tmp_path: Path, name: str, is_one: bool) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("not JSON")
    assert recognises(tmp_path) == is_one


def test_both_years_at_once_are_refused(tmp_path: Path) -> None:
    make(tmp_path, ("train", "val"), year="2014")
    make(tmp_path, ("val",), year="2017", lists="")
    told = r"captions_train2014\.json, captions_val2014\.json, captions_val2017\.json\. .*of one"
    with pytest.raises(InputError, match=told):
        read(tmp_path)
    with pytest.raises(InputError, match="Received: none"):
        read(tmp_path / "train2014")


def test_a_list_in_two_places_is_refused(tmp_path: Path) -> None:
    make(tmp_path, lists="")
    make(tmp_path, ("val",))
    told = r"expected captions_val2017\.json once\. .*/annotations/captions_val2017\.json"
    with pytest.raises(InputError, match=told):
        read(tmp_path)


@pytest.mark.parametrize(
    ("splits", "found", "own"),
    [
        (("train",), ["train", "train"], {"train"}),
        (("train", "test"), ["train", "train", "test"], {"train", "test"}),
        (("val",), [None], set()),
        (("val", "test"), [None, "test"], {"test"}),
    ],
)
def test_a_list_alone(
    tmp_path: Path, splits: tuple[str, ...], found: list[str | None], own: set[str]
) -> None:
    listing = read(make(tmp_path, splits))
    assert [image.split for image in listing.images] == found
    assert listing.splits == own


def test_part_of_the_test_pictures_is_read_where_the_whole_is_not(tmp_path: Path) -> None:
    make(tmp_path, ("train", "val", "test"))
    whole = content("test")
    write(tmp_path, "annotations/image_info_test-dev2017.json", whole)
    listing = read(tmp_path)
    assert listing.dropped == []
    (tmp_path / "annotations" / "image_info_test2017.json").unlink()
    listing = read(tmp_path)
    assert listing.images[-1].source == "annotations/image_info_test-dev2017.json:images[0]"
    assert listing.uncaptioned == {"1"}


def test_the_test_pictures_of_2015_go_with_the_captions_of_2014(tmp_path: Path) -> None:
    make(tmp_path, ("test",), year="2015")
    listing = read(make(tmp_path, year="2014"))
    assert listing.images[-1].path == "test2015/COCO_test2015_000000000001.jpg"
    assert listing.uncaptioned == {"1"}


def test_test_pictures_may_have_captions_of_ones_own(tmp_path: Path) -> None:
    images = [image("test", 1), image("test", 2)]
    mine = {"images": images, "annotations": [annotation(7, 2, "Mine .")]}
    listing = read(make(tmp_path, ("train", "val", "test"), test=mine))
    assert texts(listing) == GOOD | {"2#7": "Mine ."}
    assert listing.uncaptioned == {"1"}


def test_all_pictures_in_one_folder(tmp_path: Path) -> None:
    make(tmp_path)
    for path in list(tmp_path.glob("*2017/*.jpg")):
        (tmp_path / "all").mkdir(exist_ok=True)
        path.rename(tmp_path / "all" / path.name)
    (tmp_path / "all" / "more.jpg").touch()
    listing = read(tmp_path)
    assert len(listing.images) == 3
    assert dropped(listing) == [("all/more.jpg", "all/more.jpg", "not_listed")]


def test_pictures_that_are_not_there_at_all(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "train2017" / "000000000009.jpg").unlink()
    assert len(read(tmp_path).images) == 3  # ingest will find that it is missing
    (tmp_path / "train2017" / "000000000025.jpg").unlink()
    told = r"such as '000000000009\.jpg'.* or take captions_train2017\.json away"
    with pytest.raises(InputError, match=told):
        read(tmp_path)


@pytest.mark.parametrize(
    ("whole", "told"),
    [
        (b"", "an empty file"),
        (b'{"images": [{"id": 9', "cut off"),
        (b"[1]", r"expected \{.images.: .*Received: a list"),
        (b'{"annotations": []}', "an object with 'annotations'"),
        (b'{"images": []}', r"expected \{.*.annotations.*Received: an object with 'images'"),
        (b'{"images": [], "annotations": {}}', '"annotations" as an empty object'),
        (b'{"images": null, "annotations": []}', '"images" as null'),
        (b'{"images": [], "annotations": []}', "the names of pictures. Received: none"),
        (b'{"images": [' + b"[" * 100_000 + b"]}", "nested too deeply"),
    ],
)
def test_a_list_that_is_not_of_the_form(tmp_path: Path, whole: bytes, told: str) -> None:
    make(tmp_path)
    (tmp_path / "annotations" / "captions_val2017.json").write_bytes(whole)
    with pytest.raises(InputError, match=told) as caught:
        read(tmp_path)
    assert "\n" not in str(caught.value)
    assert "captions_val2017.json" in str(caught.value)


def test_the_form_of_test_lists(tmp_path: Path) -> None:
    make(tmp_path, ("train", "test"), test={"annotations": 3})
    with pytest.raises(InputError, match='"annotations" as a number'):
        read(tmp_path)
    write(tmp_path, "annotations/image_info_test2017.json", {})
    with pytest.raises(InputError, match=r"as COCO's image_info_test2017.*an empty object"):
        read(tmp_path)


def test_broken_pictures_are_dropped_alone(tmp_path: Path) -> None:
    broken: list[Any] = [
        3,
        None,
        [image("val", 42)],
        {},
        {"id": 5},
        {"file_name": "x.jpg"},
        *({"id": number, "file_name": "x.jpg"} for number in ("5", 5.0, True, float("nan"))),
        *({"id": 6, "file_name": name} for name in (3, "", " ", ["x.jpg"])),
    ]
    # With captions of pictures that were left out, and of one that was never there.
    annotations = [
        *content("val")["annotations"],
        *(annotation(number, number) for number in (5, 6, 7)),
    ]
    changed = {"images": [*broken, image("val", 42)], "annotations": annotations}
    listing = read(make(tmp_path, val=changed))
    assert texts(listing) == GOOD
    name = "captions_val2017.json"
    ids = {4: "5", 10: "6", 11: "6", 12: "6", 13: "6"}
    assert dropped(listing) == [
        *(
            (f"{name}:images[{n}]", ids.get(n, f"annotations/{name}:images[{n}]"), "broken_line")
            for n in range(len(broken))
        ),
        (f"{name}:annotations[2]", "5#5", "picture_dropped"),
        (f"{name}:annotations[3]", "6#6", "picture_dropped"),
        (f"{name}:annotations[4]", "7#7", "no_split"),
    ]


def test_broken_captions_are_dropped_alone(tmp_path: Path) -> None:
    broken: list[tuple[Any, str, str]] = [
        ("A dog .", "", "broken_line"),
        ({}, "", "broken_line"),
        (annotation(1, 42) | {"image_id": "42"}, "", "broken_line"),
        (annotation(1, 42) | {"image_id": 42.0}, "", "broken_line"),
        (annotation(1, 42) | {"id": "1"}, "", "broken_line"),
        (annotation(1, 42) | {"id": True}, "", "broken_line"),
        (annotation(2, 42, None), "42#2", "broken_line"),
        (annotation(3, 42, ["A dog ."]), "42#3", "broken_line"),
        (annotation(4, 42, "A \ud800 dog ."), "42#4", "encoding"),
        (annotation(5, 42, ""), "42#5", "empty_caption"),
        (annotation(6, 42, " \n"), "42#6", "empty_caption"),
        (annotation(4200, 42, "Again ."), "42#4200", "duplicate_id"),
        (annotation(7, 9, "Of a picture of train ."), "9#7", "no_split"),
    ]
    annotations = [*content("val")["annotations"], *(entry for entry, _, _ in broken)]
    annotations.append(annotation(8, 42, " Last .\n"))
    listing = read(make(tmp_path, val={"annotations": annotations}))
    assert texts(listing) == GOOD | {"42#8": " Last .\n"}
    place = "captions_val2017.json:annotations[{}]".format
    assert dropped(listing) == [
        (place(number), item or f"annotations/{place(number)}", reason)
        for number, (_, item, reason) in enumerate(broken, start=2)
    ]
    assert json.loads(listing.dropped[-1]["raw"]) == broken[-1][0]


def test_a_picture_twice_and_in_two_splits(tmp_path: Path) -> None:
    train = {"images": [*content("train")["images"], image("train", 9)]}
    twice = [image("val", 9), image("val", 42), image("val", 42) | {"id": 43}]
    annotations = [*content("val")["annotations"], annotation(1, 9), annotation(2, 43)]
    make(tmp_path, train=train, val={"images": twice, "annotations": annotations})
    listing = read(tmp_path)
    assert texts(listing) == GOOD
    assert [(i.image_id, i.split) for i in listing.images] == [
        ("9", "train"),
        ("25", "train"),
        ("42", "val"),
    ]
    assert dropped(listing) == [
        ("captions_train2017.json:images[2]", "9", "duplicate_id"),
        ("captions_val2017.json:images[0]", "9", "two_splits"),
        ("captions_val2017.json:images[2]", "43", "duplicate_id"),
        ("captions_val2017.json:annotations[2]", "9#1", "picture_dropped"),
        ("captions_val2017.json:annotations[3]", "43#2", "picture_dropped"),
    ]


def test_what_is_not_utf_8_is_dropped_alone(tmp_path: Path) -> None:
    images = [image("val", 42), image("val", 43) | {"file_name": "\ud800/x.jpg"}]
    make(tmp_path, val={"images": images})
    path = tmp_path / "annotations" / "captions_val2017.json"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"Two of", b"Caf\xe9 of"))
    listing = read(tmp_path)
    assert texts(listing) == {i: text for i, text in GOOD.items() if i != "42#4201"}
    assert [row[1:] for row in dropped(listing)] == [("43", "encoding"), ("42#4201", "encoding")]


@pytest.mark.parametrize("evil", ["../secret.jpg", "{outside}/secret.jpg", "x/../../secret.jpg"])
def test_paths_that_leave_are_handed_on_to_be_refused(tmp_path: Path, evil: str) -> None:
    (tmp_path / "secret.jpg").touch()
    (tmp_path / "other.jpg").touch()
    images = [image("val", 42), {"id": 43, "file_name": evil.format(outside=tmp_path)}]
    listing = read(make(tmp_path / "raw", val={"images": images}))
    with pytest.raises(PictureError) as caught:
        inside(tmp_path / "raw", listing.images[-1].path)
    assert caught.value.reason == "outside_folder"
    assert listing.dropped == []


def ingested(raw: Path, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> Ingested:
    monkeypatch.setattr(find, "LAYOUTS", (COCO,))
    for number, path in enumerate(sorted(raw.glob("*/*.jpg"))):
        Image.new("RGB", (8, 8), (number % 256, 0, 0)).save(path)
    values = {
        "folder": "not read",
        "format": "auto",
        "val_share": 0.2,
        "test_share": 0.2,
        "restval": "train",
        "max_dropped": 0.0,
        "max_pixels": 1000,
    }
    return ingest(raw, IngestSettings.model_validate(values | changes))


def test_the_whole_of_ingest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = [*content("train")["images"], image("train", 26), image("train", 27)]
    annotations = [*content("train")["annotations"], annotation(2700, 27)]
    train = {"images": images, "annotations": annotations}
    make(tmp_path, ("train", "val", "test"), train=train)
    (tmp_path / "train2017" / "000000000026.jpg").touch()
    found = ingested(tmp_path, monkeypatch)
    assert found.layout == "coco"
    assert found.hashed_splits == []
    assert [(row["image_id"], row["split"]) for row in found.images] == [
        ("9", "train"),
        ("25", "train"),
        ("42", "val"),
        ("1", "test"),
    ]
    assert {row["caption_id"]: row["text"] for row in found.captions} == GOOD
    assert not {row["reason"] for row in found.dropped} & BY_CHOICE
    assert [(row["item"], row["reason"]) for row in found.dropped] == [
        ("26", "no_captions"),
        ("27", "missing"),
        ("27#2700", "picture_dropped"),
    ]


def test_val_alone_is_split_by_ingest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = range(100, 140)
    images = [image("val", number) for number in numbers]
    annotations = [annotation(number, number) for number in numbers]
    make(tmp_path, ("val",), val={"images": images, "annotations": annotations})
    (tmp_path / "val2017" / "000000000042.jpg").unlink()
    for entry in images:
        (tmp_path / "val2017" / entry["file_name"]).touch()
    found = ingested(tmp_path, monkeypatch)
    assert found.hashed_splits == ["train", "val", "test"]
    assert {row["split"] for row in found.images} == {"train", "val", "test"}
    assert len(found.images) == len(numbers)
    assert found.dropped == []


ODD = st.sampled_from(
    [None, True, 0, -1, 9, 42, 1.5, float("nan"), 10**40, "", " ", "9", "\ud800", [], {}, [[3]]]
)
NUMBERS = st.sampled_from([9, 25, 42, 1, 2, 3]) | ODD
IMAGES = ODD | st.fixed_dictionaries(
    {},
    optional={
        "id": NUMBERS,
        "file_name": st.sampled_from(
            ["000000000009.jpg", "000000000042.jpg", "./x.jpg", "../x.jpg", "/x.jpg", "..", "\0/x"]
        )
        | ODD,
    },
)
ANNOTATIONS = ODD | st.fixed_dictionaries(
    {},
    optional={
        "id": NUMBERS,
        "image_id": NUMBERS,
        "caption": st.sampled_from(["A dog .", "Two\nlines"]) | ODD,
    },
)
LISTS = st.fixed_dictionaries(
    {"images": st.lists(IMAGES, max_size=4), "annotations": st.lists(ANNOTATIONS, max_size=4)}
)
QUIET = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture]}


@settings(**QUIET)
@given(train=LISTS, val=LISTS, test=LISTS)
def test_whatever_the_entries_they_add_up(
    tmp_path: Path, train: Entry, val: Entry, test: Entry
) -> None:
    odd = {"train": train, "val": val, "test": test}
    changed = {
        split: {
            key: [*content(split).get(key, []), *entries] for key, entries in odd[split].items()
        }
        for split in odd
    }
    listing = read(make(tmp_path, ("train", "val", "test"), **changed))
    check(listing)
    entries = [entry for lists in changed.values() for key in lists for entry in lists[key]]
    told = sum(row["reason"] != "not_listed" for row in listing.dropped)
    assert len(listing.images) + len(listing.captions) + told == len(entries)
    # The lists are read in turn, so that odd entries of train can take a picture from val.
    assert {i: t for i, t in GOOD.items() if not i.startswith("42#")}.items() <= texts(
        listing
    ).items()


@settings(**QUIET)
@given(
    whole=st.binary(max_size=80)
    | st.builds(lambda a, b: json.dumps({"images": a, "annotations": b}).encode(), ODD, ODD)
    | st.integers(0, 600).map(lambda end: json.dumps(content("val")).encode()[:end])
    | st.builds(
        lambda at, byte: (text := json.dumps(content("val")).encode())[:at] + byte + text[at + 1 :],
        st.integers(0, 600),
        st.binary(min_size=1, max_size=1),
    )
)
def test_whatever_the_bytes_a_listing_or_one_clear_error(tmp_path: Path, whole: bytes) -> None:
    make(tmp_path)
    (tmp_path / "annotations" / "captions_val2017.json").write_bytes(whole)
    with suppress(InputError):
        check(read(tmp_path))


def check(listing: Listing) -> None:
    images = [image.image_id for image in listing.images]
    paths = [image.path for image in listing.images]
    ids = [caption.caption_id for caption in listing.captions]
    for unique in (images, paths, ids):
        assert len(set(unique)) == len(unique)
    captioned = {caption.image_id for caption in listing.captions}
    assert captioned <= set(images)
    assert listing.uncaptioned <= set(images) - captioned
    for row in listing.dropped:
        "".join(row.values()).encode("utf-8")
    for caption in listing.captions:
        assert caption.text.strip()
        caption.text.encode("utf-8")


def test_smaller_copies_beside_are_not_taken(tmp_path: Path) -> None:
    make(tmp_path, year="2014")
    for split in ("train", "val"):
        copies = tmp_path / ("resized2014" if split == "train" else "small")
        copies.mkdir()
        for entry in content(split, "2014")["images"]:
            (copies / entry["file_name"]).touch()
    listing = read(tmp_path)
    assert {image.path.partition("/")[0] for image in listing.images} == {"train2014", "val2014"}
