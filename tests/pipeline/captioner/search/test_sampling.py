"""Captions drawn at random, on tables of word chances."""

import math
from collections import Counter
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from pipeline.captioner.search.constraints import Constraints
from pipeline.captioner.search.greedy import greedy
from pipeline.captioner.search.sampling import draw, sample, uniforms_of
from pipeline.text.marks import END
from tests.pipeline.captioner.search.tables import A, Table, captions, check, check_all, keeps_to

CHANCES = np.array([0.05, 0.4, 0.0, 0.25, 0.1, 0.2])


def drawn(chances, uniforms, top_p=1.0, temperature=1.0):
    with np.errstate(divide="ignore"):
        logs = np.maximum(np.log(chances), -1e9).astype("float32")
    rows = np.broadcast_to(logs, (len(uniforms), len(logs)))
    words = draw(
        ops.convert_to_tensor(rows),
        ops.convert_to_tensor(np.asarray(uniforms, "float32")),
        top_p,
        temperature,
    )
    return ops.convert_to_numpy(words)


def check_shares(counts: np.ndarray, chances: np.ndarray) -> None:
    """Pearson's test: counts are of these chances, unless something rarer than 1 in 1000."""
    assert not counts[chances == 0].any()
    expected = chances[chances > 0] * counts.sum()
    assert (expected >= 5).all(), "too few draws for the test to mean anything"
    statistic = ((counts[chances > 0] - expected) ** 2 / expected).sum()
    freedom = len(expected) - 1
    # Wilson and Hilferty's approximation of the 0.999 quantile.
    bound = freedom * (1 - 2 / (9 * freedom) + 3.09 * math.sqrt(2 / (9 * freedom))) ** 3
    assert statistic < bound


@pytest.mark.parametrize("temperature", [1.0, 0.5, 2.0])
@pytest.mark.parametrize(("top_p", "nucleus"), [(1.0, 5), (0.84, 3), (0.5, 2), (0.3, 1)])
def test_words_come_as_often_as_their_chances_say(temperature, top_p, nucleus):
    chances = CHANCES ** (1 / temperature)
    chances /= chances.sum()
    order = np.argsort(-chances)
    count = 1 + int((np.cumsum(chances[order]) < top_p - 1e-9).sum())
    chances[order[count:]] = 0
    if temperature == 1.0:
        assert (chances > 0).sum() == nucleus
    uniforms = np.random.default_rng(1).random(20_000, "float32")
    words = drawn(CHANCES, uniforms, top_p, temperature)
    counts = np.bincount(words, minlength=len(CHANCES))
    if (chances > 0).sum() == 1:
        assert counts[order[0]] == 20_000
    else:
        check_shares(counts, chances / chances.sum())


@given(seed=st.integers(0, 10**6), top_p=st.floats(0.01, 1.0), sharp=st.floats(0.05, 5.0))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_no_word_from_outside_the_nucleus(seed, top_p, sharp):
    chances = np.random.default_rng(seed).gamma(sharp, size=30) + 1e-9
    chances /= chances.sum()
    order = np.argsort(-chances)
    count = 1 + int((np.cumsum(chances[order]) < top_p + 1e-5).sum())  # rounding's share counted in
    uniforms = np.linspace(0, np.nextafter(np.float32(1), np.float32(0)), 200)
    assert set(drawn(chances, uniforms, top_p)) <= set(order[:count])


@pytest.mark.parametrize("uniform", [0.0, np.nextafter(np.float32(1), np.float32(0))])
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_the_ends_of_the_range_are_words_too(uniform, size):
    chances = np.full(size + 1, 1 / size)
    chances[-1] = 0.0
    assert drawn(chances, [uniform])[0] == (0 if uniform == 0 else size - 1)


