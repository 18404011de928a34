"""The names of picture files."""

import posixpath
import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.datasets.pictures import (
    CAPITALS,
    NORMALISED,
    PICTURE_SUFFIXES,
    begins_with_picture,
    find_folder,
    id_of,
    look_alike,
)
from pipeline.errors import InputError

NAMES = st.lists(
    st.sampled_from(["a", ".", "..", "/", "jpg", "JPG", ".jpeg", ".png", "txt", "1", " "]),
    max_size=6,
).map("".join)


@given(NAMES)
@example("a/.jpg")
@example("a/..jpg")
@example("a.b/c")
def test_an_id_is_the_name_without_the_suffix_of_a_picture(name: str) -> None:
    stem, suffix = posixpath.splitext(name)
    assert id_of(name) == (stem if suffix.lower() in PICTURE_SUFFIXES else name)


@pytest.mark.parametrize(
    ("line", "is_one"),
    [
        ("a.jpg,x", True),
        (' "a b.PNG" ,', True),
        ("a.jpg", False),
        ("a,b.jpg", False),
        ("a.jpg.1,x", False),
        (",x", False),
        ("", False),
    ],
)
def test_a_line_that_begins_with_a_picture(line: str, is_one: bool) -> None:
    assert begins_with_picture(line, ",") is is_one


@pytest.mark.parametrize(
    ("there", "listed", "told"),
    [
        (unicodedata.normalize("NFD", "caf\u00e9.jpg"), "caf\u00e9.jpg", "as macOS does"),
        ("one.JPG", "one.jpg", "Small and capital letters are not the same"),
    ],
)
def test_a_name_that_looks_the_same_is_told(tmp_path: Path, there: str, listed: str, told: str):
    (tmp_path / "photos").mkdir()
    for name in ("another.jpg", there):
        (tmp_path / "photos" / name).touch()
    with pytest.raises(InputError, match=told) as caught:
        find_folder(tmp_path, [listed], "captions.csv")
    assert f"There is {f'photos/{there}'!r}." in str(caught.value)


def test_of_folders_with_as_many_pictures_the_outer_one_or_the_one_called_so(
    tmp_path: Path,
) -> None:
    for folder in ("photos", "masks", "masks/again"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.jpg").touch()
    with pytest.raises(InputError, match=r"Received several, .*each: masks, photos\. Take the"):
        find_folder(tmp_path, ["a.jpg"], "captions.csv")
    assert find_folder(tmp_path, ["a.jpg"], "captions.csv", "photos") == "photos"
    (tmp_path / "photos" / "b.jpg").touch()
    assert find_folder(tmp_path, ["a.jpg", "b.jpg"], "captions.csv") == "photos", "it has more"
    (tmp_path / "photos" / "a.jpg").unlink()
    assert find_folder(tmp_path, ["a.jpg"], "captions.csv") == "masks", "the outer one"
    (tmp_path / "a.jpg").touch()
    assert find_folder(tmp_path, ["a.jpg"], "captions.csv") == "", "beside the list"


def test_a_folder_and_a_link_to_it_are_one(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").touch()
    (tmp_path / "alias").symlink_to("photos")
    assert find_folder(tmp_path, ["a.jpg"], "captions.csv") in ("alias", "photos")


def test_of_many_names_one_that_looks_the_same_is_told() -> None:
    listed = ["caf\u00e9.jpg", "two.jpg"]
    there = ["x/one.JPG", unicodedata.normalize("NFD", "x/caf\u00e9.jpg")]
    assert look_alike(listed, there) == f" There is {there[1]!r}.{NORMALISED}"
    assert look_alike(["one.jpg"], there) == f" There is {there[0]!r}.{CAPITALS}"
    assert look_alike(["three.jpg"], there) == ""
