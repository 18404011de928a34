"""Tar shards as img2dataset writes them, and what disks and other writers make of them."""

import errno
import io
import json
import os
import tarfile
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.datasets import find
from pipeline.datasets import ingest as ingesting
from pipeline.datasets.ingest import IngestSettings
from pipeline.datasets.layout import Listing
from pipeline.datasets.webdataset import (
    LONGEST_HEADERS,
    LONGEST_TEXT,
    MOST_GLOBAL_HEADERS,
    WEBDATASET,
    key_and_suffix,
    read,
    recognises,
)
from pipeline.errors import InputError
from pipeline.images.decode import read_square

Members = dict[str, bytes | str | tarfile.TarInfo]
SPLITS = ("train", "val", "test")


def picture(number: int = 0, kind: str = "JPEG") -> bytes:
    noise = np.random.default_rng(number).integers(0, 256, (9, 12, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).save(stream, kind)
    return stream.getvalue()


def tar(members: Members, kind: int = tarfile.PAX_FORMAT) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=kind) as archive:
        for name, content in members.items():
            if isinstance(content, tarfile.TarInfo):
                archive.addfile(content)
                continue
            data = content.encode() if isinstance(content, str) else content
            info = tarfile.TarInfo(name)
            # As webdataset does: the fraction needs a pax header for every member.
            info.size, info.mtime = len(data), 1700000000.25  # type: ignore[assignment]
            archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def sample(number: int, text: str = "A dog .", **more: Any) -> Members:
    """Lay out a sample as img2dataset does, members sorted by suffix."""
    key = f"{number:09d}"
    meta = {"caption": text, "url": "http://x/y.jpg", "key": key, "status": "success"} | more
    return {
        f"{key}.jpg": picture(number),
        f"{key}.json": json.dumps(meta, indent=4),
        f"{key}.txt": text,
    }


def make(raw: Path, *shards: Members | bytes, folder: str = "") -> Path:
    (raw / folder).mkdir(parents=True, exist_ok=True)
    for number, shard in enumerate(shards):
        content = shard if isinstance(shard, bytes) else tar(shard)
        (raw / folder / f"{number:05d}.tar").write_bytes(content)
    return raw


def texts(listing: Listing) -> dict[str, str]:
    return {caption.caption_id: caption.text for caption in listing.captions}


def ids(listing: Listing) -> list[str]:
    return [image.image_id for image in listing.images]


def dropped(listing: Listing) -> list[tuple[str, str, str]]:
    return [(row["kind"], row["source"], row["reason"]) for row in listing.dropped]


def at(raw: Path, listing: Listing, number: int = 0) -> bytes:
    """Read the bytes where the listing says that a picture is."""
    image = listing.images[number]
    assert image.span is not None
    with (raw / image.path).open("rb") as stream:
        stream.seek(image.span.offset)
        return stream.read(image.span.length)


