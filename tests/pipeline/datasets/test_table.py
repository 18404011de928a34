"""A plain table in four formats, with the damage that spreadsheets and people do."""

import csv
import io
import json
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pipeline.datasets.layout import Listing
from pipeline.datasets.table import CAPTION_COLUMNS, read
from pipeline.datasets.table_files import LINES_A_ROW, open_table
from pipeline.errors import InputError
from pipeline.images.decode import PictureError, inside

ROWS = [
    ("a.jpg", 'A "big" dog, it runs', "train"),
    ("a.jpg", "Two\nlines", "train"),
    ("b.jpg", "Un café .", "val"),
    ("c.jpg", "  A cow .", "test"),
]
GOOD = {"a#0": ROWS[0][1], "a#1": ROWS[1][1], "b#0": ROWS[2][1], "c#0": ROWS[3][1]}


def make(raw: Path, content: str | bytes, name: str = "captions.csv", folder: str = "") -> Path:
    (raw / folder).mkdir(exist_ok=True)
    for picture in ("a.jpg", "b.jpg", "c.jpg"):
        (raw / folder / picture).touch()
    (raw / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return raw


def texts(listing: Listing) -> dict[str, str]:
    return {caption.caption_id: caption.text for caption in listing.captions}


def dropped(listing: Listing) -> list[tuple[str, str]]:
    """Lines and reasons of the dropped rows; `make` always lays three pictures beside them."""
    rows = [row for row in listing.dropped if row["reason"] != "not_listed"]
    return [(row["source"].rpartition(":")[2], row["reason"]) for row in rows]


def separated(separator: str = ",", end: str = "\n") -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter=separator, lineterminator=end)
    writer.writerow([" Image_ID", "CAPTION ", "Split"])
    writer.writerows(ROWS)
    return stream.getvalue()


def parquet(columns: dict[str, pa.Array]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def columns() -> dict[str, pa.Array]:
    names, captions, splits = (pa.array(column) for column in zip(*ROWS, strict=True))
    return {
        "thumbnail": pa.array([b"\xff"] * 4),
        "file_name": names.dictionary_encode(),
        "text": pa.array(captions, pa.large_string()),
        "split": splits,
    }


FORMATS = {
    "captions.csv": separated(),
    "captions.tsv": separated("\t"),
    "windows.csv": "\ufeff" + separated(end="\r\n"),
    "captions.jsonl": "".join(
        json.dumps({"Extra": 1, "caption": c, "path": p, "split": s}) + "\n\n" for p, c, s in ROWS
    ),
    "captions.parquet": parquet(columns()),
}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("folder", ["", "photos"])
def test_every_format_says_the_same(tmp_path: Path, name: str, folder: str) -> None:
    listing = read(make(tmp_path, FORMATS[name], name, folder))
    assert texts(listing) == GOOD
    assert [(image.image_id, image.split) for image in listing.images] == [
        ("a", "train"),
        ("b", "val"),
        ("c", "test"),
    ]
    prefix = f"{folder}/" if folder else ""
    assert [image.path for image in listing.images] == [f"{prefix}{n}.jpg" for n in "abc"]
    assert listing.dropped == []


def test_the_source_is_the_first_line_of_a_row(tmp_path: Path) -> None:
    listing = read(make(tmp_path, separated()))
    assert [c.source for c in listing.captions] == [f"captions.csv:{n}" for n in (2, 3, 5, 6)]


@pytest.mark.parametrize("picture", ["image", "image_id", "file", "filename", "path", "picture"])
@pytest.mark.parametrize("caption", CAPTION_COLUMNS)
def test_names_of_columns(tmp_path: Path, picture: str, caption: str) -> None:
    listing = read(make(tmp_path, f"n,{caption},{picture.upper()}\n1,A dog .,a.jpg\n"))
    assert texts(listing) == {"a#0": "A dog ."}
    assert listing.images[0].split is None


def test_of_several_columns_the_path_is_taken(tmp_path: Path) -> None:
    listing = read(make(tmp_path, "image_id,file_name,caption\n17,a.jpg,A dog .\n"))
    assert listing.images[0].path == "a.jpg"


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ("a.jpg,A dog .", "column for a picture.*Received the columns: 'a.jpg', 'A dog .'"),
        ("image,words", "column for a caption.*Received the columns: 'image', 'words'"),
        ("image;caption", "Received the columns: 'image;caption'. They are separated by semicol"),
        ("image\tcaption", "They are separated by tabs: save it with commas"),
        ("image,caption".encode("utf-16").decode("latin-1"), "CSV UTF-8"),
        ('"image,caption', "Received the columns"),
        ("\n", "an empty file"),
    ],
)
def test_a_header_that_is_absent_or_other(tmp_path: Path, header: str, told: str) -> None:
    with pytest.raises(InputError, match=told) as caught:
        read(make(tmp_path, f"{header}\n" + (f"{header}\n" if header.strip() else "")))
    assert "captions.csv" in str(caught.value)


