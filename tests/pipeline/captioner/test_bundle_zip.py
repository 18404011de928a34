"""A bundle as one file: packed the same each time, and unpacked only where nothing is wrong."""

import errno
import hashlib
import io
import json
import os
import shutil
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.captioner import bundle_zip
from pipeline.errors import InputError

FILES = {
    "decoder.weights.h5": b"weights" * 1000,
    "encoder/encoder.json": b"{}",
    "vocabulary.json": b'{"words": []}',
}


def description(files: dict[str, bytes]) -> bytes:
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    return json.dumps({"version": 2, "files": hashes}).encode()


def zipped(members: dict[str, bytes], change: Callable[[zipfile.ZipInfo], None] | None = None):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for name, content in members.items():
            member = zipfile.ZipInfo(name)
            if change and name == "vocabulary.json":
                change(member)
            file.writestr(member, content)
    return stream.getvalue()


WHOLE = {"bundle.json": description(FILES), **FILES}


@pytest.fixture
def folder(tmp_path) -> Path:
    made = tmp_path / "bundle"
    for name, content in WHOLE.items():
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_bytes(content)
    return made


def content(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def refused(path: Path) -> str:
    """The one line that a zip is refused with; nothing of it may be left anywhere."""
    with pytest.raises(InputError) as error, bundle_zip.opened(path):
        raise AssertionError("it was opened")
    line = str(error.value)
    assert "\n" not in line
    assert line.startswith(f"{path}: expected a bundle")
    return line


def test_what_is_packed_is_unpacked_and_removed_afterwards(folder, tmp_path):
    bundle_zip.pack(folder, tmp_path / "model.zip")
    with bundle_zip.opened(tmp_path / "model.zip") as unpacked:
        assert content(unpacked) == WHOLE
        assert unpacked.name == "model.zip"  # so that errors name it
    assert not unpacked.exists()


def test_a_folder_is_opened_as_it_is(folder):
    with bundle_zip.opened(folder) as opened:
        assert opened == folder
    assert content(folder) == WHOLE


def test_a_path_that_is_not_there_is_left_to_the_reader(tmp_path):
    with bundle_zip.opened(tmp_path / "none") as opened:
        assert opened == tmp_path / "none"


def test_the_same_bundle_gives_the_same_bytes(folder, tmp_path):
    bundle_zip.pack(folder, tmp_path / "one.zip")
    copy = tmp_path / "copy"
    for name in reversed(WHOLE):  # made in another order, at another time
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / name, copy / name)
        (copy / name).chmod(0o600)
    (copy / "notes.txt").write_text("not of the bundle")
    bundle_zip.pack(copy, tmp_path / "two.zip")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


@pytest.mark.parametrize("name", [*WHOLE])
def test_a_bundle_that_is_not_whole_is_not_packed(folder, tmp_path, name):
    (folder / name).unlink()
    with pytest.raises(InputError, match=name):
        bundle_zip.pack(folder, tmp_path / "model.zip")
    assert not list(tmp_path.glob("*.zip"))


def test_a_damaged_bundle_is_not_packed(folder, tmp_path):
    (folder / "vocabulary.json").write_bytes(b"something else")
    with pytest.raises(InputError, match=r"vocabulary\.json"):
        bundle_zip.pack(folder, tmp_path / "model.zip")


def as_link(member: zipfile.ZipInfo) -> None:
    member.create_system = 3
    member.external_attr = (stat.S_IFLNK | 0o777) << 16


def as_bzip2(member: zipfile.ZipInfo) -> None:
    member.compress_type = zipfile.ZIP_BZIP2


def listing(name: str) -> dict[str, bytes]:
    return {"bundle.json": description({**FILES, name: b"x"}), **FILES, name: b"x"}


