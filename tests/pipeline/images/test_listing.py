"""images.parquet in pieces."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import InputError
from pipeline.images import listing
from pipeline.images.listing import PictureList
from pipeline.images.reading import Picture
from pipeline.tables import IMAGES, write_rows


def row(number: int) -> dict:
    return {
        **{
            "image_id": f"p{number:04d}",
            "split": "train",
            "path": f"{number}.png",
            "offset": number,
        },
        **{"bytes": 7, "sha256": f"{number:064x}", "width": 3, "height": number, "mode": "RGB"},
        "dhash": "0" * 64,
    }


@pytest.fixture
def table(tmp_path):
    write_rows(tmp_path / "images.parquet", [row(n) for n in range(10)], IMAGES, ["image_id"])
    return tmp_path / "images.parquet"


def test_it_is_the_table_s_rows_each_time(table, monkeypatch):
    monkeypatch.setattr(listing, "ROWS", 4)
    found = PictureList(table)
    expected = [Picture.of(row(n)) for n in range(10)]
    assert len(found) == 10
    assert list(found) == list(found) == expected


def test_two_at_a_time_do_not_disturb_each_other(table, monkeypatch):
    monkeypatch.setattr(listing, "ROWS", 4)
    found = PictureList(table)
    assert all(one == other for one, other in zip(found, found, strict=True))


def test_a_missing_table_is_told(tmp_path):
    with pytest.raises(InputError, match=r"images\.parquet: no such file"):
        PictureList(tmp_path / "images.parquet")


@pytest.mark.parametrize("content", [b"", b"not Parquet at all"])
def test_what_is_no_table_is_told(tmp_path, content):
    (tmp_path / "images.parquet").write_bytes(content)
    with pytest.raises(InputError, match="expected a Parquet table"):
        PictureList(tmp_path / "images.parquet")


@pytest.mark.parametrize("column", ["sha256", "width"])
def test_other_columns_are_told(table, column):
    whole = pq.read_table(table)
    for other in (
        whole.drop_columns([column]),
        whole.set_column(0, column, pa.array([True] * 10)).drop_columns([]),
    ):
        pq.write_table(other, table)
        with pytest.raises(InputError, match="expected columns image_id, path"):
            PictureList(table)
