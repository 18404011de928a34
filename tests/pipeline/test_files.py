"""Files are whole or not there, and equal content is equal bytes."""

import errno
import hashlib
import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline import files
from pipeline.errors import InputError
from pipeline.files import (
    folder_written_whole,
    restore_folder,
    sha256_of,
    write_json,
    write_json_lines,
    write_text,
    written_whole,
)


def fail() -> None:
    raise RuntimeError("killed")


def test_a_file_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "new" / "file.txt"
    with written_whole(path) as temporary:
        temporary.write_text("whole")
        assert temporary.suffix == path.suffix
        assert not path.exists()
    assert path.read_text() == "whole"
    assert [file.name for file in path.parent.iterdir()] == ["file.txt"]


def test_a_failed_file_leaves_what_was_there(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("before")

    def write() -> None:
        with written_whole(path) as temporary:
            temporary.write_text("half")
            fail()

    with pytest.raises(RuntimeError, match="killed"):
        write()
    assert path.read_text() == "before"
    assert [file.name for file in tmp_path.iterdir()] == ["file.txt"]


def test_a_folder_takes_the_place_of_another_whole(tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "old").touch()
    with folder_written_whole(folder) as new:
        (new / "new").touch()
        assert [file.name for file in folder.iterdir()] == ["old"]
    assert [file.name for file in folder.iterdir()] == ["new"]
    assert [file.name for file in tmp_path.iterdir()] == ["set"]


def test_a_failed_folder_leaves_what_was_there(tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "old").touch()

    def write() -> None:
        with folder_written_whole(folder) as new:
            (new / "new").touch()
            fail()

    with pytest.raises(RuntimeError, match="killed"):
        write()
    assert [file.name for file in folder.iterdir()] == ["old"]
    assert [file.name for file in tmp_path.iterdir()] == ["set"]


def test_what_a_killed_process_of_the_same_number_left_is_no_hindrance(tmp_path):
    """In a container the first process has the same number each time."""
    left = tmp_path / f".{os.getpid()}.partial.set"
    left.mkdir()
    (left / "half").touch()
    with folder_written_whole(tmp_path / "set") as new:
        (new / "new").touch()
    assert [file.name for file in (tmp_path / "set").iterdir()] == ["new"]


def in_a_process(work: Callable[[], None]) -> int:
    """Do something in a process of its own; return its number, without waiting for it."""
    number = os.fork()
    if number == 0:
        code = 1
        try:
            files._clean_once.cache_clear()  # as in a process that was not forked
            work()
            code = 0
        finally:
            os._exit(code)
    return number


def ended(process: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def write_both(folder: Path, text: str) -> None:
    with folder_written_whole(folder) as new:
        (new / "a").write_text(text)
        (new / "b").write_text(text)
    write_text(folder.with_name("note.txt"), text)


def die_at(step: int) -> None:
    """Have this process end, as if killed, before it changes the disk for the n-th time."""
    left = itertools.count(step, -1)

    def dying(call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **options: Any) -> Any:
            if next(left) == 0:
                os._exit(9)
            return call(*arguments, **options)

        return counted

    for name in ("mkdir", "rename", "replace", "write_text", "unlink"):
        setattr(Path, name, dying(getattr(Path, name)))
    for name in ("unlink", "rmdir"):  # shutil.rmtree uses these
        setattr(os, name, dying(getattr(os, name)))


def test_whatever_step_it_is_killed_at_the_old_or_the_new_is_there_whole(tmp_path):
    """And who comes next finds it, and removes what the killed one has left."""
    folder = tmp_path / "set"

    def killed(step: int) -> None:
        die_at(step)
        write_both(folder, "new")

    for step in range(100):
        write_both(folder, "old")
        code = ended(in_a_process(lambda: killed(step)))  # noqa: B023 - done before the next
        restore_folder(folder)
        texts = {path.name: path.read_text() for path in folder.iterdir()}
        assert texts in ({"a": "old", "b": "old"}, {"a": "new", "b": "new"}), step
        assert (tmp_path / "note.txt").read_text() in ("old", "new")
        assert ended(in_a_process(lambda: write_both(folder, "next"))) == 0
        assert sorted(path.name for path in tmp_path.iterdir()) == ["note.txt", "set"], step
        assert {path.read_text() for path in folder.iterdir()} == {"next"}
        if code == 0:
            break
        assert code == 9
    assert step > 8


def test_two_processes_may_write_the_same_folder_at_once(tmp_path):
    """The last one wins; none fails, and what is there is always of one of them."""
    folder = tmp_path / "set"

    def write_often(text: str) -> None:
        for _ in range(100):
            write_both(folder, text)

    both = [in_a_process(lambda text=text: write_often(text)) for text in ("one", "other")]
    assert [ended(process) for process in both] == [0, 0]
    texts = [path.read_text() for path in sorted(folder.iterdir())]
    assert texts in (["one"] * 2, ["other"] * 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["note.txt", "set"]


def test_json_is_the_same_whatever_the_order_of_its_keys(tmp_path):
    write_json(tmp_path / "one.json", {"b": [1, 2.5], "a": {"é": None, "d": True}})
    write_json(tmp_path / "other.json", {"a": {"d": True, "é": None}, "b": [1, 2.5]})
    expected = (
        '{\n  "a": {\n    "d": true,\n    "é": null\n  },\n  "b": [\n    1,\n    2.5\n  ]\n}\n'
    )
    assert (tmp_path / "one.json").read_bytes() == expected.encode()
    assert (tmp_path / "other.json").read_bytes() == expected.encode()


def test_json_lines_are_one_object_a_line(tmp_path):
    write_json_lines(tmp_path / "a.jsonl", [{"b": "x\ny", "a": 1}, {}])
    assert (tmp_path / "a.jsonl").read_bytes() == b'{"a": 1, "b": "x\\ny"}\n{}\n'
    write_json_lines(tmp_path / "none.jsonl", [])
    assert (tmp_path / "none.jsonl").read_bytes() == b""


def test_what_is_no_json_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"loss": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_lines_end_alike_on_every_system(tmp_path):
    write_text(tmp_path / "a.txt", "één\ntwee\n")
    assert (tmp_path / "a.txt").read_bytes() == "één\ntwee\n".encode()


@pytest.mark.parametrize("data", [b"", b"abc", b"x" * 3_000_000])
def test_a_file_is_hashed_by_its_bytes(tmp_path, data):
    (tmp_path / "a").write_bytes(data)
    assert sha256_of(tmp_path / "a") == hashlib.sha256(data).hexdigest()


def test_an_error_that_is_told_for_people_keeps_its_words(tmp_path: Path) -> None:
    """Also where they hold the system's, of another file on another disk."""
    told = f".cache/a.parquet: could not be read: {os.strerror(errno.EIO)}"
    with (
        pytest.raises(InputError, match=r"^\.cache/a\.parquet"),
        folder_written_whole(tmp_path / "set"),
    ):
        raise InputError(told)
