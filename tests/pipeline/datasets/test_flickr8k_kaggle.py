"""Flickr8k as Kaggle has it: lines of `image,caption`, quoted as in CSV or not at all."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pipeline.datasets.flickr8k_kaggle import parse, read, recognises
from pipeline.datasets.layout import Listing
from pipeline.errors import InputError

HEADER = b"image,caption\n"
ROWS = b"a.jpg,A dog .\nb.jpg,A cat .\na.jpg,The dog .\nc.jpg,A cow .\n"
GOOD = {"a#0": "A dog .", "b#0": "A cat .", "a#1": "The dog .", "c#0": "A cow ."}


def make(raw: Path, content: bytes = HEADER + ROWS, folder: str = "Images") -> Path:
    (raw / folder).mkdir(parents=True, exist_ok=True)
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        (raw / folder / name).touch()
    (raw / "captions.txt").write_bytes(content)
    return raw


def texts(listing: Listing) -> dict[str, str]:
    return {caption.caption_id: caption.text for caption in listing.captions}


def reasons(listing: Listing) -> list[tuple[str, str, str]]:
    return [(row["source"], row["item"], row["reason"]) for row in listing.dropped]


@pytest.mark.parametrize("folder", ["Images", "any name", "Images/Images", "."])
def test_all_is_read_from_a_folder_of_any_name(tmp_path: Path, folder: str) -> None:
    raw = make(tmp_path, folder=folder)
    assert recognises(raw)
    listing = read(raw)
    prefix = "" if folder == "." else f"{folder}/"
    assert [(i.image_id, i.path, i.split, i.source) for i in listing.images] == [
        ("a", f"{prefix}a.jpg", None, "captions.txt:2"),
        ("b", f"{prefix}b.jpg", None, "captions.txt:3"),
        ("c", f"{prefix}c.jpg", None, "captions.txt:5"),
    ]
    assert texts(listing) == GOOD
    assert [caption.source for caption in listing.captions][2:] == [
        "captions.txt:4",
        "captions.txt:5",
    ]
    assert reasons(listing) == [("captions.txt:1", "image", "header")]
    assert listing.splits == set()


@pytest.mark.parametrize("header", [HEADER, b' "Image_ID" , "Caption"\n', b"file_name,text\n"])
def test_names_of_columns(tmp_path: Path, header: bytes) -> None:
    assert recognises(make(tmp_path, header + ROWS))
    listing = read(tmp_path)
    assert texts(listing) == GOOD
    assert [row["reason"] for row in listing.dropped] == ["header"]


def test_the_header_may_be_absent(tmp_path: Path) -> None:
    assert recognises(make(tmp_path, ROWS))
    listing = read(tmp_path)
    assert texts(listing) == GOOD
    assert listing.dropped == []


def test_mark_line_ends_and_blank_lines_of_other_systems(tmp_path: Path) -> None:
    content = b"\xef\xbb\xbf\r\n" + (HEADER + ROWS).replace(b"\n", b"\r\n\r\n") + b" \r\n"
    assert recognises(make(tmp_path, content))
    listing = read(tmp_path)
    assert texts(listing) == GOOD
    assert reasons(listing) == [("captions.txt:2", "image", "header")]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ('a.jpg,"A dog , running"', "A dog , running"),
        ('"a.jpg","A dog , running"', "A dog , running"),
        ("a.jpg,A dog , running , fast", "A dog , running , fast"),
        ('a.jpg,"""Stop"" , says a sign"', '"Stop" , says a sign'),
        ('a.jpg,"A 5"" pipe ."', 'A 5" pipe .'),
        ('a.jpg,A "big" dog , running', 'A "big" dog , running'),
        ('a.jpg,A 5" pipe', 'A 5" pipe'),
        (' a.jpg , "A dog ." ', "A dog ."),
        ("a.jpg,A dog .,", "A dog .,"),
        ("a.jpg,", ""),
        ('a.jpg,""', ""),
    ],
)
def test_captions_with_commas_and_quotes(line: str, text: str) -> None:
    said = parse(line)
    assert said is not None
    assert (said.name, said.number, said.text) == ("a.jpg", None, text)
    assert not said.is_repaired


