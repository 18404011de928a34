"""A JSON file is read whole or refused in one line, whatever its bytes."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.datasets.json_files import (
    TOLD,
    KnownPictures,
    as_found,
    entries_of,
    is_id,
    load,
    path_of,
    why_twice,
    why_unusable,
)
from pipeline.datasets.layout import ListedImage
from pipeline.datasets.pictures import unlisted
from pipeline.errors import InputError


def message(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        load(path)
    told = str(caught.value)
    assert "\n" not in told
    assert str(path) in told
    return told


def test_what_is_no_json_is_told_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    for empty in (b"", b" \n", b"\xef\xbb\xbf"):
        assert "Received: an empty file. The file may be cut off" in message(path, empty)
    assert "line 2 column 1" in message(path, b'{"images":\n')
    assert "Extra data" in message(path, b"{} {}")
    assert "nested too deeply" in message(path, b"[" * 200_000)
    assert "nested too deeply" in message(path, b'{"a":' * 200_000)
    assert "expected JSON in UTF-8" in message(path, '{"images": []}'.encode("utf-16"))
    assert "digits" in message(path, b"[" + b"9" * 5000 + b"]")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.json: cannot be read: No such file"):
        load(tmp_path / "absent.json")
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        load(tmp_path)


def test_a_mark_and_bytes_in_another_encoding_lose_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(b'\xef\xbb\xbf["caf\xe9", "caf\xc3\xa9", "\\ud83d\\ude00", NaN, 1e999]')
    found = load(path)
    assert found[:3] == ["caf\udce9", "café", "\U0001f600"]
    assert [is_id(value) for value in found] == [False] * 5


def test_the_hook_takes_the_place_of_each_object(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text('{"a": [{"b": 1}, {"b": 2}]}')
    assert load(path, lambda entry: sorted(entry.items())) == [("a", [[("b", 1)], [("b", 2)]])]


@pytest.mark.parametrize(
    ("content", "received"),
    [
        ({}, "an empty object"),
        ({"k" * 90: 1, "b": 2}, f"an object with '{'k' * 40}', 'b'"),
        ({"images": {"a": 1}}, "\"images\" as an object with 'a'"),
        ({"images": None}, '"images" as null'),
        ([1], "a list"),
        ("images", "text"),
        (3, "a number"),
        (3.5, "a number"),
        (True, "true or false"),
        (None, "null"),
    ],
)
def test_a_file_without_the_list_says_what_it_has(content: Any, received: str) -> None:
    with pytest.raises(InputError) as caught:
        entries_of(Path("x.json"), content, "images", "FORM")
    told = str(caught.value)
    assert told.startswith(f"x.json: expected FORM. Received: {received}. Put")


def test_the_list_is_taken() -> None:
    assert entries_of(Path("x.json"), {"images": [1]}, "images", "FORM") == [1]


def test_only_whole_numbers_are_ids() -> None:
    assert [v for v in (0, -3, 10**30) if is_id(v)] == [0, -3, 10**30]
    assert not any(is_id(v) for v in (True, False, 1.0, float("nan"), "1", None, [1], {}))


@pytest.mark.parametrize(
    ("parts", "path"),
    [
        (("", "a.jpg"), "a.jpg"),
        (("val2014", "a.jpg"), "val2014/a.jpg"),
        (("./x//y/", "./a.jpg"), "x/y/a.jpg"),
        (("x", "../a.jpg"), "x/../a.jpg"),
        (("x", "/a.jpg"), "/a.jpg"),
        (("x", ""), ""),
        (("x", " "), ""),
        (("x", None), ""),
        ((3, "a.jpg"), ""),
    ],
)
def test_paths_are_put_together_as_written(parts: tuple[Any, ...], path: str) -> None:
    assert path_of(*parts) == path


def test_entries_are_written_short_and_always() -> None:
    assert as_found({"a": ["é", float("nan")]}) == '{"a": ["é", NaN]}'
    assert len(as_found("x" * 10_000)) == TOLD
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert as_found(deep) == "..."
    while deep:  # or Python takes it apart by recursion
        deep = deep.pop()


def test_a_picture_is_known_by_its_id_and_by_its_file() -> None:
    known = KnownPictures()
    first = ListedImage("1", "x/a.jpg", "train", "f:1")
    assert known.add(first) is None
    same_id = ListedImage("1", "x/b.jpg", "train", "f:2")
    same_path = ListedImage("2", "x/a.jpg", "val", "f:3")
    assert known.add(same_id) is known.add(same_path) is first
    assert why_twice(first, same_id) == "duplicate_id"
    assert why_twice(first, same_path) == "two_splits"
    assert known.add(ListedImage("2", "x/b.jpg", "val", "f:4")) is None  # neither was kept


def test_why_a_caption_is_none() -> None:
    assert why_unusable(" A dog . ") is None
    values = [(3, "broken_line"), (None, "broken_line"), ("\ud800", "encoding")]
    for value, reason in [*values, ("", "empty_caption"), (" \n", "empty_caption")]:
        assert why_unusable(value) == reason


def test_pictures_beside_listed_ones_are_found_and_no_others(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    for folder in ("x", "y", "z"):
        (raw / folder).mkdir(parents=True)
        for name in ("a.jpg", "b.PNG", "c.txt"):
            (raw / folder / name).touch()
    (tmp_path / "secret.jpg").touch()
    odd = ["../q.jpg", f"{tmp_path}/q.jpg", "x/../../q.jpg", "\0/q.jpg", f"{'n' * 999}/q.jpg"]
    paths = ["x/a.jpg", "y/a.jpg", "y/b.PNG", "absent/a.jpg", *odd]
    assert list(unlisted(raw, paths)) == ["x/b.PNG"]


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=60) | st.text(alphabet='[]{}",:\\ud8019eN', max_size=60))
def test_whatever_the_bytes_json_or_one_clear_error(tmp_path: Path, content: bytes | str) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with suppress(InputError):
        as_found(load(path))
        json.loads(path.read_bytes().decode("utf-8-sig", "surrogateescape"))
