"""The names of picture files."""

import posixpath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.datasets.pictures import PICTURE_SUFFIXES, begins_with_picture, id_of

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
