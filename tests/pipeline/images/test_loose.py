"""Pictures found by files, folders, globs and lists of names."""

import errno
import os
from pathlib import Path

import pytest
from PIL import Image

from pipeline.datasets.pictures import PICTURE_SUFFIXES
from pipeline.errors import InputError
from pipeline.images.loose import SUFFIXES, decode_batches, find_pictures, names_of


@pytest.fixture
def album(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    names = ("b.JPG", "a.png", ".hidden.jpg", "notes.txt", "in/c.webp", ".git/d.jpg", "in/x/e.tif")
    for name in names:
        path = tmp_path / "album" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return Path("album")


def found(*given: str, recursive: bool = False) -> list[str]:
    return [str(path) for path in find_pictures(given, recursive)]


def test_the_suffixes_are_those_of_data_sets():
    assert SUFFIXES == PICTURE_SUFFIXES


def test_folders_are_sorted_and_hidden_things_left_out(album):
    assert found("album") == ["album/a.png", "album/b.JPG"]
    assert found("album", recursive=True) == [
        "album/a.png",
        "album/b.JPG",
        "album/in/c.webp",
        "album/in/x/e.tif",
    ]


def test_links_to_folders_are_taken_by_name_and_not_followed_further(album):
    (album / "round").symlink_to(".")
    assert len(found("album", recursive=True)) == 4
    assert found("album/round") == ["album/round/a.png", "album/round/b.JPG"]


def test_files_are_taken_whatever_their_name_and_each_path_once(album):
    given = ("album/notes.txt", "album", "./album/a.png", "album/gone.jpg", "album/.hidden.jpg")
    assert found(*given) == [
        "album/notes.txt",
        "album/a.png",
        "album/b.JPG",
        "album/gone.jpg",
        "album/.hidden.jpg",
    ]


def test_globs(album):
    assert found("album/*") == ["album/a.png", "album/b.JPG"]
    assert found("album/**/*.[wt]*") == ["album/in/c.webp", "album/in/x/e.tif"]
    assert found("album/?.gif") == ["album/?.gif"]  # is told as missing
    assert found("album/*.txt") == ["album/notes.txt"]  # ... and this as no picture
    (album / "[1].png").touch()
    assert found("album/[1].png") == ["album/[1].png"]  # the file, not the pattern


def test_names_that_the_system_refuses_are_kept_for_the_error(album):
    names = ["nul\0.jpg", "nul\0/*", "x" * 300]
    assert found(*names) == names


def test_a_folder_without_pictures_is_told(tmp_path):
    with pytest.raises(InputError, match="expected a folder with pictures"):
        find_pictures([str(tmp_path)])


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
def test_a_folder_that_cannot_be_read_is_told(album):
    album.chmod(0)
    with pytest.raises(InputError, match="album: expected a folder that can be read"):
        find_pictures(["album"])
    album.chmod(0o755)


def test_an_empty_name_is_no_folder(album):
    with pytest.raises(InputError, match=r"expected a path\. Received: an empty one"):
        find_pictures([str(album), ""])


def test_names_of_a_list():
    assert names_of(b"a b\n\nc\r\n \xff\n") == ["a b", "c", " \udcff"]
    assert names_of(b"a\nb\0c\r\0", b"\0") == ["a\nb", "c\r"]
    assert names_of(b"") == []


def test_a_picture_that_the_system_cannot_read_takes_no_others_with_it(tmp_path, monkeypatch):
    paths = [tmp_path / f"{number}.png" for number in range(4)]
    for path in paths:
        Image.new("RGB", (8, 8)).save(path)
    opened = Path.open

    def refused(path: Path, *given: object, **more: object) -> object:
        if path == paths[1]:
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        return opened(path, *given, **more)

    monkeypatch.setattr(Path, "open", refused)
    batches = list(decode_batches(paths, 8, 2, 10**6))
    errors = [error for batch in batches for error in batch.errors]
    assert [error is None for error in errors] == [True, False, True, True]
    assert "Input/output error" in str(errors[1])
    assert [len(batch.pixels) for batch in batches] == [1, 2]
