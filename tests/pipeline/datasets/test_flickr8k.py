"""The original Flickr8k layout, with every quirk that its copies have."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.datasets.facts_file import add_facts
from pipeline.datasets.flickr8k import read
from pipeline.datasets.layout import Listing
from pipeline.errors import InputError

TOKENS = b"a.jpg#0\tA dog .\na.jpg#1\tThe dog .\nb.jpg#0\tA cat .\nc.jpg#0\tA cow .\n"


def make(
    raw: Path,
    tokens: bytes = TOKENS,
    train: bytes = b"a.jpg\n",
    dev: bytes = b"b.jpg\n",
    test: bytes = b"c.jpg\n",
    pictures: tuple[str, ...] = ("a.jpg", "b.jpg", "c.jpg"),
    folder: str = "Flicker8k_Dataset",
) -> Path:
    (raw / folder).mkdir(parents=True, exist_ok=True)
    (raw / "Flickr8k.token.txt").write_bytes(tokens)
    for name, content in (("train", train), ("dev", dev), ("test", test)):
        (raw / f"Flickr_8k.{name}Images.txt").write_bytes(content)
    for name in pictures:
        (raw / folder / name).touch()
    return raw


def texts(listing: Listing) -> dict[str, str]:
    return {caption.caption_id: caption.text for caption in listing.captions}


def reasons(listing: Listing) -> list[tuple[str, str, str]]:
    return [(row["source"], row["item"], row["reason"]) for row in listing.dropped]


GOOD = {"a#0": "A dog .", "a#1": "The dog .", "b#0": "A cat .", "c#0": "A cow ."}


@pytest.mark.parametrize("folder", ["Flicker8k_Dataset", "any name", "Images/Images", "."])
def test_all_is_read_from_a_folder_of_any_name(tmp_path: Path, folder: str) -> None:
    (tmp_path / "__MACOSX").mkdir()
    listing = read(make(tmp_path, folder=folder))
    assert texts(listing) == GOOD
    assert [(i.image_id, i.split, i.source) for i in listing.images] == [
        ("a", "train", "Flickr_8k.trainImages.txt:1"),
        ("b", "val", "Flickr_8k.devImages.txt:1"),
        ("c", "test", "Flickr_8k.testImages.txt:1"),
    ]
    prefix = "" if folder == "." else f"{folder}/"
    assert [image.path for image in listing.images] == [f"{prefix}{n}.jpg" for n in "abc"]
    assert listing.captions[1].source == "Flickr8k.token.txt:2"
    assert listing.dropped == []


def test_the_lemmas_beside_it_are_not_read(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "Flickr8k.lemma.token.txt").write_bytes(TOKENS)
    assert texts(read(tmp_path)) == GOOD


def test_line_ends_mark_and_blank_lines_of_other_systems(tmp_path: Path) -> None:
    tokens = b"\xef\xbb\xbf" + TOKENS.replace(b"\n", b"\r\n") + b"\r\n \r\n"
    train = b"\xef\xbb\xbfa.jpg\r\n\r\n"
    listing = read(make(tmp_path, tokens, train=train))
    assert texts(listing) == GOOD
    assert listing.dropped == []


def test_characters_that_python_takes_for_line_ends_stay(tmp_path: Path) -> None:
    odd = "A\u2028dog\x0b\x85."
    listing = read(make(tmp_path, TOKENS.replace(b"A dog .", odd.encode())))
    assert texts(listing)["a#0"] == odd


@pytest.mark.parametrize("header", [b"image\tcaption\n", b"Image#n\tCaption\n", b"file_name\tx\n"])
def test_a_header_is_told_and_loses_nothing(tmp_path: Path, header: bytes) -> None:
    listing = read(make(tmp_path, header + TOKENS, train=b"image\na.jpg\n"))
    assert texts(listing) == GOOD
    assert [row["reason"] for row in listing.dropped] == ["header", "header"]
    later = read(make(tmp_path, TOKENS + header))
    assert [row["reason"] for row in later.dropped] == ["broken_line"]


def test_broken_lines_are_dropped_by_line(tmp_path: Path) -> None:
    broken = [b"a.jpg#2 no tab", b"a.jpg\tno number", b"a.jpg#x\tno digit", b"#3\tno name"]
    listing = read(make(tmp_path, TOKENS + b"\n".join(broken) + b"\n" + b"b.jpg#1\tlast"))
    assert texts(listing) == GOOD | {"b#1": "last"}
    assert [row["source"] for row in listing.dropped] == [
        f"Flickr8k.token.txt:{number}" for number in (5, 6, 7, 8)
    ]
    assert {row["reason"] for row in listing.dropped} == {"broken_line"}
    assert listing.dropped[0]["raw"] == "a.jpg#2 no tab"


def test_lines_in_another_encoding_are_dropped_alone(tmp_path: Path) -> None:
    latin = "b.jpg#1\tUn café .\n".encode("latin-1")
    listing = read(make(tmp_path, latin + TOKENS, train=b"a.jpg\n\xff.jpg\n"))
    assert texts(listing) == GOOD
    assert reasons(listing) == [
        ("Flickr_8k.trainImages.txt:2", "\\udcff.jpg", "encoding"),
        ("Flickr8k.token.txt:1", "b.jpg#1", "encoding"),
    ]
    assert listing.dropped[1]["raw"] == "b.jpg#1\tUn caf\\udce9 ."


def test_a_file_in_utf_16_loses_every_line_and_says_so(tmp_path: Path) -> None:
    listing = read(make(tmp_path, TOKENS.decode().encode("utf-16")))
    assert listing.captions == []
    assert len(listing.dropped) >= 4


def test_captions_of_a_picture_that_does_not_exist(tmp_path: Path) -> None:
    tokens = b"2258277193_586949ec62.jpg.1#0\tpeople waiting\n" + TOKENS
    listing = read(make(tmp_path, tokens))
    assert texts(listing) == GOOD
    assert reasons(listing) == [
        ("Flickr8k.token.txt:1", "2258277193_586949ec62.jpg.1#0", "missing")
    ]


def test_pictures_in_no_split(tmp_path: Path) -> None:
    listing = read(
        make(tmp_path, TOKENS + b"d.jpg#0\tA duck .\n", pictures=("a.jpg", "d.jpg", "x.txt"))
    )
    assert texts(listing) == GOOD  # b.jpg and c.jpg are absent, which ingest will find out
    assert reasons(listing) == [
        ("Flickr8k.token.txt:5", "d.jpg#0", "no_split"),
        ("Flicker8k_Dataset/d.jpg", "Flicker8k_Dataset/d.jpg", "not_listed"),
    ]


def test_a_picture_in_two_splits_stays_in_the_first(tmp_path: Path) -> None:
    listing = read(make(tmp_path, train=b"a.jpg\na.jpg\n", dev=b"b.jpg\n", test=b"c.jpg\na.jpg\n"))
    assert {i.image_id: i.split for i in listing.images} == {"a": "train", "b": "val", "c": "test"}
    assert reasons(listing) == [
        ("Flickr_8k.trainImages.txt:2", "a.jpg", "duplicate_id"),
        ("Flickr_8k.testImages.txt:2", "a.jpg", "two_splits"),
    ]


def test_the_same_number_twice_and_no_words(tmp_path: Path) -> None:
    listing = read(make(tmp_path, TOKENS + b"a.jpg#1\tAgain .\nb.jpg#1\t \n"))
    assert texts(listing) == GOOD
    assert [(row["item"], row["reason"]) for row in listing.dropped] == [
        ("a#1", "duplicate_id"),
        ("b#1", "empty_caption"),
    ]


def test_without_any_list_every_captioned_picture_has_no_split(tmp_path: Path) -> None:
    absent = "2258277193_586949ec62.jpg.1"  # ingest will find that there is no such file
    make(tmp_path, f"{absent}#0\tpeople waiting\nb.jpg#3\t \n".encode() + TOKENS)
    for path in tmp_path.glob("*Images.txt"):
        path.unlink()
    listing = read(tmp_path)
    assert [(i.image_id, i.path, i.split, i.source) for i in listing.images] == [
        (absent, f"Flicker8k_Dataset/{absent}", None, "Flickr8k.token.txt:1"),
        ("b", "Flicker8k_Dataset/b.jpg", None, "Flickr8k.token.txt:2"),
        ("a", "Flicker8k_Dataset/a.jpg", None, "Flickr8k.token.txt:3"),
        ("c", "Flicker8k_Dataset/c.jpg", None, "Flickr8k.token.txt:6"),
    ]
    assert listing.splits == set()
    assert texts(listing) == GOOD | {f"{absent}#0": "people waiting"}
    assert reasons(listing) == [("Flickr8k.token.txt:2", "b#3", "empty_caption")]


def test_a_list_that_is_absent_or_there_twice(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "Flickr_8k.devImages.txt").unlink()
    with pytest.raises(InputError, match=r"expected one file \*\.devImages\.txt .* none"):
        read(tmp_path)
    make(tmp_path)
    (tmp_path / "Other.token.txt").touch()
    with pytest.raises(InputError, match=r"Flickr8k\.token\.txt, Other\.token\.txt"):
        read(tmp_path)


def test_no_folder_with_the_pictures(tmp_path: Path) -> None:
    make(tmp_path, pictures=("x.jpg",))
    with pytest.raises(InputError, match=r"such as 'a\.jpg'.* is in: \., Flicker8k_Dataset"):
        read(tmp_path)


def test_empty_lists(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected the names of pictures"):
        read(make(tmp_path, train=b"", dev=b"", test=b""))


def test_facts_stand_in_a_side_file(tmp_path: Path) -> None:
    listing = read(make(tmp_path))
    add_facts(tmp_path, listing)
    assert listing.facts == {}
    (tmp_path / "facts.jsonl").write_text(
        '{"image": "a.jpg", "facts": {"z": 1, "b": [{"y": 2, "x": "é"}]}}\n'
        "\n"
        '{"image": "b.jpg", "facts": 3}\n'
        "not json\n"
        '{"image": "a.jpg", "facts": {}}\n'
        '{"image": "x.jpg", "facts": {}}\n'
        '{"image": "c.jpg", "facts": {"share": NaN}}\n' + "[" * 100_000 + "\n",
        encoding="utf-8",
    )
    add_facts(tmp_path, listing)
    assert listing.facts == {"a": '{"b": [{"x": "é", "y": 2}], "z": 1}'}
    assert [(row["source"], row["reason"]) for row in listing.dropped] == [
        ("facts.jsonl:3", "broken_line"),
        ("facts.jsonl:4", "broken_line"),
        ("facts.jsonl:5", "duplicate_id"),
        ("facts.jsonl:6", "no_split"),
        ("facts.jsonl:7", "broken_line"),
        ("facts.jsonl:8", "broken_line"),
    ]


NAMES = st.sampled_from([b"a.jpg", b"b.jpg", b"c.jpg", b"d.jpg", b"x.jpg.1", b"", b"\xff", b" "])
LINES = st.one_of(
    st.binary(max_size=20),
    st.builds(lambda n, k, t: n + b"#" + k + b"\t" + t, NAMES, st.binary(max_size=2), st.binary()),
    st.builds(lambda n, k: n + b"#%d\tA dog ." % k, NAMES, st.integers(0, 2)),
)
FILES = st.lists(LINES, max_size=12).map(b"\n".join)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tokens=FILES, train=FILES | st.lists(NAMES).map(b"\r\n".join))
def test_whatever_the_bytes_rows_and_reasons_add_up(
    tmp_path: Path, tokens: bytes, train: bytes
) -> None:
    listing = read(make(tmp_path, tokens, train=train))
    told = Counter(
        row["source"].rpartition(":")[0] if ":" in row["source"] else "" for row in listing.dropped
    )
    lines = {name: _count(content) for name, content in (("token", tokens), ("train", train))}
    assert len(listing.captions) + told["Flickr8k.token.txt"] == lines["token"]
    assert (
        len(listing.images) + sum(told.values()) - told[""] - told["Flickr8k.token.txt"]
        == lines["train"] + 2
    )
    assert {c.image_id for c in listing.captions} <= {i.image_id for i in listing.images}
    ids = [caption.caption_id for caption in listing.captions]
    assert len(set(ids)) == len(ids)
    for row in listing.dropped:
        "".join(row.values()).encode("utf-8")


def _count(content: bytes) -> int:
    lines = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    return sum(bool(line.decode("utf-8", "surrogateescape").strip()) for line in lines)
