"""Only pictures that are as `ingest` saw them are shown."""

import hashlib

import pyarrow as pa
import pytest
from PIL import Image

from pipeline.errors import InputError
from pipeline.exploration.pictures import read_pictures
from pipeline.tables import IMAGES


@pytest.fixture
def images(tmp_path):
    rows = []
    for name, size in (("a", (200, 100)), ("b", (10, 20))):
        path = tmp_path / f"{name}.png"
        Image.new("RGB", size, "red").save(path)
        rows.append(
            {
                **{"image_id": name, "split": "train", "path": path.name, "offset": 0},
                **{"bytes": path.stat().st_size, "mode": "RGB", "dhash": ""},
                **{"sha256": hashlib.sha256(path.read_bytes()).hexdigest()},
                **{"width": size[0], "height": size[1]},
            }
        )
    return pa.Table.from_pylist(rows, schema=IMAGES)


def test_pictures_are_read_small_and_once(images, tmp_path):
    found = read_pictures(images, [1, 0, 1], tmp_path, side=50)
    assert {row: picture.size for row, picture in found.items()} == {0: (50, 25), 1: (10, 20)}


def test_a_picture_that_is_gone_is_told(images, tmp_path):
    (tmp_path / "b.png").unlink()
    with pytest.raises(
        InputError, match=r"b\.png.*though `ingest` could read it\. Run `dvc repro -f -s ingest`"
    ):
        read_pictures(images, [0, 1], tmp_path, side=50)
    assert len(read_pictures(images, [0], tmp_path, side=50)) == 1


def test_a_picture_that_has_changed_is_told(images, tmp_path):
    Image.new("RGB", (10, 20), "blue").save(tmp_path / "b.png")
    with pytest.raises(InputError, match=r"b\.png: has changed since `ingest` saw it"):
        read_pictures(images, [1], tmp_path, side=50)