def test_rows_with_too_few_or_many_fields(tmp_path: Path) -> None:
    listing = read(
        make(tmp_path, "image,caption\na.jpg\na.jpg,A dog, it runs\nb.jpg,A cat .\n\n,x\n")
    )
    assert texts(listing) == {"b#0": "A cat ."}
    assert dropped(listing) == [("2", "broken_line"), ("3", "broken_line"), ("6", "broken_line")]
    assert listing.dropped[1]["raw"] == "a.jpg,A dog, it runs"


@pytest.mark.parametrize("after", [1, 3, LINES_A_ROW * 3])
def test_a_quote_never_closed_costs_one_line(tmp_path: Path, after: int) -> None:
    rest = "".join(f"b.jpg,cat {n}\n" for n in range(after))
    listing = read(make(tmp_path, f'image,caption\na.jpg,"A dog .\n{rest}c.jpg,"A, cow"\n'))
    assert dropped(listing) == [("2", "broken_line")]
    assert len(listing.captions) == after + 1
    assert texts(listing)["c#0"] == "A, cow"


@pytest.mark.parametrize("separator", [",", "\t"])
def test_quotes_never_closed_that_pair_up_merge_no_rows(tmp_path: Path, separator: str) -> None:
    lines = ["image,caption", 'a.jpg,"go', 'b.jpg,says the sign"', "c.jpg,A cow ."]
    content = "".join(f"{line.replace(',', separator)}\n" for line in lines)
    name = "captions.csv" if separator == "," else "captions.tsv"
    listing = read(make(tmp_path, content, name))
    assert dropped(listing) == [("2", "broken_line")]
    assert texts(listing) == {"b#0": 'says the sign"', "c#0": "A cow ."}


@pytest.mark.parametrize(
    "lines",
    [
        ["id,image,caption", '1,a.jpg,"go', '2,b.jpg,says the sign"', "3,c.jpg,A cow ."],
        ["caption,image", '"go,a.jpg', 'says the sign",b.jpg', "A cow .,c.jpg"],
    ],
)
def test_quotes_that_pair_up_merge_no_rows_wherever_the_picture_stands(
    tmp_path: Path, lines: list[str]
) -> None:
    listing = read(make(tmp_path, "\n".join(lines) + "\n"))
    assert ("2", "broken_line") in dropped(listing)
    assert texts(listing)["c#0"] == "A cow ."
    assert not any("\n" in text for text in texts(listing).values())


def test_a_caption_of_two_lines_before_its_picture(tmp_path: Path) -> None:
    listing = read(make(tmp_path, 'caption,image\n"A dog ,\nit runs",a.jpg\nA cow .,c.jpg\n'))
    assert texts(listing) == {"a#0": "A dog ,\nit runs", "c#0": "A cow ."}
    assert dropped(listing) == []


def test_what_macos_lays_beside_a_table_is_none(tmp_path: Path) -> None:
    make(tmp_path, "image,caption\na.jpg,A dog .\n", "photos.csv")
    (tmp_path / "._photos.csv").write_bytes(b"resource fork")
    assert texts(read(tmp_path)) == {"a#0": "A dog ."}


