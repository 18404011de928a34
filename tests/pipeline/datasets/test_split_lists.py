"""Lists of splits: of names or of ids, of all three splits or of none."""

from pathlib import Path

import pytest

from pipeline.datasets.layout import Listing
from pipeline.datasets.split_lists import (
    FLICKR8K_LISTS,
    FLICKR30K_LISTS,
    find_lists,
    matching_files,
    read_lists,
)
from pipeline.errors import InputError

SPLITS = ("train", "val", "test")


def make(folder: Path, prefix: str = "", **content: bytes) -> Path:
    folder.mkdir(exist_ok=True)
    for split in SPLITS:
        (folder / f"{prefix}{split}.txt").write_bytes(content.get(split, b""))
    return folder


def read(raw: Path, names: list[str], **content: bytes) -> Listing:
    listing = Listing()
    lists = find_lists(make(raw, **content), raw / "captions", FLICKR30K_LISTS)
    read_lists(raw, lists, names, listing)
    return listing


def images(listing: Listing) -> list[tuple[str, str, str | None]]:
    return [(image.image_id, image.path, image.split) for image in listing.images]


def reasons(listing: Listing) -> list[tuple[str, str, str]]:
    return [(row["source"], row["item"], row["reason"]) for row in listing.dropped]


@pytest.mark.parametrize("prefix", ["", "flickr30k_"])
@pytest.mark.parametrize("beside", ["", "inner"])
def test_lists_lie_in_the_folder_or_beside_the_captions(
    tmp_path: Path, prefix: str, beside: str
) -> None:
    folder = make(tmp_path / beside, prefix)
    found = find_lists(tmp_path, tmp_path / "inner" / "results.csv", FLICKR30K_LISTS)
    assert found == {split: folder / f"{prefix}{split}.txt" for split in SPLITS}


def test_no_lists_at_all(tmp_path: Path) -> None:
    (tmp_path / "train.txt").mkdir()
    (tmp_path / "strain.txt").touch()
    (tmp_path / "._x.trainImages.txt").touch()  # as macOS lays beside what it copies
    assert find_lists(tmp_path, tmp_path / "captions", FLICKR30K_LISTS) == {}
    assert find_lists(tmp_path, tmp_path / "captions", FLICKR8K_LISTS) == {}


def test_some_lists_absent_or_one_there_twice(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "val.txt").unlink()
    with pytest.raises(InputError, match=r"val\.txt or flickr30k_val\.txt .* Received: none"):
        find_lists(tmp_path, tmp_path / "captions", FLICKR30K_LISTS)
    make(tmp_path)
    (tmp_path / "flickr30k_test.txt").touch()
    with pytest.raises(InputError, match=r"Received: test\.txt, flickr30k_test\.txt"):
        find_lists(tmp_path, tmp_path / "captions", FLICKR30K_LISTS)


def test_an_id_stands_for_the_name_in_the_captions(tmp_path: Path) -> None:
    names = ["1.jpg", "2.PNG", "a.jpg.jpg", "3", "3.jpg", "x.jpg.1"]
    listing = read(tmp_path, names, train=b"1\n2\na.jpg\n", val=b"3\r\n9\r\n", test=b"x.jpg.1\n")
    assert images(listing) == [
        ("1", "1.jpg", "train"),
        ("2", "2.PNG", "train"),
        ("a", "a.jpg", "train"),  # which is a name, and not the id of a.jpg.jpg
        ("3", "3", "val"),
        ("9", "9", "val"),
        ("x.jpg.1", "x.jpg.1", "test"),
    ]
    assert listing.splits == set(SPLITS)
    assert listing.images[4].source == "val.txt:2"


def test_an_id_of_several_names(tmp_path: Path) -> None:
    names = ["3.jpg", "3", "4.png", "4.jpg"]
    listing = read(tmp_path, names, train=b"3\n4\n")
    assert images(listing) == [("3", "3", "train"), ("4", "4.png", "train")]


def test_a_picture_stays_in_the_first_list_however_it_is_written(tmp_path: Path) -> None:
    listing = read(tmp_path, ["1.jpg"], train=b"1\n1.jpg\n", val=b"1.jpg\n", test=b" 1 \n")
    assert images(listing) == [("1", "1.jpg", "train")]
    assert reasons(listing) == [
        ("train.txt:2", "1.jpg", "duplicate_id"),
        ("val.txt:1", "1.jpg", "two_splits"),
        ("test.txt:1", "1", "two_splits"),
    ]


def test_damage_is_dropped_by_line(tmp_path: Path) -> None:
    listing = read(tmp_path, [], train=b"\xef\xbb\xbf\r\nImage\r\n1\r\nimage\r\n\xff\r\n")
    assert images(listing) == [("1", "1", "train"), ("image", "image", "train")]
    assert reasons(listing) == [
        ("train.txt:2", "Image", "header"),
        ("train.txt:5", "\\udcff", "encoding"),
    ]


def test_matching_files_are_sorted_files(tmp_path: Path) -> None:
    for name in ("b.txt", "a.txt", ".c.txt", "d.csv"):
        (tmp_path / name).touch()
    (tmp_path / "e.txt").mkdir()
    assert [path.name for path in matching_files(tmp_path, "*.txt")] == ["a.txt", "b.txt"]
