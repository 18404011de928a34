"""The feature cache survives whatever happens to its files."""

import hashlib
import logging

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.images.cache import FeatureCache

FINGERPRINT = "ab" * 32


def keys(number: int, first: int = 0) -> list[str]:
    return [hashlib.sha256(bytes([first + n])).hexdigest() for n in range(number)]


def values(number: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(number, 3)).astype("float32")


@pytest.fixture
def cache(tmp_path) -> FeatureCache:
    return FeatureCache(tmp_path, FINGERPRINT, 3)


def files(cache: FeatureCache) -> list:
    return sorted(cache.folder.iterdir())


def test_what_was_put_is_there_exactly_now_and_later(cache, tmp_path):
    cache.put(keys(4), values(4))
    for reader in (cache, FeatureCache(tmp_path, FINGERPRINT, 3)):
        for key, value in zip(keys(4), values(4), strict=True):
            assert key in reader
            assert np.array_equal(reader.get(key), value)


def test_what_was_not_put_is_not_there(cache):
    assert keys(1)[0] not in cache
    with pytest.raises(KeyError):
        cache.get(keys(1)[0])


def test_another_encoder_s_features_are_not_there(cache, tmp_path):
    cache.put(keys(1), values(1))
    assert keys(1)[0] not in FeatureCache(tmp_path, "cd" * 32, 3)


def test_the_same_batch_is_one_file_with_the_same_bytes(cache):
    cache.put(keys(4), values(4))
    before = [path.read_bytes() for path in files(cache)]
    cache.put(keys(4), values(4))
    assert [path.read_bytes() for path in files(cache)] == before


def test_more_files_than_are_kept_open(cache, monkeypatch):
    monkeypatch.setattr("pipeline.images.cache.MAX_OPEN", 2)
    for number in range(5):
        cache.put(keys(2, 2 * number), values(2, seed=number))
    for number in (0, 4, 1, 3, 2, 0):
        assert np.array_equal(cache.get(keys(2, 2 * number)[1]), values(2, seed=number)[1])
        assert len(cache._open) <= 2


def test_a_flipped_byte_is_found_wherever_it_is(cache, tmp_path):
    """Whatever byte is flipped: the features are the right ones, or are not there."""
    cache.put(keys(3), values(3))
    [path] = files(cache)
    whole = path.read_bytes()
    found = 0
    for place in range(0, len(whole), 3):
        damaged = bytearray(whole)
        damaged[place] ^= 0x41
        path.write_bytes(damaged)
        reader = FeatureCache(tmp_path, FINGERPRINT, 3)
        for key, value in zip(keys(3), values(3), strict=True):
            if key in reader:
                assert np.array_equal(reader.get(key), value), place
            else:
                found += 1
    assert found > 0


@pytest.mark.parametrize("content", [b"", b"PAR1", b"not a Parquet file at all"])
def test_a_damaged_file_is_told_and_removed_and_no_other(cache, tmp_path, content, caplog):
    cache.put(keys(2), values(2))
    [path] = files(cache)
    path.write_bytes(content)
    cache.put(keys(2, 7), values(2))
    with caplog.at_level(logging.WARNING):
        reader = FeatureCache(tmp_path, FINGERPRINT, 3)
    assert f"{path} is damaged" in caplog.text
    assert not path.exists()
    assert keys(1)[0] not in reader
    assert keys(1, 7)[0] in reader


def test_a_file_of_another_kind_is_as_damaged(cache, tmp_path):
    cache.put(keys(2), values(2))
    [path] = files(cache)
    pq.write_table(pa.table({"sha256": keys(2)}), path)
    assert keys(1)[0] not in FeatureCache(tmp_path, FINGERPRINT, 3)


def test_a_file_that_is_being_written_is_left_alone(cache, tmp_path):
    cache.put(keys(1), values(1))
    partial = cache.folder / ".123.partial.x.parquet"
    partial.write_bytes(b"half")
    FeatureCache(tmp_path, FINGERPRINT, 3)
    assert partial.exists()


def test_a_key_in_two_files_is_found(cache, tmp_path):
    cache.put(keys(3), values(3))
    cache.put(keys(2), values(3)[:2])
    reader = FeatureCache(tmp_path, FINGERPRINT, 3)
    assert np.array_equal(reader.get(keys(1)[0]), values(3)[0])
