"""Feature shards: the same in both formats, stable, checked, and open to any other reader."""

import errno
import json
import os
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import InputError
from pipeline.files import unsealed, write_sealed
from pipeline.images import shards
from pipeline.images.shards import (
    MANIFEST,
    open_shards,
    read_manifest,
    read_shards,
    write_shards,
)

ENCODER = "ab" * 32
both = pytest.mark.parametrize("file_format", ["parquet", "tfrecord"])


def some_rows(number: int, width: int = 3) -> list[tuple[str, np.ndarray]]:
    values = np.random.default_rng(1).normal(size=(number, width)).astype("float32")
    return [(f"bild-{n:04d}-é", value) for n, value in enumerate(values)]


def write(folder: Path, rows, **changes):
    options = {
        "shape": (3,),
        "encoder": ENCODER,
        "file_format": "parquet",
        "dtype": "float32",
        "rows_per_shard": 2,
    }
    return write_shards(folder, iter(rows), len(rows), **{**options, **changes})


def some_grids(number: int, shape=(2, 3, 4)) -> list[tuple[str, np.ndarray]]:
    values = np.random.default_rng(2).normal(size=(number, *shape)).astype("float16")
    return [(f"{n:04d}", value) for n, value in enumerate(values)]


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
            shape=(3,),
            encoder=ENCODER,
            file_format="parquet",
            dtype="float32",
            rows_per_shard=2,
        )
    assert list(tmp_path.iterdir()) == []


def test_where_writing_fails_nothing_is_read_any_more(tmp_path, monkeypatch):
    def full(path, blocks, dtype, width):
        next(blocks)
        raise OSError("the disk is full")

    other = shards._FORMATS["parquet"]._replace(write=full)
    monkeypatch.setitem(shards._FORMATS, "parquet", other)
    with pytest.raises(OSError, match="the disk is full"):
        write(tmp_path / "set", some_rows(5))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ahead")]


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


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_plain_duckdb_reads_parquet_shards_and_their_grids(tmp_path, dtype):
    duckdb = pytest.importorskip("duckdb")
    write(tmp_path / "set", some_grids(5), shape=(2, 3, 4), dtype=dtype)
    files = str(tmp_path / "set" / "*.parquet")
    found = duckdb.sql(f"SELECT image_id, feature FROM '{files}' ORDER BY image_id").fetchall()
    assert [image_id for image_id, _ in found] == [image_id for image_id, _ in some_grids(5)]
    expected = np.array([value for _, value in some_grids(5)], "float32").reshape(5, -1)
    assert np.array_equal(np.array([feature for _, feature in found], "float32"), expected)


def test_a_plain_tfds_reader_gets_grids_in_their_shape(tmp_path):
    import tensorflow_datasets as tfds

    write(tmp_path / "set", some_grids(5), shape=(2, 3, 4), file_format="tfrecord")
    features = tfds.features.FeaturesDict(
        {
            "image_id": tfds.features.Text(),
            "feature": tfds.features.Tensor(shape=(2, 3, 4), dtype=np.float32),
        }
    )
    tf = pytest.importorskip("tensorflow")
    paths = sorted(str(path) for path in (tmp_path / "set").glob("*.tfrecord"))
    read = [features.deserialize_example(record) for record in tf.data.TFRecordDataset(paths)]
    assert [row["image_id"].numpy().decode() for row in read] == [f"{n:04d}" for n in range(5)]
    for row, (_, grid) in zip(read, some_grids(5), strict=True):
        assert np.array_equal(row["feature"].numpy(), grid)


def test_the_manifest_is_readable_json(tmp_path):
    write(tmp_path / "set", some_rows(5))
    read = json.loads((tmp_path / "set" / MANIFEST).read_text())
    shards = read.pop("shards")
    assert len(read.pop("sha256")) == 64
    assert read == {
        "dtype": "float32",
        "encoder": ENCODER,
        "format": "parquet",
        "rows": 5,
        "shape": [3],
    }
    assert [shard["rows"] for shard in shards] == [2, 2, 1]


@both
@given(
    rows_per_shard=st.integers(1, 8),
    group_bytes=st.integers(1, 400),
    wanted=st.lists(st.integers(0, 6), max_size=12),
)
@settings(max_examples=15, deadline=None)
def test_rows_of_grids_are_read_in_any_order_and_as_often_as_asked(
    tmp_path_factory, file_format, rows_per_shard, group_bytes, wanted
):
    folder = tmp_path_factory.mktemp("grids")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.images.shards.GROUP_BYTES", group_bytes)
        write(
            folder / "set", some_grids(7), shape=(2, 3, 4), dtype="float16",
            file_format=file_format, rows_per_shard=rows_per_shard,
        )  # fmt: skip
        reader = open_shards(folder / "set", ENCODER)
        everything = np.array([grid for _, grid in some_grids(7)])
        assert (len(reader), reader.shape) == (7, (2, 3, 4))
        read = reader.rows(np.array(wanted, int))
        assert read.dtype == np.float16
        assert np.array_equal(read, everything[wanted])
        assert np.array_equal(reader.read_all().values, everything)


