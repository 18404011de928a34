"""The original Flickr30k layout, alone or with the lists of Flickr30k Entities."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.datasets.flickr30k import read, recognises
from pipeline.datasets.layout import Listing
from pipeline.errors import InputError

FILE = "results_20130124.token"
TOKENS = b"1.jpg#0\tTwo guys .\n1.jpg#1\tMen .\n2.jpg#0\tA dog .\n3.jpg#0\tA cow .\n"
GOOD = {"1#0": "Two guys .", "1#1": "Men .", "2#0": "A dog .", "3#0": "A cow ."}


def make(raw: Path, tokens: bytes = TOKENS, folder: str = "flickr30k-images") -> Path:
    (raw / folder).mkdir(parents=True, exist_ok=True)
    for name in ("1.jpg", "2.jpg", "3.jpg"):
        (raw / folder / name).touch()
    (raw / FILE).write_bytes(tokens)
    return raw


def add_lists(raw: Path, train: bytes = b"1\n", val: bytes = b"2\n", test: bytes = b"3\n") -> None:
    for split, content in (("train", train), ("val", val), ("test", test)):
        (raw / f"{split}.txt").write_bytes(content)


def texts(listing: Listing) -> dict[str, str]:
    return {caption.caption_id: caption.text for caption in listing.captions}


def reasons(listing: Listing) -> list[tuple[str, str, str]]:
    return [(row["source"], row["item"], row["reason"]) for row in listing.dropped]


@pytest.mark.parametrize("folder", ["flickr30k-images", "flickr30k_images", "x/y", "."])
def test_without_lists_pictures_have_no_split(tmp_path: Path, folder: str) -> None:
    assert recognises(make(tmp_path, folder=folder))
    listing = read(tmp_path)
    prefix = "" if folder == "." else f"{folder}/"
    assert [(i.image_id, i.path, i.split, i.source) for i in listing.images] == [
        ("1", f"{prefix}1.jpg", None, f"{FILE}:1"),
        ("2", f"{prefix}2.jpg", None, f"{FILE}:3"),
        ("3", f"{prefix}3.jpg", None, f"{FILE}:4"),
    ]
    assert texts(listing) == GOOD
    assert listing.captions[1].source == f"{FILE}:2"
    assert listing.dropped == []
    assert listing.splits == set()


def test_lists_of_ids_win(tmp_path: Path) -> None:
    add_lists(make(tmp_path), train=b"1\r\n1.jpg\r\n9\r\n", val=b"2\n1\n", test=b"")
    listing = read(tmp_path)
    assert [(i.image_id, i.path, i.split, i.source) for i in listing.images] == [
        ("1", "flickr30k-images/1.jpg", "train", "train.txt:1"),
        ("9", "flickr30k-images/9", "train", "train.txt:3"),  # without captions: ingest drops it
        ("2", "flickr30k-images/2.jpg", "val", "val.txt:1"),
    ]
    assert listing.splits == {"train", "val", "test"}
    assert reasons(listing) == [
        ("train.txt:2", "1.jpg", "duplicate_id"),
        ("val.txt:2", "1", "two_splits"),
        (f"{FILE}:4", "3.jpg#0", "no_split"),
        ("flickr30k-images/3.jpg", "flickr30k-images/3.jpg", "not_listed"),
    ]


def test_a_picture_listed_by_its_id_alone_is_no_unlisted_file(tmp_path: Path) -> None:
    add_lists(make(tmp_path, TOKENS.rpartition(b"3.jpg")[0]))
    assert reasons(read(tmp_path)) == []


def test_damage_costs_one_line_each(tmp_path: Path) -> None:
    bad = b"1.jpg\tno number\n1.jpg#0\tagain\n2.jpg#1\t \n2.jpg#2\tcaf\xe9\n\n4.jpg#0\tno file"
    listing = read(make(tmp_path, b"\xef\xbb\xbfimage\tcaption\r\n" + TOKENS + bad))
    assert texts(listing) == GOOD | {"4#0": "no file"}  # ingest will find that it is missing
    assert reasons(listing) == [
        (f"{FILE}:1", "image", "header"),
        (f"{FILE}:6", "1.jpg", "broken_line"),
        (f"{FILE}:7", "1#0", "duplicate_id"),
        (f"{FILE}:8", "2#1", "empty_caption"),
        (f"{FILE}:9", "2.jpg#2", "encoding"),
    ]


def test_files_of_captions(tmp_path: Path) -> None:
    assert not recognises(tmp_path)
    (tmp_path / "other.token").touch()
    assert not recognises(tmp_path)
    with pytest.raises(InputError, match=r"expected one file results\*\.token\. Received: none"):
        read(tmp_path)
    make(tmp_path)
    (tmp_path / "results.token").touch()
    with pytest.raises(InputError, match=r"Received: results\.token, results_20130124\.token"):
        read(tmp_path)


NAMES = st.sampled_from([b"1.jpg", b"2.jpg", b"1", b"x.jpg.1", b"", b"\xff", b"../1.jpg", b"/x"])
LINES = st.one_of(
    st.binary(max_size=20),
    st.builds(lambda n, k, t: n + b"#" + k + b"\t" + t, NAMES, st.binary(max_size=2), st.binary()),
    st.builds(lambda n, k: n + b"#%d\tA dog ." % k, NAMES, st.integers(0, 2)),
)
FILES = st.lists(LINES, max_size=12).map(b"\n".join)
QUIET = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture]}


@settings(**QUIET)
@given(tokens=FILES, train=st.none() | FILES | st.lists(NAMES).map(b"\r\n".join))
def test_whatever_the_bytes_lines_and_reasons_add_up(
    tmp_path: Path, tokens: bytes, train: bytes | None
) -> None:
    content = tokens + b"\n3.jpg#0\tA cow ."
    make(tmp_path, content)
    add_lists(tmp_path, train=train or b"")
    if train is None:
        for split in ("train", "val", "test"):
            (tmp_path / f"{split}.txt").unlink()
    listing = read(tmp_path)
    lost = [r for r in listing.dropped if r["kind"] == "caption"]
    assert len(listing.captions) + len(lost) == _count(content)
    if train is not None:
        told = [r for r in listing.dropped if r["source"].partition(":")[0].endswith(".txt")]
        assert len(listing.images) + len(told) == _count(train) + 2
    assert {c.image_id for c in listing.captions} <= {i.image_id for i in listing.images}
    ids = [caption.caption_id for caption in listing.captions]
    assert len(set(ids)) == len(ids)
    for row in listing.dropped:
        "".join(row.values()).encode("utf-8")


@settings(**QUIET)
@given(tokens=st.binary(max_size=100))
def test_whatever_the_file_a_listing_or_one_clear_error(tmp_path: Path, tokens: bytes) -> None:
    with suppress(InputError):
        read(make(tmp_path, tokens))


def _count(content: bytes) -> int:
    lines = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    return sum(bool(line.decode("utf-8", "surrogateescape").strip()) for line in lines)