def test_a_quote_inside_plain_text_stays(tmp_path: Path) -> None:
    listing = read(make(tmp_path, 'image,caption\na.jpg,A 5" pipe .\n'))
    assert texts(listing) == {"a#0": 'A 5" pipe .'}


def test_rows_in_another_encoding_are_dropped_alone(tmp_path: Path) -> None:
    rows = 'image,caption\nb.jpg,caf\xe9\na.jpg,A dog .\nc.jpg,"two\nlin\xe9s"\nb.jpg,A cat .\n'
    listing = read(make(tmp_path, rows.encode("latin-1")))
    assert texts(listing) == {"a#0": "A dog .", "b#0": "A cat ."}
    assert dropped(listing) == [("2", "encoding"), ("4", "encoding")]
    lines = b'{"image": "a.jpg", "caption": "A dog ."}\n{"image": "b.jpg", "caption": "\xff"}\n'
    escape = b'{"image": "b.jpg", "caption": "\\ud800"}\n'
    (tmp_path / "captions.csv").unlink()
    listing = read(make(tmp_path, lines + escape, "captions.jsonl"))
    assert texts(listing) == {"a#0": "A dog ."}
    assert dropped(listing) == [("2", "encoding"), ("3", "encoding")]


def test_parquet_with_bad_bytes_and_nulls(tmp_path: Path) -> None:
    bad = pa.array([b"A dog .", b"\xff", None, b"x"]).view(pa.string())
    names = pa.array(["a.jpg", "b.jpg", "c.jpg", None])
    listing = read(make(tmp_path, parquet({"image": names, "caption": bad}), "captions.parquet"))
    assert texts(listing) == {"a#0": "A dog ."}
    assert dropped(listing) == [("2", "encoding"), ("3", "empty_caption"), ("4", "broken_line")]