def test_some_rows_are_a_set_of_their_own(tmp_path):
    write(tmp_path / "set", some_grids(7), shape=(2, 3, 4), dtype="float16")
    chosen = open_shards(tmp_path / "set", ENCODER).select([5, 1, 3])
    everything = np.array([grid for _, grid in some_grids(7)])
    assert (len(chosen), chosen.shape) == (3, (3, 2, 3, 4))
    assert np.array_equal(chosen[np.array([2, 0, 2])], everything[[3, 5, 3]])
    assert np.array_equal(chosen[1:], everything[[1, 3]])


def test_a_reader_does_not_hold_the_rows_in_memory(tmp_path):
    import tracemalloc

    rows = some_grids(200, (4, 4, 256))  # 8 KiB each, 1.6 MB
    write(tmp_path / "set", rows, shape=(4, 4, 256), dtype="float16", rows_per_shard=50)
    tracemalloc.start()
    reader = open_shards(tmp_path / "set", ENCODER)
    for start in range(0, 200, 10):
        reader.rows(np.arange(start, start + 10))
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 300_000


@pytest.mark.parametrize("file_format", ["parquet", "tfrecord"])
def test_shards_are_not_held_open(tmp_path, file_format):
    write(
        tmp_path / "set", some_grids(40), shape=(2, 3, 4), file_format=file_format, rows_per_shard=1
    )
    before = len(list(Path("/proc/self/fd").iterdir()))
    reader = open_shards(tmp_path / "set", ENCODER)
    reader.rows(np.arange(40))
    assert len(list(Path("/proc/self/fd").iterdir())) < before + 10


def test_a_shard_that_the_system_will_not_open_is_not_called_broken(tmp_path, monkeypatch):
    write(tmp_path / "set", some_grids(3), shape=(2, 3, 4))
    reader = open_shards(tmp_path / "set", ENCODER)

    def refuse(*_, **__):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InputError, match=r"parquet: cannot be read: Too many open files"):
        reader.rows(np.arange(3))


def test_row_groups_are_small_so_that_readers_can_share_a_file(tmp_path):
    write(tmp_path / "set", some_grids(90, (4, 4, 512)), shape=(4, 4, 512), rows_per_shard=90)
    [path] = (tmp_path / "set").glob("*.parquet")
    assert pq.ParquetFile(path).num_row_groups == 3  # 32 KiB a row, 1 MiB a group


def test_another_layout_of_parquet_is_told(tmp_path):
    import hashlib

    write(tmp_path / "set", some_rows(4), rows_per_shard=4)
    [path] = (tmp_path / "set").glob("*.parquet")
    pq.write_table(pq.read_table(path), path, compression="zstd")
    manifest = json.loads(unsealed((tmp_path / "set" / MANIFEST).read_bytes()))
    manifest["shards"][0]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    write_sealed(tmp_path / "set" / MANIFEST, manifest)
    with pytest.raises(InputError, match="another layout of Parquet"):
        open_shards(tmp_path / "set", ENCODER)


def test_a_fingerprint_allows_its_grids_and_a_whole_identity_only_itself(tmp_path):
    write(tmp_path / "set", some_rows(2), encoder=f"{ENCODER}-grid")
    assert open_shards(tmp_path / "set", ENCODER).encoder == f"{ENCODER}-grid"
    assert len(read_shards(tmp_path / "set", f"{ENCODER}-grid").ids) == 2
    for other in (f"{ENCODER}-bfloat16", ENCODER[:63], "cd" * 32):
        with pytest.raises(InputError, match="Received: those of abababababab-grid"):
            open_shards(tmp_path / "set", other)


@pytest.mark.parametrize("number", [3, 5])
def test_more_or_fewer_rows_than_told_are_refused(tmp_path, number):
    with pytest.raises(ValueError, match="expected 4 rows"):
        write_shards(
            tmp_path / "set", iter(some_rows(number)), 4, shape=(3,), encoder=ENCODER,
            file_format="parquet", dtype="float32", rows_per_shard=2,
        )  # fmt: skip
    assert list(tmp_path.iterdir()) == []


def test_rows_of_another_size_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"row 1 \(bild-0000-é\) of 3 values"):
        write(tmp_path / "set", some_rows(2), shape=(4,))


@both
def test_values_too_large_for_half_precision_are_told(tmp_path, file_format):
    rows = some_rows(3)
    rows[1][1][2] = -70000.0
    write(tmp_path / "set", rows, file_format=file_format)  # float32 has room for them
    with pytest.raises(InputError, match=r"bild-0001-é.*70000\. Set features\.dtype: float32"):
        write(tmp_path / "half", rows, file_format=file_format, dtype="float16")
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_what_is_not_a_number_is_told(tmp_path, dtype):
    rows = some_rows(3)
    rows[1][1][2] = np.nan
    with pytest.raises(InputError, match="bild-0001-é: expected numbers"):
        write(tmp_path / "set", rows, dtype=dtype)
