"""Flickr30k as Kaggle has it: bars, one of which is missing, and a doubled folder."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.datasets.find import find_layout
from pipeline.datasets.flickr30k_kaggle import parse, parse_commas, read, recognises
from pipeline.datasets.layout import Listing
from pipeline.errors import InputError

HEADER = b"image_name| comment_number| comment\n"
ROWS = b"1.jpg| 0| Two guys .\n1.jpg| 1| Men .\n2.jpg| 0| A dog .\n3.jpg| 0| A cow .\n"
GOOD = {"1#0": "Two guys .", "1#1": "Men .", "2#0": "A dog .", "3#0": "A cow ."}
LACKS_A_BAR = "2199200615.jpg| 4   A dog runs across the grass ."


def make(
    raw: Path,
    content: bytes = HEADER + ROWS,
    place: str = "",
    pictures: str = "flickr30k_images",
) -> Path:
    (raw / place / pictures).mkdir(parents=True, exist_ok=True)
    for name in ("1.jpg", "2.jpg", "3.jpg"):
        (raw / place / pictures / name).touch()
    (raw / place / "results.csv").write_bytes(content)
    return raw


def texts(listing: Listing) -> dict[str, str]:
    return {caption.caption_id: caption.text for caption in listing.captions}


def reasons(listing: Listing) -> list[tuple[str, str, str]]:
    return [(row["source"], row["item"], row["reason"]) for row in listing.dropped]


@pytest.mark.parametrize("pictures", ["flickr30k_images", "any name", "."])
@pytest.mark.parametrize("place", ["", "flickr30k_images"])
def test_the_outer_folder_and_the_one_above_it_can_be_named(
    tmp_path: Path, place: str, pictures: str
) -> None:
    assert recognises(make(tmp_path, place=place, pictures=pictures))
    listing = read(tmp_path)
    file = f"{place}/results.csv".lstrip("/")
    prefix = "".join(f"{part}/" for part in (place, pictures) if part not in ("", "."))
    assert [(i.image_id, i.path, i.split, i.source) for i in listing.images] == [
        ("1", f"{prefix}1.jpg", None, f"{file}:2"),
        ("2", f"{prefix}2.jpg", None, f"{file}:4"),
        ("3", f"{prefix}3.jpg", None, f"{file}:5"),
    ]
    assert texts(listing) == GOOD
    assert listing.captions[1].source == f"{file}:3"
    assert reasons(listing) == [(f"{file}:1", "image_name", "header")]
    assert listing.splits == set()


def test_of_two_copies_the_one_in_the_folder_itself_is_read(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "flickr30k_images" / "results.csv").write_bytes(HEADER + b"1.jpg| 0| Other .\n")
    assert texts(read(tmp_path)) == GOOD


def test_the_line_that_lacks_its_second_bar_is_repaired_and_told(tmp_path: Path) -> None:
    line = LACKS_A_BAR.replace("2199200615", "2").encode()
    listing = read(make(tmp_path, HEADER + ROWS + line + b"\n"))
    assert texts(listing) == GOOD | {"2#4": "A dog runs across the grass ."}
    assert listing.dropped[1:] == [
        {
            "kind": "caption",
            "item": "2#4",
            "source": "results.csv:6",
            "reason": "repaired",
            "raw": line.decode(),
        }
    ]


@pytest.mark.parametrize(
    ("line", "number", "text", "is_repaired"),
    [
        ("a.jpg| 0| A dog .", "0", "A dog .", False),
        ("a.jpg|0|A dog .", "0", "A dog .", False),
        (" a.jpg |12 |  A | dog | ", "12", "A | dog |", False),
        ('a.jpg| 0| "A dog" , he says', "0", '"A dog" , he says', False),
        ("a.jpg| 0|", "0", "", False),
        ("a.jpg| 0| 4 dogs", "0", "4 dogs", False),
        (LACKS_A_BAR, "4", "A dog runs across the grass .", True),
        ("a.jpg| 4 A | dog", "4", "A | dog", True),
    ],
)
def test_whole_lines(line: str, number: str, text: str, is_repaired: bool) -> None:
    said = parse(line)
    assert said is not None
    assert (said.number, said.text, said.is_repaired) == (number, text, is_repaired)
    assert said.name == line.partition("|")[0].strip()


@pytest.mark.parametrize(
    "line",
    [
        "a.jpg",
        "a.jpg| 0",
        "a.jpg| A dog",
        "a.jpg| x| A dog",
        "a.jpg| | A dog",
        "| 0| A dog",
        "a.jpg, 0, A dog",
        "a.jpg| -1| A dog",
        "a.jpg| 0A dog",
        "a.jpg| \u0663| A dog",
    ],
)
def test_broken_lines_are_dropped_alone(tmp_path: Path, line: str) -> None:
    listing = read(make(tmp_path, HEADER + line.encode() + b"\n" + ROWS))
    assert texts(listing) == GOOD
    assert reasons(listing)[1:] == [
        ("results.csv:2", line.partition("|")[0].strip(), "broken_line")
    ]


def test_damage_costs_one_line_each(tmp_path: Path) -> None:
    bad = b"1.jpg| 0| again\r\n\r\n2.jpg| 1| \r\n2.jpg| 2| caf\xe9\r\n1.jpg| 1 again\r\n"
    listing = read(make(tmp_path, b"\xef\xbb\xbf\r\n" + HEADER + ROWS + bad))
    assert texts(listing) == GOOD
    assert reasons(listing) == [
        ("results.csv:2", "image_name", "header"),
        ("results.csv:7", "1#0", "duplicate_id"),
        ("results.csv:9", "2#1", "empty_caption"),
        ("results.csv:10", "2.jpg", "encoding"),
        ("results.csv:11", "1#1", "duplicate_id"),
    ]


def test_the_header_may_be_absent(tmp_path: Path) -> None:
    assert recognises(make(tmp_path, ROWS))
    listing = read(tmp_path)
    assert texts(listing) == GOOD
    assert listing.dropped == []


@pytest.mark.parametrize("beside", ["", "flickr30k_images"])
def test_lists_of_ids_win(tmp_path: Path, beside: str) -> None:
    make(tmp_path, place="flickr30k_images")
    for split, content in (("train", "1\n"), ("val", "2.jpg\n"), ("test", "2\n")):
        (tmp_path / beside / f"flickr30k_{split}.txt").write_text(content)
    listing = read(tmp_path)
    folder, told = "flickr30k_images/flickr30k_images", f"{beside}/".lstrip("/")
    assert [(i.path, i.split, i.source) for i in listing.images] == [
        (f"{folder}/1.jpg", "train", f"{told}flickr30k_train.txt:1"),
        (f"{folder}/2.jpg", "val", f"{told}flickr30k_val.txt:1"),
    ]
    assert listing.splits == {"train", "val", "test"}
    assert reasons(listing) == [
        (f"{told}flickr30k_test.txt:1", "2", "two_splits"),
        ("flickr30k_images/results.csv:1", "image_name", "header"),
        ("flickr30k_images/results.csv:5", "3.jpg#0", "no_split"),
        (f"{folder}/3.jpg", f"{folder}/3.jpg", "not_listed"),
    ]
    (tmp_path / beside / "flickr30k_val.txt").unlink()
    with pytest.raises(InputError, match=r"val\.txt or flickr30k_val\.txt .* none"):
        read(tmp_path)


@pytest.mark.parametrize(
    "first", [b"image,caption", b"image_name,comment_number,comment", b"a|b", b"a.jpg,x|y", b""]
)
def test_other_files_called_results(tmp_path: Path, first: bytes) -> None:
    assert not recognises(make(tmp_path, first))
    with pytest.raises(InputError, match=r"results\.csv or captions\.txt\. Received: none"):
        read(tmp_path)


def test_only_a_header(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected the names of pictures"):
        read(make(tmp_path, HEADER))


LINES = st.one_of(
    st.binary(max_size=20),
    st.builds(
        lambda *parts: b"".join(parts),
        st.sampled_from([b"1.jpg", b" 2.jpg ", b"../x", b"/a.jpg", b"", b"\xff", b"."]),
        st.sampled_from([b"|", b"| ", b"", b"||"]),
        st.sampled_from([b"0", b"1", b"4  ", b"", b"x"]),
        st.sampled_from([b"|", b" | ", b" ", b""]),
        st.sampled_from([b"A dog", b"| ", b"3"]) | st.binary(max_size=8),
    ),
)
QUIET = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture]}


@settings(**QUIET)
@given(lines=st.lists(LINES, max_size=12))
def test_whatever_the_bytes_lines_and_reasons_add_up(tmp_path: Path, lines: list[bytes]) -> None:
    content = b"\n".join([HEADER.strip(), *lines, b"3.jpg| 9| A cow ."])
    listing = read(make(tmp_path, content))
    lost = [r for r in listing.dropped if r["kind"] == "caption" and r["reason"] != "repaired"]
    assert len(listing.captions) + len(lost) == _count(content)
    assert {c.image_id for c in listing.captions} <= {i.image_id for i in listing.images}
    ids = [caption.caption_id for caption in listing.captions]
    assert len(set(ids)) == len(ids)
    for row in listing.dropped:
        "".join(row.values()).encode("utf-8")


@settings(**QUIET)
@given(content=st.binary(max_size=200))
def test_whatever_the_file_a_listing_or_one_clear_error(tmp_path: Path, content: bytes) -> None:
    for whole in (content, HEADER + content):
        recognises(make(tmp_path, whole))
        with suppress(InputError):
            read(tmp_path)


def _count(content: bytes) -> int:
    lines = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    return sum(bool(line.decode("utf-8", "surrogateescape").strip()) for line in lines)


COMMA_HEADER = b"image_name,comment_number,comment\n"
COMMA_ROWS = (
    b'1.jpg,0,"Two guys , outside ."\n1.jpg,1, Men .\n2.jpg,0,A dog , running .\n3.jpg,0,2 cows\n'
)
COMMA_GOOD = {
    "1#0": "Two guys , outside .",
    "1#1": "Men .",
    "2#0": "A dog , running .",
    "3#0": "2 cows",
}


@pytest.mark.parametrize("place", ["", "flickr30k_images"])
@pytest.mark.parametrize("header", [COMMA_HEADER, b""])
def test_later_copies_have_commas(tmp_path: Path, header: bytes, place: str) -> None:
    make(tmp_path, place=place)
    (tmp_path / place / "results.csv").unlink()
    (tmp_path / place / "captions.txt").write_bytes(header + COMMA_ROWS)
    layout = find_layout(tmp_path, "auto")
    assert layout.name == "flickr30k_kaggle"
    listing = layout.read(tmp_path)
    assert texts(listing) == COMMA_GOOD
    assert [row["reason"] for row in listing.dropped] == ["header"] * bool(header)
    assert [image.image_id for image in listing.images] == ["1", "2", "3"]


def test_captions_of_two_columns_are_flickr8k_s(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "results.csv").unlink()
    (tmp_path / "captions.txt").write_bytes(b"1.jpg,Two guys , 3 dogs\n")
    assert not recognises(tmp_path)
    assert find_layout(tmp_path, "auto").name == "flickr8k_kaggle"


@pytest.mark.parametrize(
    ("line", "number", "text", "is_repaired"),
    [
        ("a.jpg,0,A dog .", "0", "A dog .", False),
        (' a.jpg , 12 , "A ""big"" dog , running" ', "12", 'A "big" dog , running', False),
        ('a.jpg,3,"Stop" says a sign', "3", '"Stop" says a sign', True),
    ],
)
def test_whole_lines_with_commas(line: str, number: str, text: str, is_repaired: bool) -> None:
    said = parse_commas(line)
    assert said is not None
    assert said == ("a.jpg", number, text, is_repaired)


@pytest.mark.parametrize("line", ["a.jpg", "a.jpg,0", "a.jpg,A dog", "a.jpg,x,A dog", ",0,A dog"])
def test_broken_lines_with_commas(line: str) -> None:
    assert parse_commas(line) is None
