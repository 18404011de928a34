"""Feature shards: the same in both formats, stable, checked, and open to any other reader."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import InputError
from pipeline.images.shards import MANIFEST, read_manifest, read_shards, write_shards

ENCODER = "ab" * 32
both = pytest.mark.parametrize("file_format", ["parquet", "tfrecord"])


def some_rows(number: int, width: int = 3) -> list[tuple[str, np.ndarray]]:
    values = np.random.default_rng(1).normal(size=(number, width)).astype("float32")
    return [(f"bild-{n:04d}-é", value) for n, value in enumerate(values)]


def write(folder: Path, rows, **changes):
    options = {
        "features": 3,
        "encoder": ENCODER,
        "file_format": "parquet",
        "dtype": "float32",
        "rows_per_shard": 2,
    }
    return write_shards(folder, iter(rows), len(rows), **{**options, **changes})


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@both
@given(number=st.integers(0, 9), rows_per_shard=st.integers(1, 10), half=st.booleans())
@settings(max_examples=15, deadline=None)
def test_what_is_written_is_read(tmp_path_factory, file_format, number, rows_per_shard, half):
    folder = tmp_path_factory.mktemp("shards")
    rows, dtype = some_rows(number), "float16" if half else "float32"
    options = {"rows_per_shard": rows_per_shard, "file_format": file_format, "dtype": dtype}
    manifest = write(folder, rows, **options)
    read = read_shards(folder, ENCODER)
    assert read.ids == [image_id for image_id, _ in rows]
    assert read.values.dtype == dtype
    expected = np.array([value for _, value in rows], dtype).reshape(-1, 3)
    assert np.array_equal(read.values, expected)
    assert read_manifest(folder) == manifest
    assert manifest.rows == number
    assert all(shard.rows <= rows_per_shard for shard in manifest.shards)
    assert len(manifest.shards) == max(1, -(-number // rows_per_shard))


def test_both_formats_read_the_same(tmp_path):
    for file_format in ("parquet", "tfrecord"):
        folder = tmp_path / file_format
        write(folder, some_rows(5), file_format=file_format, dtype="float16")
    one, other = (read_shards(tmp_path / name, ENCODER) for name in ("parquet", "tfrecord"))
    assert one.ids == other.ids
    assert one.values.tobytes() == other.values.tobytes()


@both
def test_equal_rows_give_equal_bytes(tmp_path, file_format):
    for folder in ("one", "other"):
        write(tmp_path / folder, some_rows(5), file_format=file_format)
    assert content(tmp_path / "one") == content(tmp_path / "other")


def test_shards_are_numbered_i_of_n_beside_a_manifest(tmp_path):
    write(tmp_path / "set", some_rows(5))
    names = [f"features-0000{n}-of-00003.parquet" for n in range(3)]
    assert list(content(tmp_path / "set")) == [*names, MANIFEST]
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_a_writer_that_fails_leaves_nothing(tmp_path):
    def failing():
        yield from some_rows(3)
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        write_shards(
            tmp_path / "set",
            failing(),
            5,
            features=3,
            encoder=ENCODER,
            file_format="parquet",
            dtype="float32",
            rows_per_shard=2,
        )
    assert list(tmp_path.iterdir()) == []


def test_another_encoder_s_features_are_refused(tmp_path):
    write(tmp_path / "set", some_rows(2))
    with pytest.raises(InputError, match=r"encoder cdcdcdcdcdcd\. Received: those of abababababab"):
        read_shards(tmp_path / "set", "cd" * 32)


def test_without_a_manifest_the_set_is_not_complete(tmp_path):
    write(tmp_path / "set", some_rows(2))
    (tmp_path / "set" / MANIFEST).unlink()
    with pytest.raises(InputError, match="not complete"):
        read_shards(tmp_path / "set", ENCODER)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"format": "csv"}'])
def test_what_is_no_manifest_is_refused_in_one_line(tmp_path, text):
    write(tmp_path / "set", some_rows(2))
    (tmp_path / "set" / MANIFEST).write_text(text)
    with pytest.raises(InputError, match="expected a manifest") as caught:
        read_shards(tmp_path / "set", ENCODER)
    assert "\n" not in str(caught.value)


@both
def test_a_flipped_byte_is_found_and_its_file_named(tmp_path, file_format):
    write(tmp_path / "set", some_rows(5), file_format=file_format)
    path = sorted((tmp_path / "set").glob("features-*"))[1]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match=f"{path.name}: its bytes are not those"):
        read_shards(tmp_path / "set", ENCODER)


def test_a_missing_shard_is_named(tmp_path):
    write(tmp_path / "set", some_rows(5))
    (tmp_path / "set" / "features-00002-of-00003.parquet").unlink()
    with pytest.raises(InputError, match=r"features-00002-of-00003\.parquet: no such file"):
        read_shards(tmp_path / "set", ENCODER)


def test_a_shard_of_another_set_is_refused(tmp_path):
    write(tmp_path / "set", some_rows(4))
    shards = sorted((tmp_path / "set").glob("features-*"))
    shards[0].write_bytes(shards[1].read_bytes())
    with pytest.raises(InputError, match="features-00000"):
        read_shards(tmp_path / "set", ENCODER)


def test_rows_are_found_by_id(tmp_path):
    write(tmp_path / "set", some_rows(3))
    read = read_shards(tmp_path / "set", ENCODER)
    assert read.row_of() == {image_id: row for row, (image_id, _) in enumerate(some_rows(3))}


def test_plain_pandas_and_pyarrow_read_parquet_shards(tmp_path):
    write(tmp_path / "set", some_rows(5), dtype="float16")
    paths = sorted((tmp_path / "set").glob("*.parquet"))
    table = pq.read_table(paths[0])
    assert str(table.schema.field("feature").type) == "fixed_size_list<element: halffloat>[3]"
    frame = pd.concat([pd.read_parquet(path) for path in paths])
    assert frame["image_id"].tolist() == [image_id for image_id, _ in some_rows(5)]
    expected = np.array([value for _, value in some_rows(5)], "float16")
    assert np.array_equal(np.stack(frame["feature"]), expected)


def test_plain_tensorflow_reads_tfrecord_shards(tmp_path):
    import tensorflow as tf

    write(tmp_path / "set", some_rows(5), file_format="tfrecord")
    paths = sorted(str(path) for path in (tmp_path / "set").glob("*.tfrecord"))
    schema = {
        "image_id": tf.io.FixedLenFeature([], tf.string),
        "feature": tf.io.FixedLenFeature([3], tf.float32),
    }
    data = tf.data.TFRecordDataset(paths).batch(10)  # checks each record's checksums
    [batch] = [tf.io.parse_example(records, schema) for records in data]
    ids = [image_id.decode() for image_id in batch["image_id"].numpy()]
    assert ids == [image_id for image_id, _ in some_rows(5)]
    assert np.array_equal(batch["feature"].numpy(), [value for _, value in some_rows(5)])


def test_the_manifest_is_readable_json(tmp_path):
    write(tmp_path / "set", some_rows(5))
    read = json.loads((tmp_path / "set" / MANIFEST).read_text())
    shards = read.pop("shards")
    assert read == {
        "dtype": "float32",
        "encoder": ENCODER,
        "features": 3,
        "format": "parquet",
        "rows": 5,
    }
    assert [shard["rows"] for shard in shards] == [2, 2, 1]
