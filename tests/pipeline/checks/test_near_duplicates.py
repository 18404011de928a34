"""Pictures that look the same, found as brute force finds them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.checks import near_duplicates
from pipeline.checks.near_duplicates import (
    BITS,
    NONE,
    SCATTERED,
    is_flat,
    nearest_in_earlier_split,
    parse_hashes,
)


def flip(hashes, row, places):
    bits = np.unpackbits(hashes[row].view(np.uint8))
    bits[list(places)] ^= 1
    hashes[row] = np.packbits(bits).view(np.uint64)


def brute_force(hashes, splits, bits):
    telling = ~is_flat(hashes, bits)
    found = []
    for row in range(len(hashes)):
        apart = np.bitwise_count(hashes ^ hashes[row]).sum(axis=1)
        allowed = telling & telling[row] & (splits < splits[row]) & (apart <= bits)
        best = min(((int(apart[n]), n) for n in np.flatnonzero(allowed)), default=(None, NONE))
        found.append((int(best[1]), best[0]))
    return found


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_it_finds_what_brute_force_finds(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    size, bits = data.draw(st.integers(1, 40)), data.draw(st.integers(0, 32))
    kinds = rng.integers(0, 2**63, (data.draw(st.integers(1, 6)), 4), dtype=np.uint64)
    kinds[0] = 0  # a blank picture
    hashes = kinds[rng.integers(0, len(kinds), size)]
    for row in range(size):
        flip(hashes, row, rng.choice(BITS, rng.integers(0, bits + 6), replace=False))
    splits = rng.integers(0, 4, size)
    twins = nearest_in_earlier_split(hashes, splits, bits)
    expected = brute_force(hashes, splits, bits)
    assert twins.nearest.tolist() == [row for row, _ in expected]
    for apart, (row, distance) in zip(twins.apart.tolist(), expected, strict=True):
        assert row == NONE or apart == distance


@pytest.mark.parametrize("block", [1, 7, 1 << 17])
def test_small_blocks_find_the_same(monkeypatch, block):
    rng = np.random.default_rng(1)
    hashes = rng.integers(0, 2**63, (3, 4), dtype=np.uint64)[rng.integers(0, 3, 60)]
    for row in range(60):
        flip(hashes, row, rng.choice(BITS, 6, replace=False))
    splits = np.arange(60) % 3
    monkeypatch.setattr(near_duplicates, "BLOCK", block)
    twins = nearest_in_earlier_split(hashes, splits, 14)
    assert twins.nearest.tolist() == [row for row, _ in brute_force(hashes, splits, 14)]


def test_one_bit_more_is_too_far():
    hashes = parse_hashes(["5a" * 32] * 2).copy()
    flip(hashes, 1, range(0, 200, 20))
    splits = np.array([0, 1])
    assert nearest_in_earlier_split(hashes, splits, 10).nearest.tolist() == [NONE, 0]
    assert nearest_in_earlier_split(hashes, splits, 9).nearest.tolist() == [NONE, NONE]


def test_of_the_same_split_none_is_a_twin():
    hashes = parse_hashes(["5a" * 32] * 4)
    assert nearest_in_earlier_split(hashes, np.zeros(4, int), 8).nearest.tolist() == [NONE] * 4


def test_flat_pictures_have_no_twins():
    hashes = parse_hashes(["0" * 64, "0" * 64, "f" * 64, "f" * 64, "f" + "0" * 63])
    assert is_flat(hashes, 4).all()
    assert not is_flat(hashes, 3)[4]
    splits = np.array([0, 1, 0, 1, 1])
    assert (nearest_in_earlier_split(hashes, splits, 4).nearest == NONE).all()


def test_ten_thousand_copies_do_not_explode():
    hashes = parse_hashes(["5a" * 32] * 20_000)
    twins = nearest_in_earlier_split(hashes, np.arange(20_000) % 2, 20)
    assert twins.nearest[:4].tolist() == [NONE, 0, NONE, 0]
    assert (twins.apart[1::2] == 0).all()


def test_no_pictures_at_all():
    assert len(nearest_in_earlier_split(parse_hashes([]), np.zeros(0, int), 20).nearest) == 0


def test_every_bit_is_in_a_band():
    assert sorted(SCATTERED) == list(range(BITS))