@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_data_set_of_img2dataset(tmp_path: Path, kind: int) -> None:
    one, two = sample(0) | sample(1, "Un café ."), sample(0, "A cow .")
    make(tmp_path, tar(one, kind), tar(two, kind))
    (tmp_path / "00000.parquet").touch()
    (tmp_path / "00000_stats.json").write_text("{}")
    listing = read(tmp_path)
    assert texts(listing) == {
        "00000/000000000#0": "A dog .",
        "00000/000000001#0": "Un café .",
        "00001/000000000#0": "A cow .",
    }
    assert ids(listing) == ["00000/000000000", "00000/000000001", "00001/000000000"]
    assert [image.path for image in listing.images] == ["00000.tar", "00000.tar", "00001.tar"]
    assert {image.split for image in listing.images} == {None}
    assert [at(tmp_path, listing, n) for n in range(3)] == [picture(0), picture(1), picture(0)]
    assert listing.dropped == []
    assert listing.images[1].source == "00000.tar:000000001.jpg"
    assert listing.captions[1].source == "00000.tar:000000001.txt"


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"0.txt": "one"}, ["one"]),
        ({"0.json": '{"caption": "one"}'}, ["one"]),
        ({"0.json": '{"captions": ["one", null, "two"], "caption": "no"}'}, ["one", "two"]),
        ({"0.json": '{"captions": [], "caption": "one"}'}, ["one"]),
        ({"0.json": '{"caption": "no"}', "0.txt": "one"}, ["one"]),
        ({"0.txt": "one", "0.json": "{"}, ["one"]),
        ({"0.TXT": "one\n"}, ["one\n"]),
        ({"0.json": '{"caption": null}'}, []),
        ({"0.json": "{}"}, []),
        ({"0.cls": "7"}, []),
        ({"0.txt": "\ufeffone"}, ["one"]),  # as editors of Windows begin a file
        ({"0.json": '\ufeff{"caption": "one"}'}, ["one"]),
    ],
)
def test_where_captions_stand(tmp_path: Path, members: Members, expected: list[str]) -> None:
    listing = read(make(tmp_path, {"0.jpg": picture(), **members} | sample(9)))
    found = {i: text for i, text in texts(listing).items() if i.startswith("00000/0#")}
    assert found == {f"00000/0#{number}": text for number, text in enumerate(expected)}
    assert "00000/0" in ids(listing)
    assert listing.dropped == []


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("0.txt", "", "empty_caption"),
        ("0.txt", " \n", "empty_caption"),
        ("0.txt", b"caf\xe9", "encoding"),
        ("0.txt", "x" * (LONGEST_TEXT + 1), "broken_line"),
        ("0.json", b'{"caption": "caf\xe9"}', "encoding"),
        ("0.json", '{"caption": "\\ud800"}', "encoding"),
        ("0.json", "{", "broken_line"),
        ("0.json", "[" * 10**5, "broken_line"),
        ("0.json", '{"caption": 3}', "broken_line"),
        ("0.json", '{"caption": ' + "3" * 10**4 + "}", "broken_line"),
        ("0.json", '{"captions": "one"}', "broken_line"),
        ("0.json", '{"captions": ["one", 2]}', "broken_line"),
        ("0.json", '["one"]', "broken_line"),
        ("1.txt", "no picture", "missing"),
        ("1.json", '{"caption": "no picture"}', "missing"),
    ],
)
def test_captions_that_are_dropped(
    tmp_path: Path, name: str, content: bytes | str, reason: str
) -> None:
    listing = read(make(tmp_path, {"0.jpg": picture(), name: content} | sample(9)))
    assert dropped(listing) == [("caption", f"00000.tar:{name}", reason)]
    assert texts(listing) == {"00000/000000009#0": "A dog ."}
    assert ids(listing) == ["00000/0", "00000/000000009"]
    assert len(listing.dropped[0]["raw"]) <= 10**5


def test_the_longest_text_is_still_read(tmp_path: Path) -> None:
    listing = read(make(tmp_path, {"0.jpg": picture(), "0.txt": "x" * LONGEST_TEXT}))
    assert len(listing.captions[0].text) == LONGEST_TEXT


@pytest.mark.parametrize(
    ("member", "expected"),
    [
        ("000.jpg", ("000", ".jpg")),
        ("./a/b.tar.JPG", ("a/b", ".tar.jpg")),
        ("a.b/c.txt", ("a.b/c", ".txt")),
        ("a.b/c", ("a.b/c", "")),
        ("x/.jpg", ("x", "")),
        ("x.", ("x", "")),
    ],
)
def test_keys_are_those_of_webdataset(member: str, expected: tuple[str, str]) -> None:
    key, suffix = expected
    found = key_and_suffix(member)
    assert found[1] == suffix
    assert found[0].rstrip("/") == key