@pytest.mark.parametrize(
    "caption",
    ['"Stop" , says a sign', '"A dog , running', '"', '"""', '"A "big" dog"', '"x""', '"x", "y"'],
)
def test_quotes_that_enclose_no_field_stay_and_are_told(tmp_path: Path, caption: str) -> None:
    content = HEADER + f"a.jpg,{caption}\n".encode() + ROWS
    listing = read(make(tmp_path, content))
    assert texts(listing)["a#0"] == caption
    assert len(listing.captions) == 5
    assert reasons(listing)[1:] == [("captions.txt:2", "a#0", "repaired")]
    assert listing.dropped[1]["raw"] == f"a.jpg,{caption}"


@pytest.mark.parametrize("line", ["a.jpg", ",A dog .", ' "" ,x', '"a.jpg,x"', '"a,b.jpg",x'])
def test_broken_lines_are_dropped_alone(tmp_path: Path, line: str) -> None:
    listing = read(make(tmp_path, HEADER + line.encode() + b"\n" + ROWS))
    assert texts(listing) == GOOD
    assert reasons(listing)[1:] == [
        ("captions.txt:2", line.partition(",")[0].strip(), "broken_line")
    ]


def test_lines_in_another_encoding_and_without_words(tmp_path: Path) -> None:
    listing = read(make(tmp_path, HEADER + b"a.jpg,caf\xe9\nb.jpg,\nb.jpg, \n" + ROWS))
    assert [caption.text for caption in listing.captions] == list(GOOD.values())
    assert reasons(listing)[1:] == [
        ("captions.txt:2", "a.jpg", "encoding"),
        ("captions.txt:3", "b#0", "empty_caption"),
        ("captions.txt:4", "b#1", "empty_caption"),
    ]
    # The number of a caption is its place among its picture's, so that no two rows share an id.
    assert "b#2" in texts(listing)


def test_a_header_below_the_first_line_is_a_line_like_others(tmp_path: Path) -> None:
    listing = read(make(tmp_path, ROWS + HEADER))
    assert texts(listing) == GOOD | {"image#0": "caption"}  # whose picture ingest finds missing


def test_the_lists_of_the_original_win(tmp_path: Path) -> None:
    make(tmp_path)
    for split, name in (("train", b"a.jpg"), ("dev", b"b.jpg"), ("test", b"b.jpg\n")):
        (tmp_path / f"Flickr_8k.{split}Images.txt").write_bytes(name)
    listing = read(tmp_path)
    assert [(i.image_id, i.split, i.source) for i in listing.images] == [
        ("a", "train", "Flickr_8k.trainImages.txt:1"),
        ("b", "val", "Flickr_8k.devImages.txt:1"),
    ]
    assert listing.splits == {"train", "val", "test"}
    assert reasons(listing) == [
        ("Flickr_8k.testImages.txt:1", "b.jpg", "two_splits"),
        ("captions.txt:1", "image", "header"),
        ("captions.txt:5", "c.jpg#0", "no_split"),
        ("Images/c.jpg", "Images/c.jpg", "not_listed"),
    ]
    (tmp_path / "Flickr_8k.devImages.txt").unlink()
    with pytest.raises(InputError, match=r"expected one file \*\.devImages\.txt .* none"):
        read(tmp_path)


@pytest.mark.parametrize(
    "first",
    [
        b"Some notes on captions",
        b"image_name,comment_number,comment",
        b"some,notes,split",
        b"a.jpg#0\tA dog , running",
        b"a.jpg|A dog",
        b"image\tcaption",
        b"",
    ],
)
def test_other_files_called_captions(tmp_path: Path, first: bytes) -> None:
    assert not recognises(make(tmp_path, first))


