"""What is going to be written is compared with what is free."""

import shutil
from types import SimpleNamespace

import pytest

from pipeline.errors import InputError
from pipeline.images import room
from pipeline.images.room import check_room


@pytest.fixture(autouse=True)
def thousand_free(monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))


def test_what_fits_is_let_through(tmp_path):
    check_room({tmp_path / "not" / "there": 400, tmp_path / "yet": 600})


def test_folders_of_one_disk_share_its_room(tmp_path):
    with pytest.raises(
        InputError, match=r"400 bytes for .*a and 601 bytes for .*b.*1000 bytes free"
    ):
        check_room({tmp_path / "a": 400, tmp_path / "b": 601})


def test_folders_of_two_disks_do_not(tmp_path, monkeypatch):
    monkeypatch.setattr(room, "_device", lambda folder: hash(folder.name))
    check_room({tmp_path / "a": 999, tmp_path / "b": 999})
    with pytest.raises(InputError, match="1001 bytes for"):
        check_room({tmp_path / "a": 999, tmp_path / "b": 1001})