def test_members_that_are_no_sample_of_ours(tmp_path: Path) -> None:
    further = {"000000000.left.jpg": picture(), "000000000.left.txt": "A dog ."}
    more = {"._a.jpg": b"resource fork", "a.npy": b"x", "README": "x"}
    listing = read(make(tmp_path, sample(0) | further | more))
    assert ids(listing) == ["00000/000000000"]
    assert dropped(listing) == [
        ("image", "00000.tar:000000000.left.jpg", "not_listed"),
        ("caption", "00000.tar:000000000.left.txt", "not_listed"),
        ("image", "00000.tar:._a.jpg", "not_listed"),
    ]


def test_names_with_dots_of_which_nothing_is_read_are_lost_and_not_left_out(
    tmp_path: Path,
) -> None:
    dotted = {"Dr. Smith.jpg": picture(), "Dr. Smith.txt": "A man .", "a.b.json": "{}"}
    listing = read(make(tmp_path, sample(0) | dotted))
    assert dropped(listing) == [
        ("image", "00000.tar:Dr. Smith.jpg", "broken_line"),
        ("caption", "00000.tar:Dr. Smith.txt", "broken_line"),
        ("caption", "00000.tar:a.b.json", "broken_line"),
    ]


def test_names_that_would_leave_a_folder_are_only_names(tmp_path: Path) -> None:
    names = ["../a", "/b", "./c", "d/e"]
    members: Members = {f"{n}.{s}": picture() for n in names for s in ("png", "txt")}
    members = {name: b"words" if name.endswith("txt") else c for name, c in members.items()}
    raw = make(tmp_path / "raw", members)
    before = sorted(tmp_path.rglob("*"))
    listing = read(raw)
    assert ids(listing) == ["00000/../a", "00000//b", "00000/c", "00000/d/e"]
    assert {image.path for image in listing.images} == {"00000.tar"}
    assert len(listing.captions) == 4
    assert sorted(tmp_path.rglob("*")) == before


def test_the_same_name_twice(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in [
            *[("a.jpg", picture(1)), ("a.txt", b"one"), ("a.jpg", picture(2))],
            *[("a.txt", b"two"), ("./a.png", picture(3))],
        ]:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    listing = read(make(tmp_path, stream.getvalue()))
    assert texts(listing) == {"00000/a#0": "one"}
    assert at(tmp_path, listing) == picture(1)
    assert dropped(listing) == [
        ("image", "00000.tar:a.jpg", "duplicate_id"),
        ("caption", "00000.tar:a.txt", "duplicate_id"),
        ("image", "00000.tar:./a.png", "duplicate_id"),
    ]


def test_two_shards_that_give_one_id(tmp_path: Path) -> None:
    make(tmp_path, {"1.jpg": picture(), "1.txt": "one"}, folder="train")
    (tmp_path / "train.tar").write_bytes(tar({"00000/1.jpg": picture(), "00000/1.txt": "two"}))
    listing = read(tmp_path)
    assert texts(listing) == {"train/00000/1#0": "two"}
    assert dropped(listing) == [
        ("image", "train/00000.tar:1.jpg", "duplicate_id"),
        ("caption", "train/00000.tar:1.txt", "picture_dropped"),
    ]


def special(name: str, kind: bytes, target: str = "/etc/passwd") -> Members:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return {name: info}


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE]
)
def test_members_that_are_no_files(tmp_path: Path, kind: bytes) -> None:
    members = special("a.jpg", kind) | special("b.txt", kind) | special("c", kind)
    listing = read(make(tmp_path, sample(0) | members | {"a.txt": "one", "b.jpg": picture()}))
    assert dropped(listing) == [
        ("image", "00000.tar:a.jpg", "not_a_file"),
        ("caption", "00000.tar:b.txt", "not_a_file"),
        ("caption", "00000.tar:a.txt", "picture_dropped"),
    ]
    assert ids(listing) == ["00000/000000000", "00000/b"]


