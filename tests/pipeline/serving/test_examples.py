"""Pictures to try the page with."""

import numpy as np
import pytest
from PIL import Image

from pipeline.datasets.scenes.captions import write_captions
from pipeline.datasets.scenes.world import random_scene
from pipeline.errors import InputError
from pipeline.serving.examples import THUMBNAIL, drawn_examples, examples_of, knows_scenes


def test_drawn_ones_are_the_same_every_time(tmp_path):
    (tmp_path / "again").mkdir()
    once, again = drawn_examples(tmp_path, 2), drawn_examples(tmp_path / "again", 2)
    assert [one.path.read_bytes() for one in once] == [one.path.read_bytes() for one in again]
    assert once[0].path.read_bytes() != once[1].path.read_bytes()


def test_ones_own_are_copied_small_and_without_their_remarks(tmp_path):
    source, out = tmp_path / "source", tmp_path / "out"
    source.mkdir()
    out.mkdir()
    exif = Image.Exif()
    exif[0x8298] = "somebody"
    Image.new("RGB", (2000, 1000), "red").save(
        source / "b.jpg", exif=exif, comment=b"somebody at home"
    )
    (source / "a.jpg").write_bytes(b"broken")
    (source / "notes.txt").write_text("nothing")
    [example] = examples_of(source, out, 3, 10**7)
    with Image.open(example.path) as copy:
        assert copy.size == (THUMBNAIL, THUMBNAIL // 2)
        assert not copy.getexif()
        assert "comment" not in copy.info
    assert b"somebody" not in example.path.read_bytes()


def test_a_folder_without_pictures_is_told(tmp_path):
    with pytest.raises(InputError, match=r"expected a folder with pictures .* Received: none"):
        examples_of(tmp_path, tmp_path, 3, 10**6)
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"pictures that can be read .* Received: broken\.jpg"):
        examples_of(tmp_path, tmp_path, 3, 10**6)
    with pytest.raises(InputError, match="no folder"):
        examples_of(tmp_path / "absent", tmp_path, 3, 10**6)


def test_the_built_in_data_set_is_known_by_its_words():
    words = set()
    for number in range(250):
        rng = np.random.default_rng(number)
        for caption in write_captions(random_scene(rng), rng):
            words.update(caption.lower().strip(".").replace(",", "").split())
    assert knows_scenes(words)
    assert not knows_scenes([])
    assert not knows_scenes(["a", "dog", "on", "the", *(f"word{number}" for number in range(40))])
