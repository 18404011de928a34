"""Tables: stable bytes, checked on reading."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import InputError
from pipeline.tables import CAPTIONS, CLEAN_CAPTIONS, IMAGES, read_table, write_rows

ROWS = [
    {"image_id": "b", "caption_id": "b#1", "text": "ein Hund"},
    {"image_id": "a", "caption_id": "a#2", "text": "a dog\twith tabs"},
    {"image_id": "a", "caption_id": "a#1", "text": ""},
]
ORDER = ["image_id", "caption_id"]


def test_rows_are_read_as_written_and_sorted(tmp_path):
    write_rows(tmp_path / "t.parquet", ROWS, CAPTIONS, sort_by=ORDER)
    assert read_table(tmp_path / "t.parquet", CAPTIONS).to_pylist() == ROWS[::-1]


def test_equal_rows_give_equal_bytes_whatever_their_order(tmp_path):
    write_rows(tmp_path / "one.parquet", ROWS, CAPTIONS, sort_by=ORDER)
    write_rows(tmp_path / "other.parquet", ROWS[::-1], CAPTIONS, sort_by=ORDER)
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "other.parquet").read_bytes()


def test_no_rows_are_a_table_too(tmp_path):
    write_rows(tmp_path / "t.parquet", [], IMAGES, sort_by=["image_id"])
    assert read_table(tmp_path / "t.parquet", IMAGES).num_rows == 0


def test_a_value_of_another_type_is_not_written(tmp_path):
    with pytest.raises(pa.ArrowTypeError):
        write_rows(tmp_path / "t.parquet", [{**ROWS[0], "text": 7}], CAPTIONS, sort_by=ORDER)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_table_is_told(tmp_path):
    with pytest.raises(InputError, match=r"t\.parquet: no such file\. Run the stage"):
        read_table(tmp_path / "t.parquet", CAPTIONS)


def test_other_columns_are_told(tmp_path):
    write_rows(tmp_path / "t.parquet", ROWS, CAPTIONS, sort_by=ORDER)
    with pytest.raises(InputError, match=r"expected columns .*tokens list.*\. Received: .*text st"):
        read_table(tmp_path / "t.parquet", CLEAN_CAPTIONS)


def test_other_types_are_told(tmp_path):
    table = pa.table({"image_id": [1], "caption_id": ["a"], "text": ["b"]})
    pq.write_table(table, tmp_path / "t.parquet")
    with pytest.raises(InputError, match="Received: image_id int64"):
        read_table(tmp_path / "t.parquet", CAPTIONS)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"a,b\n1,2\n"])
def test_what_is_no_parquet_is_told_in_one_line(tmp_path, content):
    (tmp_path / "t.parquet").write_bytes(content)
    with pytest.raises(InputError, match="expected a Parquet table") as caught:
        read_table(tmp_path / "t.parquet", CAPTIONS)
    assert "\n" not in str(caught.value)