HOSTILE = {
    "no zip": (b"hello", "not a zip"),
    "an empty file": (b"", "not a zip"),
    "an empty zip": (zipped({}), "no bundle.json at its top"),
    "another zip": (zipped({"notes.txt": b"hello"}), "no bundle.json at its top"),
    "a folder in a zip": (
        zipped({f"bundle/{name}": data for name, data in WHOLE.items()}),
        "Zip the bundle's content, not its folder",
    ),
    "bundle.json of another kind": (zipped({"bundle.json": b"[1]"}), "lists no files"),
    "bundle.json that is no JSON": (zipped({"bundle.json": b"{"}), "lists no files"),
    "JSON without an end": (zipped({"bundle.json": b"[" * 100_000}), "lists no files"),
    "a large bundle.json": (zipped({"bundle.json": b" " * 2_000_000}), "2000000 bytes"),
    "a file too many": (zipped({**WHOLE, "run.py": b"x"}), "'run.py', which is not in the list"),
    "a file too few": (zipped(dict(list(WHOLE.items())[:-1])), "without 'vocabulary.json'"),
    "another file": (zipped({**WHOLE, "vocabulary.json": b"other"}), "not those that bundle.json"),
    "a link": (zipped(WHOLE, as_link), "a link"),
    "an unusual compression": (zipped(WHOLE, as_bzip2), "unusual way"),
    **{
        f"a list with {name!r}": (zipped(listing(name)), "lists")
        for name in (
            "../out", "/etc/out", "a/../../out", "a//b", "./a", "C:\\out", "C:out", "a\\b", "a\nb",
            "a/", ".", "a ", "NUL\x00",
        )
    },
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_zip_is_refused_with_one_line(tmp_path, name):
    data, told = HOSTILE[name]
    path = tmp_path / "inside" / "model.zip"
    path.parent.mkdir()
    path.write_bytes(data)
    assert told in refused(path)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["inside", "model.zip"]


def test_a_name_twice_is_refused(tmp_path):
    stream = io.BytesIO(zipped(WHOLE))
    with zipfile.ZipFile(stream, "a") as file, pytest.warns(UserWarning, match="Duplicate"):
        file.writestr("vocabulary.json", b"another")
    (tmp_path / "model.zip").write_bytes(stream.getvalue())
    assert "'vocabulary.json' twice" in refused(tmp_path / "model.zip")


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(bundle_zip, "MOST_BYTES", 10_000_000)
    files = {**FILES, "decoder.weights.h5": b"\0" * 20_000_000}
    path = tmp_path / "model.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in {"bundle.json": description(files), **files}.items():
            file.writestr(name, data)
    assert path.stat().st_size < 100_000
    assert "the bound is 10000000" in refused(path)


def test_a_member_that_holds_more_than_it_says_is_refused(tmp_path):
    files = {**FILES, "vocabulary.json": b"v" * 5000}
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in {"bundle.json": description(files), **files}.items():
            file.writestr(name, data)
    data = stream.getvalue()
    said = (5000).to_bytes(4, "little")
    assert data.count(said) == 2  # in the member's own head and in the list of contents
    (tmp_path / "model.zip").write_bytes(data.replace(said, (50).to_bytes(4, "little")))
    refused(tmp_path / "model.zip")


def test_folders_in_the_list_of_contents_are_left_out(tmp_path):
    (tmp_path / "model.zip").write_bytes(zipped({"encoder/": b"", "other/": b"", **WHOLE}))
    with bundle_zip.opened(tmp_path / "model.zip") as unpacked:
        assert content(unpacked) == WHOLE
        assert not (unpacked / "other").exists()


@given(data=st.binary(max_size=200), place=st.integers(0, 30_000), whole=st.booleans())
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_opened_whole_or_refused_with_one_line(tmp_path_factory, data, place, whole):
    path = tmp_path_factory.getbasetemp() / "any.zip"
    sound = zipped(WHOLE)
    place %= len(sound)
    path.write_bytes(sound[:place] + data + sound[place + len(data) :] if whole else data)
    found, line = {}, ""
    try:
        with bundle_zip.opened(path) as folder:
            found = content(folder)
    except InputError as error:
        line = str(error)
    assert "\n" not in line
    if not line:
        hashes = json.loads(found["bundle.json"])["files"]
        assert found.keys() == {"bundle.json", *hashes}
        assert all(hashlib.sha256(found[name]).hexdigest() == hashes[name] for name in hashes)


def failing(number: int) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


def test_a_full_disk_is_not_told_as_a_damaged_zip(tmp_path, monkeypatch):
    path = tmp_path / "x.zip"
    path.write_bytes(zipped(WHOLE))
    monkeypatch.setattr(bundle_zip, "_extract", failing(errno.ENOSPC))
    with pytest.raises(OSError, match="No space left"), bundle_zip.opened(path):
        raise AssertionError("it was opened")
    monkeypatch.setattr(bundle_zip, "_extract", failing(errno.EINVAL))  # a place before its start
    assert "Invalid argument" in refused(path)


def test_what_could_not_be_opened_is_not_packed(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(bundle_zip, "MOST_BYTES", 7000)
    with pytest.raises(
        InputError, match=r"expected at most 7000 bytes for a zip\. Received: 7\d{3}\."
    ):
        bundle_zip.pack(folder, tmp_path / "bundle.zip")
    assert not (tmp_path / "bundle.zip").exists()
