"""Pictures in batches, in order, and only those that `ingest` saw."""

import threading
from dataclasses import replace

import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.images.decode import Span, read_square
from pipeline.images.reading import BATCHES_AHEAD, Picture, read_batches


def test_pictures_come_in_order_in_batches(drawn, raw):
    pictures = drawn(11)
    batches = list(read_batches(pictures, raw, side=8, batch_size=4))
    assert [len(batch) for batch, _ in batches] == [4, 4, 3]
    assert [picture for batch, _ in batches for picture in batch] == pictures
    pixels = np.concatenate([values for _, values in batches])
    assert (pixels.shape, pixels.dtype) == ((11, 8, 8, 3), np.uint8)
    for picture, values in zip(pictures, pixels, strict=True):
        assert np.array_equal(values, read_square(raw / picture.path, 8, 10**6))


def test_no_pictures_are_no_batches(raw):
    assert list(read_batches([], raw, side=8, batch_size=4)) == []


def test_a_picture_that_has_changed_is_refused(drawn, raw):
    pictures = drawn(3)
    drawn(1, first=7)
    (raw / "p007.png").replace(raw / pictures[1].path)
    told = r"p001\.png: has changed since `ingest` saw it\. Run `dvc repro -f -s ingest`, then"
    with pytest.raises(InputError, match=told):
        list(read_batches(pictures, raw, side=8, batch_size=2))


def test_a_picture_that_is_gone_is_refused(drawn, raw):
    pictures = drawn(3)
    (raw / pictures[2].path).unlink()
    told = r"p002\.png.*though `ingest` could read it\. Run `dvc repro -f -s ingest`, then"
    with pytest.raises(InputError, match=told):
        list(read_batches(pictures, raw, side=8, batch_size=2))


def test_a_path_that_leaves_the_folder_is_refused(drawn, raw):
    [picture] = drawn(1)
    outside = replace(picture, path="../raw/p000.png")
    with pytest.raises(InputError, match="inside"):
        list(read_batches([outside], raw, side=8, batch_size=2))


def test_a_picture_larger_than_ingest_saw_is_refused(drawn, raw):
    [picture] = drawn(1)
    small = replace(picture, pixels=10)
    with pytest.raises(InputError, match="pixels"):
        list(read_batches([small], raw, side=8, batch_size=2))


def test_only_a_few_batches_are_read_ahead(drawn, raw, monkeypatch):
    read = []
    monkeypatch.setattr(
        "pipeline.images.reading._read",
        lambda picture, *_: read.append(picture) or 0.0,
    )
    batches = read_batches(drawn(20), raw, side=8, batch_size=2)
    next(batches)
    assert len(read) <= 2 * (BATCHES_AHEAD + 1)
    batches.close()


def test_no_thread_is_left_when_the_reader_goes_away(drawn, raw):
    before = threading.active_count()
    batches = read_batches(drawn(20), raw, side=8, batch_size=2)
    next(batches)
    batches.close()
    assert threading.active_count() == before


def test_a_row_of_the_table_is_a_picture():
    row = {
        **{"image_id": "a", "path": "b/a.png", "offset": 5, "bytes": 6, "sha256": "c"},
        **{"width": 4, "height": 3, "mode": "L", "dhash": ""},
    }
    assert Picture.of(row) == Picture("a", "b/a.png", Span(5, 6), "c", 12)