def pax_sparse(name: str) -> bytes:
    """Make a member in GNU's sparse format 1.0: a map, then the pieces that are not empty."""
    info = tarfile.TarInfo(name)
    body = b"1\n0\n512\n".ljust(512, b"\0") + b"x" * 512
    info.size = len(body)
    info.pax_headers = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": name,
        "GNU.sparse.realsize": "100000",
    }
    return info.tobuf(tarfile.PAX_FORMAT) + body


def gnu_sparse(name: str) -> bytes:
    """Make a member in GNU's old sparse format, whose map is in the header."""
    header = bytearray(special(name, tarfile.GNUTYPE_SPARSE)[name].tobuf(tarfile.GNU_FORMAT))  # type: ignore[union-attr]
    header[124:136] = b"00000001000\0"
    header[386:410] = b"00000000512\0" + b"00000001000\0"
    header[483:495] = b"00000303240\0"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + b"x" * 512


@pytest.mark.parametrize("make_sparse", [pax_sparse, gnu_sparse])
def test_sparse_members_are_dropped(tmp_path: Path, make_sparse: Callable[[str], bytes]) -> None:
    content = make_sparse("a.jpg") + make_sparse("b.txt") + tar(sample(0))
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        assert next(iter(archive)).issparse()
    listing = read(make(tmp_path, content))
    assert dropped(listing) == [
        ("image", "00000.tar:a.jpg", "unreadable"),
        ("caption", "00000.tar:b.txt", "unreadable"),
    ]
    assert ids(listing) == ["00000/000000000"]


@pytest.mark.parametrize("number", range(3))
def test_folders_of_splits(tmp_path: Path, number: int) -> None:
    names = [("train", "val", "test"), ("Training", "validation", "TEST"), ("train", "dev", "test")]
    for folder in names[number]:
        make(tmp_path, sample(0, f"A {folder} ."), folder=folder)
    assert recognises(tmp_path)
    listing = read(tmp_path)
    found = {image.path: image.split for image in listing.images}
    assert found == {f"{f}/00000.tar": s for f, s in zip(names[number], SPLITS, strict=True)}
    assert listing.splits == set(SPLITS)
    assert set(ids(listing)) == {f"{folder}/00000/000000000" for folder in names[number]}


def test_names_of_files_are_no_splits(tmp_path: Path) -> None:
    (tmp_path / "train-00000.tar").write_bytes(tar(sample(0)))
    (tmp_path / "coco-val-0001.TAR").write_bytes(tar(sample(0)))
    listing = read(tmp_path)
    assert [image.split for image in listing.images] == [None, None]
    assert listing.splits == set()
    assert ids(listing) == ["coco-val-0001/000000000", "train-00000/000000000"]


def test_what_is_recognised(tmp_path: Path) -> None:
    (tmp_path / "shards").mkdir()
    (tmp_path / "shards" / "00000.tar").touch()
    for name in ("photos.tar.gz", "coco2014.tgz", "captions.csv"):
        (tmp_path / name).touch()
    assert not recognises(tmp_path)
    (tmp_path / "00000.tar").touch()
    assert recognises(tmp_path)


def test_pictures_that_were_unpacked_are_no_shards(tmp_path: Path) -> None:
    (tmp_path / "images.tar").touch()
    assert recognises(tmp_path)
    table = tmp_path / "captions.csv"
    table.write_text("image,caption\na.jpg,A dog\n")
    assert not recognises(tmp_path)
    for name in ("Captions.csv", "mine.tsv"):  # whatever `table` takes for one
        table = table.rename(tmp_path / name)
        assert not recognises(tmp_path)
    assert find.find_layout(tmp_path, "auto").name == "table"