@pytest.mark.parametrize("first", [b"image,caption,split", b'Image,"caption","Split"'])
def test_a_column_of_splits_is_recognised_and_what_to_do_is_told(
    tmp_path: Path, first: bytes
) -> None:
    raw = make(tmp_path, first + b"\na.jpg,A dog .,train\n")
    assert recognises(raw)
    with pytest.raises(InputError, match=r"Call the file captions\.csv"):
        read(raw)


def test_no_picture_and_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"captions\.txt: cannot be read"):
        read(tmp_path)
    with pytest.raises(InputError, match="expected the names of pictures"):
        read(make(tmp_path, HEADER))
    with pytest.raises(InputError, match=r"such as 'z\.jpg'.* is in: \., Images"):
        read(make(tmp_path, b"z.jpg,A dog ."))


LINES = st.one_of(
    st.binary(max_size=20),
    st.builds(
        lambda name, quote, text, end: name + b"," + quote + text + end,
        st.sampled_from([b"a.jpg", b" b.jpg", b"../x", b"/a.jpg", b"", b"\xff", b'"a.jpg"', b"."]),
        st.sampled_from([b"", b'"', b'""', b' "']),
        st.sampled_from([b"A dog", b", ", b'"', b""]) | st.binary(max_size=8),
        st.sampled_from([b"", b'"', b'"\r', b"\0"]),
    ),
)
QUIET = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture]}


@settings(**QUIET)
@given(lines=st.lists(LINES, max_size=12), has_lists=st.booleans())
@example(lines=[b'a.jpg,"', b'b.jpg,x","', b'"a.jpg,x'], has_lists=False)
def test_whatever_the_bytes_lines_and_reasons_add_up(
    tmp_path: Path, lines: list[bytes], has_lists: bool
) -> None:
    content = b"\n".join([*lines, b"c.jpg,A cow ."])
    make(tmp_path, content)
    for split in ("train", "dev", "test"):
        path = tmp_path / f"x.{split}Images.txt"
        path.unlink(missing_ok=True)
        if has_lists:
            path.write_bytes(b"a.jpg\nc.jpg\n")
    listing = read(tmp_path)
    lost = [r for r in listing.dropped if r["kind"] == "caption" and r["reason"] != "repaired"]
    assert len(listing.captions) + len(lost) == _count(content)
    assert {c.image_id for c in listing.captions} <= {i.image_id for i in listing.images}
    sources = [c.source for c in listing.captions] + [row["source"] for row in lost]
    assert len(set(sources)) == len(sources)
    for row in listing.dropped:
        "".join(row.values()).encode("utf-8")


@settings(**QUIET)
@given(content=st.binary(max_size=200))
def test_whatever_the_file_a_listing_or_one_clear_error(tmp_path: Path, content: bytes) -> None:
    recognises(make(tmp_path, content))
    with suppress(InputError):
        read(tmp_path)


def _count(content: bytes) -> int:
    lines = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    return sum(bool(line.decode("utf-8", "surrogateescape").strip()) for line in lines)


def test_lists_of_flickr30k_win_as_well(tmp_path: Path) -> None:
    make(tmp_path)
    for split, name in (("train", "a"), ("val", "b"), ("test", "c")):
        (tmp_path / f"{split}.txt").write_text(f"{name}\n")
    splits = {image.image_id: image.split for image in read(tmp_path).images}
    assert splits == {"a": "train", "b": "val", "c": "test"}


def test_a_column_of_splits_is_refused_and_not_taken_for_words(tmp_path: Path) -> None:
    make(tmp_path, b"a.jpg,A dog .,train\nb.jpg,A cat .,val\nc.jpg,A cow .,test\n")
    with pytest.raises(InputError, match=r"third column, of splits: 'a.jpg,A dog .,train'\. Call"):
        read(tmp_path)