def test_parquet_that_is_none_or_of_other_types(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a Parquet table"):
        read(make(tmp_path, b"PAR1 no", "captions.parquet"))
    whole = bytearray(parquet(columns()))
    footer = int.from_bytes(whole[-8:-4], "little")
    whole[4 : -8 - footer] = bytes(len(whole) - 12 - footer)
    with pytest.raises(InputError, match="damaged"):
        read(make(tmp_path, bytes(whole), "captions.parquet"))
    numbers = parquet({"image": pa.array(["a.jpg"]), "caption": pa.array([["A dog ."]])})
    with pytest.raises(InputError, match=r"expected text in column 'caption'.*list"):
        read(make(tmp_path, numbers, "captions.parquet"))


def test_broken_lines_of_json(tmp_path: Path) -> None:
    lines = [
        "[1]",
        '{"image": "a.jpg", "caption": "A dog ."}',
        "{",
        "3",
        '{"image": 3}',
        "[" * 9**5,
    ]
    lines += ['{"image": "b.jpg"}', '{"caption": "x"}', '{"image": "c.jpg", "caption": "A cow ."}']
    listing = read(make(tmp_path, "\n".join(lines), "captions.jsonl"))
    assert texts(listing) == {"a#0": "A dog .", "c#0": "A cow ."}
    broken = [(str(number), "broken_line") for number in (1, 3, 4, 5, 6)]
    assert dropped(listing) == [*broken, ("7", "empty_caption"), ("8", "broken_line")]


def test_columns_of_json_may_begin_late(tmp_path: Path) -> None:
    lines = [
        '{"image": "a.jpg", "caption": "A dog .", "note": 3}',
        '{"image": "b.jpg", "caption": "A cat .", "split": "test"}',
    ]
    listing = read(make(tmp_path, "\n".join(lines), "captions.jsonl"))
    assert [(image.image_id, image.split) for image in listing.images] == [("b", "test")]
    assert ("1", "unknown_split") in dropped(listing)


def test_json_without_any_object(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="one JSON object a line"):
        read(make(tmp_path, "[1]\n", "captions.jsonl"))


def test_names_of_splits(tmp_path: Path) -> None:
    names = ["train", "Training", "val", "valid", "validation", " DEV ", "test", "restval", ""]
    rows = "".join(f"p{n}.jpg,x,{name}\n" for n, name in enumerate(names))
    listing = read(make(tmp_path, f"image,caption,split\na.jpg,x,train\n{rows}"))
    splits = ["train", "train", "train", "val", "val", "val", "val", "test"]
    assert [image.split for image in listing.images] == splits
    assert dropped(listing) == [("10", "unknown_split"), ("11", "unknown_split")]


def test_a_picture_in_two_splits_stays_in_the_first(tmp_path: Path) -> None:
    rows = "a.jpg,one,train\na.jpg,two,test\na.jpg,three,train\n"
    listing = read(make(tmp_path, f"image,caption,split\n{rows}"))
    assert texts(listing) == {"a#0": "one", "a#1": "three"}
    assert ("3", "two_splits") in dropped(listing)


def test_a_picture_without_words_is_still_listed(tmp_path: Path) -> None:
    listing = read(make(tmp_path, "image,caption\na.jpg, \nb.jpg,A cat .\nc.jpg,x\n"))
    assert [image.image_id for image in listing.images] == ["a", "b", "c"]
    assert dropped(listing) == [("2", "empty_caption")]


def test_pictures_beside_listed_ones_are_told(tmp_path: Path) -> None:
    make(tmp_path, "image,caption\na.jpg,A dog .\n", folder="photos")
    (tmp_path / "photos" / "readme.txt").touch()
    assert [(row["item"], row["reason"]) for row in read(tmp_path).dropped] == [
        ("photos/b.jpg", "not_listed"),
        ("photos/c.jpg", "not_listed"),
    ]


def test_paths_as_windows_writes_them_and_sub_folders(tmp_path: Path) -> None:
    make(tmp_path, "image,caption\nx\\a.jpg,A dog .\n./x/b.jpg,A cat .\nx//c.jpg,A cow .\n")
    make(tmp_path, "", "empty.txt", folder="x")
    listing = read(tmp_path)
    assert texts(listing) == {"x/a#0": "A dog .", "x/b#0": "A cat .", "x/c#0": "A cow ."}
    assert [image.path for image in listing.images] == ["x/a.jpg", "x/b.jpg", "x/c.jpg"]


@pytest.mark.parametrize("evil", ["../secret.jpg", "{outside}/secret.jpg", "x/../../secret.jpg"])
def test_paths_that_leave_are_handed_on_to_be_refused(tmp_path: Path, evil: str) -> None:
    (tmp_path / "secret.jpg").touch()
    (tmp_path / "raw").mkdir()
    evil = evil.format(outside=tmp_path)
    raw = make(tmp_path / "raw", f"image,caption\n{evil},x\na.jpg,x\n", folder="photos")
    image = read(raw).images[0]
    with pytest.raises(PictureError) as caught:
        inside(raw, image.path)
    assert caught.value.reason in {"outside_folder", "missing"}


def test_several_tables(tmp_path: Path) -> None:
    make(tmp_path, "image,caption\na.jpg,A dog .\n", "one.csv")
    make(tmp_path, "", "two.csv")
    with pytest.raises(InputError, match=r"expected one table captions\..*one\.csv, two\.csv"):
        read(tmp_path)
    make(tmp_path, "image,caption\na.jpg,A dog .\n", "captions.tsv".replace("tsv", "csv"))
    assert texts(read(tmp_path)) == {"a#0": "A dog ."}
    make(tmp_path, "", "captions.tsv")
    with pytest.raises(InputError, match=r"captions\.csv, captions\.tsv"):
        read(tmp_path)


def test_none_of_the_pictures_is_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"such as 'z\.jpg'.*is in: \."):
        read(make(tmp_path, "image,caption\nz.jpg,A dog .\n"))


