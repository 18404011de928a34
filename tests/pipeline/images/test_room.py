"""What is going to be written is compared with what is free."""

import shutil
from types import SimpleNamespace

import pytest

from pipeline.errors import InputError
from pipeline.images import room
from pipeline.images.room import check_room, copied_to, lacking, told_bytes


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


def test_what_is_going_to_leave_is_room(tmp_path, monkeypatch):
    wanted = {tmp_path / "a": 1500}
    check_room(wanted, {tmp_path / "a": 500})
    with pytest.raises(InputError, match="1000 bytes free, and 499 bytes that may leave the cache"):
        check_room(wanted, {tmp_path / "a": 499})
    monkeypatch.setattr(room, "_device", lambda folder: hash(folder.name))
    with pytest.raises(InputError, match=r"1000 bytes free\. Make room"):
        check_room(wanted, {tmp_path / "b": 500})


def test_what_a_disk_lacks_is_of_all_that_goes_to_it(tmp_path, monkeypatch):
    wanted = {tmp_path / "a": 700, tmp_path / "b": 700}
    assert lacking(wanted, tmp_path) == 400
    assert lacking({tmp_path / "a": 700}, tmp_path) == 0
    monkeypatch.setattr(room, "_device", lambda folder: hash(folder.name))
    assert lacking(wanted, tmp_path / "a") == 0


@pytest.mark.parametrize(
    ("config", "place"),
    [
        ("", ".dvc/cache"),
        ('[cache]\n    type = "reflink,copy"', ".dvc/cache"),
        ("[cache]\n    dir = ../large", "large"),
        ('[cache]\n    type = "hardlink,copy"', None),
        ("[cache]\n    type = symlink", None),
    ],
)
def test_dvc_copies_what_stages_write_into_its_cache(tmp_path, config, place):
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config").write_text(config)
    found = copied_to(tmp_path / "data" / "features")
    assert found == (None if place is None else tmp_path / place)


@pytest.mark.parametrize(
    ("number", "told"),
    [(0, "0 bytes"), (999, "999 bytes"), (1023, "1023 bytes"), (999.7 * 1024, "1000 KiB")],
)
def test_bytes_are_told_in_digits(number, told):
    assert told_bytes(number) == told


def test_outside_of_a_repository_nothing_is_copied(tmp_path):
    assert copied_to(tmp_path / "features") is None


def test_the_copy_that_dvc_makes_is_told(tmp_path):
    with pytest.raises(InputError, match=r"600 bytes for \S+b \(DVC's copy\), uncompressed"):
        check_room({tmp_path / "a": 600, tmp_path / "b": 600}, copies=tmp_path / "b")