def test_captions_come_as_often_as_their_chances_say():
    table, count = Table.random(seed=5, words=2), 4000
    table.logs = np.log(0.7 * np.exp(table.logs) + 0.1)  # nothing is rare
    table.logs[..., [0, 1, 3]] = -1e9
    everything = [words for _, words in table.all_captions(2, 0.0)]
    chances = np.array([chance_of(table, words, 2) for words in everything])
    uniforms = np.random.default_rng(2).random((count, 1, 3), "float32")
    found = sample(table.step, table.state(*[0] * count), uniforms, 2, 1.0, 1.0)
    tokens = ops.convert_to_numpy(found.tokens)[:, 0].tolist()
    seen = Counter(tuple(ids[: ids.index(END)]) for ids in tokens)
    counts = np.array([seen[words] for words in everything])
    assert counts.sum() == count
    check_shares(counts, chances / chances.sum())


def chance_of(table: Table, words: tuple[int, ...], max_words: int) -> float:
    """The chance of drawing a caption: after `max_words` words the end mark is certain."""
    marked = [*words, END][:max_words]
    rows = [np.exp(table.row(marked[:place])) for place in range(len(marked))]
    return math.prod(row[id] / row.sum() for row, id in zip(rows, marked, strict=True))


@given(
    seed=st.integers(0, 10**6),
    top_p=st.sampled_from([0.5, 0.9, 1.0]),
    temperature=st.sampled_from([0.5, 1.0, 3.0]),
    penalty=st.sampled_from([0.0, 0.9]),
)
@settings(max_examples=15, deadline=None, derandomize=True)
def test_samples_are_sorted_distinct_short_and_scored_by_the_model(
    seed, top_p, temperature, penalty
):
    table = Table.random(seed, words=4)
    uniforms = np.random.default_rng(seed).random((1, 8, 5), "float32")
    found = sample(table.step, table.state(), uniforms, 4, top_p, temperature, penalty)
    assert captions(found)
    check(captions(found), table, 4, penalty)


def test_enough_samples_find_every_caption():
    table = Table.random(seed=5, words=2)
    uniforms = np.random.default_rng(2).random((1, 500, 3), "float32")
    found = captions(sample(table.step, table.state(), uniforms, 2, 1.0, 3.0))
    expected = [words for _, words in table.all_captions(2, 0.0)]
    assert [words for _, _, words in found] == expected


@pytest.mark.parametrize("block", [0, 1, 2])
@pytest.mark.parametrize(("min_words", "forbidden"), [(0, ()), (2, ()), (1, (A,))])
def test_enough_samples_find_every_caption_within_bounds_and_no_other(block, min_words, forbidden):
    table = Table.random(seed=5, words=3)
    bounds = Constraints(min_words, block, forbidden)
    uniforms = np.random.default_rng(2).random((1, 2000, 4), "float32")
    found = captions(sample(table.step, table.state(), uniforms, 3, 1.0, 5.0, 0.9, bounds))
    check_all(found, table.all_captions(3, 0.9, 0, partial(keeps_to, bounds)))


@pytest.mark.parametrize(("top_p", "temperature"), [(0.01, 1.0), (1.0, 0.01)])
def test_the_smallest_nucleus_and_the_lowest_temperature_are_greedy_search(top_p, temperature):
    table = Table.random(seed=9, words=5)
    uniforms = np.random.default_rng(2).random((1, 5, 7), "float32")
    found = captions(sample(table.step, table.state(), uniforms, 6, top_p, temperature))
    assert found == captions(greedy(table.step, table.state(), 6))


def test_random_numbers_are_of_the_picture_and_the_seed_alone():
    pictures = np.random.default_rng(1).normal(size=(4, 2, 3)).astype("float32")
    found = uniforms_of(pictures, 1, 5, 6)
    assert (found.shape, found.dtype) == ((4, 5, 7), np.float32)
    assert (found >= 0).all()
    assert (found < 1).all()
    np.testing.assert_array_equal(uniforms_of(pictures[::-1], 1, 5, 6), found[::-1])
    np.testing.assert_array_equal(uniforms_of(pictures[2:3], 1, 5, 6), found[2:3])
    assert len(np.unique(np.concatenate([found, uniforms_of(pictures, 2, 5, 6)]), axis=0)) == 8
    assert uniforms_of(pictures[:0], 1, 5, 6).shape == (0, 5, 7)
