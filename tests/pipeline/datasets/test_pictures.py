"""The names of picture files."""

import posixpath
import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.datasets.pictures import (
    PICTURE_SUFFIXES,
    begins_with_picture,
    find_folder,
    id_of,
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
