"""Counts that can be made by hand."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.exploration.corpus import read_corpus
from pipeline.exploration.counts import (
    Sizes,
    count_sizes,
    frequencies,
    grid,
    rank_curve,
    shares,
    tightest_half,
    zipf_exponent,
)


def test_ngrams_end_with_their_caption(make_tables):
    tables = make_tables({"train": {"a": ["a dog runs", "a dog sits"], "b": ["dogs", "a dog"]}})
    words, pairs, triples = frequencies(read_corpus(*tables), orders=3, top=3)
    assert words.top == [("a", 3), ("dog", 3), ("dogs", 1)]
    assert words.counts.tolist() == [3, 3, 1, 1, 1]
    assert (words.total, words.once) == (9, 3)
    assert words.share_of_top(2) == pytest.approx(6 / 9)
    assert pairs.top == [("a dog", 3), ("dog runs", 1), ("dog sits", 1)]
    assert triples.top == [("a dog runs", 1), ("a dog sits", 1)]


@given(st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=6), min_size=1, max_size=8))
def test_ngrams_are_those_of_a_plain_count(make_tables, captions):
    tables = make_tables({"train": {"p": [" ".join(words) for words in captions]}})
    for order, found in enumerate(frequencies(read_corpus(*tables), 3, top=100), start=1):
        plain = Counter(
            " ".join(words[n : n + order])
            for words in captions
            for n in range(len(words) - order + 1)
        )
        assert found.top == sorted(plain.items(), key=lambda pair: (-pair[1], pair[0].split()))


def test_curve_by_rank_has_both_ends_and_few_points():
    counts = np.arange(100_000, 0, -1)
    ranks, thinned = rank_curve(counts)
    assert (ranks[0], ranks[-1]) == (1, 100_000)
    assert thinned.tolist() == [100_001 - rank for rank in ranks]
    assert len(ranks) < 65
    assert [part.tolist() for part in rank_curve(np.array([7]))] == [[1], [7]]
    assert len(rank_curve(np.array([], dtype=np.int64))[0]) == 0


def test_zipf_exponent_is_that_of_a_power_law():
    ranks = np.arange(1, 5000)
    assert zipf_exponent(1e9 / ranks**1.2) == pytest.approx(1.2)
    assert zipf_exponent(np.array([3, 2, 1])) is None


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([5], (5, 5, 1.0)),
        ([1, 2, 3, 4], (1, 2, 0.5)),
        ([1, 7, 8, 8, 9, 20], (7, 8, 0.5)),  # 8 to 9 holds as many
        ([1, 7, 8, 9, 9, 20], (8, 9, 0.5)),
        ([3, 3, 9], (3, 3, 2 / 3)),
    ],
)
def test_the_narrowest_range_that_holds_half(values, expected):
    assert tightest_half(np.array(values)) == pytest.approx(expected)


def test_shares_of_nothing_are_none():
    assert shares(np.array([1, 1, 3])).tolist() == pytest.approx([0, 2 / 3, 0, 1 / 3])
    assert len(shares(np.array([], dtype=np.int64))) == 0


def test_sizes_are_counted_and_put_into_cells():
    sizes = count_sizes(np.array([640, 480, 640, 641, 100]), np.array([480, 640, 480, 480, 100]))
    assert sizes.sizes[0].tolist() == [640, 480]
    assert sizes.counts.tolist() == [2, 1, 1, 1]
    assert sizes.share(sizes.shapes > 1) == pytest.approx(3 / 5)
    cells = grid(sizes, cells=10)
    assert cells.sizes.tolist() == [[640, 480], [100, 100], [480, 640]]
    assert cells.counts.tolist() == [3, 1, 1]
    assert isinstance(cells, Sizes)