PLAIN = st.lists(
    st.one_of(
        st.binary(max_size=12),
        st.builds(
            lambda n, t: n + b"," + t,
            st.sampled_from([b"a.jpg", b"b.jpg", b"", b"\xff", b"../x", b"/a.jpg"]),
            st.binary(max_size=8),
        ),
    ).map(lambda line: line.replace(b"\n", b"")),
    max_size=10,
)
QUIET = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture],
}


@settings(**QUIET)
@given(lines=PLAIN.map(lambda lines: [line.replace(b'"', b"") for line in lines]))
def test_whatever_the_bytes_rows_and_reasons_add_up(tmp_path: Path, lines: list[bytes]) -> None:
    content = b"\n".join([b"image,caption", b"c.jpg,A cow .", *lines])
    listing = read(make(tmp_path, content))
    rows = sum(bool(line.decode("utf-8", "surrogateescape").strip()) for line in lines)
    assert len(listing.captions) + len(dropped(listing)) == rows + 1
    check(listing)


@settings(**QUIET)
@given(lines=PLAIN)
@example(lines=[b'a.jpg,"', b'b.jpg,x","', b'"a.jpg,x'])
def test_quotes_anywhere_lose_no_line(tmp_path: Path, lines: list[bytes]) -> None:
    """Each line that is not blank lies in one row, and each row is kept or told."""
    content = b"\n".join([b"image,caption", b"c.jpg,A cow .", *lines])
    listing = read(make(tmp_path, content))
    rows = list(open_table(tmp_path / "captions.csv").rows(["image", "caption"]))
    assert len(listing.captions) + len(dropped(listing)) == len(rows)
    covered = [row.number + below for row in rows for below in range(row.raw.count("\n") + 1)]
    assert len(set(covered)) == len(covered)
    for number, line in enumerate(content.split(b"\n")[1:], start=2):
        is_blank = not line.decode("utf-8", "surrogateescape").strip()
        assert is_blank or number in covered
    check(listing)


@settings(**QUIET)
@given(content=st.binary(max_size=200), name=st.sampled_from(list(FORMATS)))
def test_whatever_the_file_a_listing_or_one_clear_error(
    tmp_path: Path, content: bytes, name: str
) -> None:
    for other in FORMATS:
        (tmp_path / other).unlink(missing_ok=True)
    make(tmp_path, content, name)
    with suppress(InputError):
        check(read(tmp_path))


def check(listing: Listing) -> None:
    assert {c.image_id for c in listing.captions} <= {i.image_id for i in listing.images}
    ids = [caption.caption_id for caption in listing.captions]
    assert len(set(ids)) == len(ids)
    for row in listing.dropped:
        "".join(row.values()).encode("utf-8")


@pytest.mark.parametrize(
    ("name", "content", "reasons", "mend"),
    [
        (
            "captions.csv",
            "image,caption\na.jpg,A dog, it runs\nb.jpg,A cow, too\n",
            "broken_line 2",
            "stands in quotes",
        ),
        (
            "captions.jsonl",
            '{"image": "a.jpg", "caption": ["A dog", "It runs"]}\n',
            "broken_line 1",
            "all of them texts",
        ),
        ("captions.csv", b"image,caption\na.jpg,A caf\xe9\n", "encoding 1", "as UTF-8"),
    ],
)
def test_where_no_row_can_be_read_it_is_said_why(
    tmp_path: Path, name: str, content: str | bytes, reasons: str, mend: str
) -> None:
    with pytest.raises(InputError) as caught:
        read(make(tmp_path, content, name))
    assert f"none of which can be read ({reasons})" in str(caught.value)
    assert f"For example {name}:" in str(caught.value)
    assert mend in str(caught.value)


@pytest.mark.parametrize("second", ["caption", " Caption"])
def test_a_second_column_of_captions_is_not_passed_over(tmp_path: Path, second: str) -> None:
    content = f"image,caption,{second},more,more\na.jpg,A dog,A cow,1,2\n"
    with pytest.raises(InputError, match=r"Received: 'caption' 2 times\. One caption a row"):
        read(make(tmp_path, content))