@pytest.mark.parametrize("ending", ["tar.gz", "tgz", "tar.zst", "TAR.XZ"])
def test_compressed_shards_are_told(tmp_path: Path, ending: str) -> None:
    (tmp_path / f"00000.{ending}").touch()
    assert recognises(tmp_path)
    with pytest.raises(InputError, match=r"not compressed.*00000\.[tT].*Decompress them"):
        read(tmp_path)
    make(tmp_path, sample(0))
    assert dropped(read(tmp_path)) == [("image", f"00000.{ending}", "unreadable")]
    assert read(tmp_path).unseen == 0, "it is there unpacked"
    (tmp_path / f"00001.{ending}").touch()
    assert read(tmp_path).unseen == 2, "as many as the other one has"


def test_a_shard_that_was_cut_off_stops_the_run(tmp_path: Path) -> None:
    """Its one row says nothing of how much was behind it."""
    whole = [tar(sample(n) | sample(n + 1)) for n in range(0, 20, 2)]
    raw = make(tmp_path, whole[0][:700], *whole[1:])
    ingested = ingesting.ingest(raw, ingest_settings(max_dropped=0.05))
    assert ingested.unseen == 3, "of two pictures and two captions but for the row that tells"
    told = ingesting.problem(ingested, ingest_settings(max_dropped=0.05), tmp_path)
    assert told is not None
    assert told.startswith("4 of 40 pictures and captions cannot be used (10.0%)")
    assert "About 3 of them are in files that cannot be read to their end" in told
    loose = ingest_settings(max_dropped=0.1)
    assert "cannot be used" not in (ingesting.problem(ingested, loose, tmp_path) or "")


