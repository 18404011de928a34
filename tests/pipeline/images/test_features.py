"""Pictures are encoded once, whatever happens."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from pipeline.images.cache import FeatureCache
from pipeline.images.features import compute, rows

SIDE, BATCH = 8, 4


class Encode:
    """An encoder that counts: the mean of each channel."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.fails_at = fails_at
        self.batches: list[int] = []
        self.contents: set[bytes] = set()

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        if len(self.batches) == self.fails_at:
            raise KeyboardInterrupt
        self.batches.append(len(pixels))
        real = [picture.tobytes() for picture in pixels if picture.any()]  # others pad
        assert not self.contents.intersection(real), "a picture was encoded twice"
        self.contents.update(real)
        return pixels.mean(axis=(1, 2)).astype("float32")


@pytest.fixture
def run(raw, tmp_path):
    """Compute features with the cache in `tmp_path / name`; return them and the encoder."""

    def compute_in(name, pictures, encode=None):
        encode = encode or Encode()
        new = compute(pictures, raw, encode, SIDE, cache_in(tmp_path / name), BATCH)
        assert new == len(encode.contents)
        found = list(rows(pictures, cache_in(tmp_path / name)))
        return found, encode

    return compute_in


def cache_in(folder) -> FeatureCache:
    return FeatureCache(folder, "ab" * 32, 3)


def same(one, other) -> bool:
    return [(key, value.tobytes()) for key, value in one] == [
        (key, value.tobytes()) for key, value in other
    ]


def test_each_content_is_encoded_once(drawn, raw, run):
    pictures = drawn(5)
    shutil.copyfile(raw / "p000.png", raw / "twin.png")
    twin = replace(pictures[0], image_id="twin", path="twin.png")
    found, encode = run("cache", [*pictures, twin])
    assert len(encode.contents) == 5
    assert [key for key, _ in found] == [*(picture.image_id for picture in pictures), "twin"]
    assert np.array_equal(found[0][1], found[-1][1])


def test_every_batch_has_the_same_size(drawn, run):
    _, encode = run("cache", drawn(5))
    assert encode.batches == [BATCH, BATCH]


def test_a_warm_cache_computes_nothing(drawn, run):
    found, _ = run("cache", drawn(5))
    again, encode = run("cache", drawn(5))
    assert encode.batches == []
    assert same(found, again)


def test_ten_new_pictures_are_ten_pictures_to_encode(drawn, run):
    before, _ = run("cache", drawn(6))
    found, encode = run("cache", drawn(16))
    assert len(encode.contents) == 10
    assert same(found[:6], before)
    assert same(found, run("fresh", drawn(16))[0])


def test_an_interrupted_run_continues_with_the_same_bytes(drawn, run, tmp_path):
    pictures = drawn(11)
    with pytest.raises(KeyboardInterrupt):
        run("cache", pictures, Encode(fails_at=1))
    found, encode = run("cache", pictures)
    assert len(encode.contents) == 11 - BATCH
    assert same(found, run("undisturbed", pictures)[0])


def test_a_damaged_file_is_computed_again(drawn, run, tmp_path):
    pictures = drawn(11)
    found, _ = run("cache", pictures)
    path = sorted((tmp_path / "cache").rglob("*.parquet"))[0]
    data = bytearray(path.read_bytes())
    data[len(data) // 8] ^= 0xFF
    path.write_bytes(data)
    again, encode = run("cache", pictures)
    assert 0 < len(encode.contents) <= BATCH
    assert same(found, again)


def test_no_pictures_need_no_encoder(run):
    found, encode = run("cache", [])
    assert found == []
    assert encode.batches == []