def test_what_is_behind_a_damaged_place_counts_by_its_size_where_no_file_is_fuller(
    tmp_path: Path,
) -> None:
    one = tar({name: b for n in range(40) for name, b in sample(n).items()})
    others = (tar({n: b for k in range(40) for n, b in sample(40 * i + k).items()}) for i in (1, 2))
    raw = make(tmp_path, b"".join([one, *others]))  # 40 pictures and captions are read
    assert ingesting.ingest(raw, ingest_settings()).unseen == pytest.approx(160, rel=0.1)
    make(tmp_path, one[: len(one) // 2])  # of what is not there, nothing is known
    assert ingesting.ingest(raw, ingest_settings()).unseen == 0


def test_what_macos_lays_beside_shards_is_none(tmp_path: Path) -> None:
    make(tmp_path, sample(0))
    (tmp_path / "._00000.tar").write_bytes(b"resource fork")
    assert dropped(read(tmp_path)) == []


def cut(content: bytes, before_end: int) -> bytes:
    return content.rstrip(b"\0")[: -before_end or None]


@pytest.mark.parametrize(
    ("spoil", "left", "reason"),
    [
        (lambda good: good[:-10240], 2, "truncated"),  # no end, members whole
        (lambda good: cut(good, 3), 2, "truncated"),  # in the last text
        (lambda good: good[: good.rindex(b"000000001.txt") + 100], 2, "truncated"),  # a header
        (lambda good: good[: good.rindex(b"\xff\xd9")], 2, "truncated"),  # the last picture
        (lambda good: good.replace(b"000000001.jpg", b"000000002.jpg"), 1, "broken_line"),
        (lambda good: good + good, 2, "broken_line"),  # joined
        (lambda good: good + b"x", 2, "broken_line"),
    ],
)
def test_damage_costs_what_stands_behind_it(
    tmp_path: Path, spoil: Callable[[bytes], bytes], left: int, reason: str
) -> None:
    good = tar(sample(0) | sample(1), tarfile.USTAR_FORMAT)
    bad = spoil(
        good.rstrip(b"\0").ljust(-(-len(good.rstrip(b"\0")) // 512) * 512, b"\0") + b"\0" * 10240
    )
    listing = read(make(tmp_path, bad, sample(5)))
    assert ids(listing)[:-1] == [f"00000/00000000{n}" for n in range(left)]
    assert ids(listing)[-1] == "00001/000000005"
    assert ("image", "00000.tar", reason) in dropped(listing)
    assert [row for row in dropped(listing) if row[0] == "image"] == [
        ("image", "00000.tar", reason)
    ]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "empty file"),
        (b"\x1f\x8b\x08" + b"x" * 2000, "broken_line"),
        (b"<html>", "truncated"),
        (b"\0" * 10240, "Received none in 1 tar files"),
        (tar({"a.txt": "x", "readme": "x"}), "expected pictures"),
        (tar({"a.jpg": picture(), "a.cls": "x"}), "expected captions"),
    ],
)
def test_nothing_to_use_is_one_clear_error(tmp_path: Path, content: bytes, told: str) -> None:
    with pytest.raises(InputError, match=told) as caught:
        read(make(tmp_path, content))
    assert "00000.tar" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_tar_files_that_are_no_files_or_lie_elsewhere(tmp_path: Path) -> None:
    raw = make(tmp_path / "raw", sample(0))
    (tmp_path / "secret.tar").write_bytes(tar(sample(0)))
    (raw / "link.tar").symlink_to(tmp_path / "secret.tar")
    (raw / "gone.tar").symlink_to(tmp_path / "no.tar")
    (raw / "folder.tar").mkdir()
    os.mkfifo(raw / "pipe.tar")
    assert sorted(dropped(read(raw))) == [
        ("image", "folder.tar", "not_a_file"),
        ("image", "gone.tar", "missing"),
        ("image", "link.tar", "outside_folder"),
        ("image", "pipe.tar", "not_a_file"),
    ]


def header(size: bytes, kind: bytes = tarfile.REGTYPE, name: str = "a.jpg") -> bytes:
    """Make a header with a size that no writer would write."""
    info = tarfile.TarInfo(name)
    info.type = kind
    raw = bytearray(info.tobuf(tarfile.USTAR_FORMAT))
    raw[124:136] = size
    raw[148:156] = b" " * 8
    raw[148:156] = b"%06o\0 " % sum(raw)
    return bytes(raw)


NEGATIVE = b"\xff" * 10 + b"\xfc\0"  # -1024: back to where the header before it stands
HUGE = b"\x80" + b"\x00" * 3 + b"\x7f" + b"\xff" * 7  # 2**63 - 1


@pytest.mark.parametrize("size", [NEGATIVE, HUGE, b"\xff" * 10 + b"\xfd\xff"])
@pytest.mark.parametrize(
    "kind",
    [
        *[tarfile.REGTYPE, tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME],
        *[tarfile.GNUTYPE_SPARSE, b"?"],
    ],
)
def test_sizes_that_lie_neither_hang_nor_fill_memory(
    tmp_path: Path, size: bytes, kind: bytes
) -> None:
    good = cut(tar(sample(0), tarfile.USTAR_FORMAT), 0)
    good = good.ljust(-(-len(good) // 512) * 512, b"\0")
    listing = read(make(tmp_path, good + header(size, kind, "b") * 3 + bytes(10240)))
    assert ids(listing) == ["00000/000000000"]
    assert [row[1:] for row in dropped(listing)] in (
        [("00000.tar", "broken_line")],
        [("00000.tar", "truncated")],
    )


def test_headers_without_end(tmp_path: Path) -> None:
    long = header(b"00000000000\0", tarfile.GNUTYPE_LONGNAME, "x")
    for chain in (long * 5000, long * 900, header(b"00004000001\0", tarfile.XHDTYPE)):
        good = tar(sample(0), tarfile.USTAR_FORMAT)
        good = good[: -(-len(good.rstrip(b"\0")) // 512) * 512]
        listing = read(make(tmp_path, good + chain + bytes(LONGEST_HEADERS + 10240)))
        assert [row[1:] for row in dropped(listing)] == [("00000.tar", "broken_line")]


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_headers_as_long_as_the_file_are_not_read(tmp_path: Path, kind: bytes) -> None:
    size = 2**26
    with (make(tmp_path, sample(0)) / "00001.tar").open("wb") as stream:
        stream.write(header(b"%011o\0" % size, kind))
        stream.truncate(2 * size)  # a hole: takes no room
    tracemalloc.start()
    listing = read(tmp_path)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < size / 4
    assert dropped(listing) == [("image", "00001.tar", "broken_line")]


def test_global_headers_without_end(tmp_path: Path) -> None:
    def told(number: int) -> bytes:
        return tarfile.TarInfo.create_pax_global_header({f"comment{number}": "x"}) + header(
            b"00000000000\0", name="b"
        )

    few = b"".join(map(told, range(3)))
    assert read(make(tmp_path, few + tar(sample(0)))).dropped == []
    many = b"".join(map(told, range(MOST_GLOBAL_HEADERS + 1)))
    with pytest.raises(InputError, match="too many headers"):
        read(make(tmp_path, many + tar(sample(0))))


def ingest_settings(**changes: Any) -> IngestSettings:
    values: dict[str, Any] = {
        "folder": "not read",
        "format": "auto",
        "val_share": 0.2,
        "test_share": 0.2,
        "restval": "train",
        "max_dropped": 0.0,
        "max_pixels": 1_000_000,
    }
    return IngestSettings.model_validate(values | changes)


def test_through_ingest_to_the_same_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find, "LAYOUTS", (WEBDATASET,))
    for start, split in enumerate(SPLITS):
        samples = sample(3 * start) | sample(3 * start + 1) | sample(3 * start + 2)
        make(tmp_path / "raw", samples, folder=split)
    ingested = ingesting.ingest(tmp_path / "raw", ingest_settings())
    assert ingested.layout == "webdataset"
    assert ingested.dropped == []
    assert ingested.hashed_splits == []
    assert len(ingested.images) == len(ingested.captions) == 9
    for number, row in enumerate(sorted(ingested.images, key=lambda row: row["image_id"][-9:])):
        alone = tmp_path / "alone.jpg"
        alone.write_bytes(picture(number))
        place = (row["offset"], row["bytes"])
        found = read_square(tmp_path / "raw" / row["path"], 8, 1000, ingesting.Span(*place))
        assert row["image_id"].endswith(f"{number:09d}")
        assert (found == read_square(alone, 8, 1000)).all()


def test_pictures_that_are_none_are_found_by_ingest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(find, "LAYOUTS", (WEBDATASET,))
    bad = {"a.jpg": b"", "a.txt": "x", "b.jpg": b"<html>", "b.txt": "x", "c.jpg": picture()}
    cut_off = {"d.jpg": picture()[:-40], "d.txt": "x"}
    raw = make(tmp_path, sample(0) | bad | cut_off)
    found = {row["item"]: row["reason"] for row in ingesting.ingest(raw, ingest_settings()).dropped}
    assert {name: reason for name, reason in found.items() if "#" not in name} == {
        "00000/a": "empty",
        "00000/b": "not_a_picture",
        "00000/c": "no_captions",
        "00000/d": "truncated",
    }


def check(raw: Path, listing: Listing) -> None:
    """Everything listed is unique and storable, and each span is a member's content."""
    images = ids(listing)
    assert len(set(images)) == len(images)
    captions = [caption.caption_id for caption in listing.captions]
    assert len(set(captions)) == len(captions)
    assert {caption.image_id for caption in listing.captions} <= set(images)
    "".join(images + captions + [c.text for c in listing.captions]).encode()
    for row in listing.dropped:
        "".join(row.values()).encode("utf-8")
    assert all(i.span and i.span.offset >= 512 and i.span.length >= 0 for i in listing.images)


QUIET: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture],
}
NAMES = st.sampled_from(
    [
        *("a.jpg", "a.txt", "a.json", "b.png", "b.txt", "c.json", "x", "a.b.jpg", "a.b.txt"),
        *("c.d.txt", "\udcff.jpg", ".jpg", ".txt"),
    ]
)


@settings(**QUIET, max_examples=60)
@given(members=st.lists(st.tuples(NAMES, st.binary(max_size=40)), max_size=8))
@example(members=[("a.json", b'{"captions": ["x", "", "\\ud800"]}'), ("a.jpg", b"x")])
def test_whatever_the_members_rows_and_reasons_add_up(
    tmp_path: Path, members: list[tuple[str, bytes]]
) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, content in [*members, ("z.jpg", b"x"), ("z.txt", b"x")]:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    listing = read(make(tmp_path, stream.getvalue()))
    names = [name for name, _ in members]
    pictures = [name for name in names if name.endswith((".jpg", ".png"))]
    assert len(listing.images) + sum(row[0] == "image" for row in dropped(listing)) == 1 + len(
        pictures
    )
    # One row for each .txt; JSON may hold none, or several, and counts only without a .txt.
    kept = {c.source.rpartition(":")[2] for c in listing.captions}
    told = {row["source"].rpartition(":")[2] for row in listing.dropped}
    assert {name for name in names if name.endswith(".txt")} <= kept | told
    check(tmp_path, listing)


REAL = tar(sample(0) | sample(1)), tar(sample(0) | sample(1), tarfile.GNU_FORMAT)


@settings(**QUIET, max_examples=150)
@given(
    start=st.sampled_from(REAL),
    edits=st.lists(st.tuples(st.integers(0, 9000), st.binary(max_size=12)), max_size=6),
    length=st.integers(0, 20000),
)
def test_whatever_the_damage_a_listing_or_one_clear_error(
    tmp_path: Path, start: bytes, edits: list[tuple[int, bytes]], length: int
) -> None:
    content = bytearray(start)
    for place, change in edits:
        content[place : place + len(change)] = change
    with suppress(InputError):
        check(tmp_path, read(make(tmp_path, bytes(content[:length]))))


FIELDS = {"size": (124, 136), "type": (156, 157), "name": (0, 100), "map": (386, 495)}


@settings(**QUIET, max_examples=200)
@given(
    fields=st.lists(
        st.tuples(
            st.integers(0, 7),
            st.sampled_from(sorted(FIELDS)),
            st.one_of(
                st.sampled_from([b"S", b"x", b"g", b"L", b"K", b"2", NEGATIVE, HUGE, b"\xff" * 12]),
                st.binary(max_size=40),
            ),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_headers_that_lie_with_a_right_checksum(
    tmp_path: Path, fields: list[tuple[int, str, bytes]]
) -> None:
    """A wrong checksum ends the reading at once; only with a right one do lies go deep."""
    content = bytearray(tar(sample(0) | sample(1), tarfile.GNU_FORMAT))
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        places = [member.offset for member in archive]
    for number, name, value in fields:
        start, (first, end) = places[number % len(places)], FIELDS[name]
        value = value[: end - first]
        content[start + first : start + first + len(value)] = value
        content[start + 148 : start + 156] = b" " * 8
        total = b"%06o\0 " % sum(content[start : start + 512])
        content[start + 148 : start + 156] = total
    with suppress(InputError):
        check(tmp_path, read(make(tmp_path, bytes(content))))


@settings(**QUIET, max_examples=60)
@given(content=st.binary(max_size=1200))
def test_whatever_the_file_a_listing_or_one_clear_error(tmp_path: Path, content: bytes) -> None:
    with suppress(InputError):
        check(tmp_path, read(make(tmp_path, content)))


def test_a_shard_that_the_system_cannot_read_now_stops_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be lost with all of its pictures, as one row among thousands."""
    make(tmp_path, sample(0))

    def refused(path: Path, *_: object, **__: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))

    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(InputError, match="from the system: Input/output error"):
        read(tmp_path)
