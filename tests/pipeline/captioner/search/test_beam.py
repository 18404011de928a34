"""Greedy and beam search, on tables of word chances."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from pipeline.captioner.search.base import EMPTY
from pipeline.captioner.search.beam import beam
from pipeline.captioner.search.greedy import greedy
from pipeline.text.marks import END, START
from tests.pipeline.captioner.search.tables import (
    BOUNDED,
    NEXT,
    A,
    B,
    Table,
    bounded,
    captions,
    check,
    check_all,
)


def test_greedy_takes_the_likeliest_word_each_time():
    table = Table.of(NEXT)
    [(score, log_prob, words)] = captions(greedy(table.step, table.state(), 5))
    assert words == (A,)
    assert score == log_prob == pytest.approx(math.log(0.6 * 0.4))


def test_beam_finds_what_greedy_misses():
    table = Table.of(NEXT)
    found = captions(beam(table.step, table.state(), 2, 5, 0.0))
    assert [words for _, _, words in found] == [(B,), (A,)]
    assert [log_prob for _, log_prob, _ in found] == pytest.approx([math.log(0.4), math.log(0.24)])


def test_a_larger_penalty_favours_longer_captions():
    table = Table.of(NEXT)
    lengths = [
        len(captions(beam(table.step, table.state(), 4, 5, penalty))[0][2])
        for penalty in (0.0, 1.0, 5.0)
    ]
    assert lengths == [1, 1, 5]


@given(
    seed=st.integers(0, 10**6),
    words=st.integers(1, 3),
    max_words=st.integers(1, 3),
    penalty=st.sampled_from([0.0, 0.7, 1.0, 2.5]),
)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_a_beam_wide_enough_is_exhaustive_search(seed, words, max_words, penalty):
    table = Table.random(seed, words)
    expected = table.all_captions(max_words, penalty)
    width = len(expected) + 3  # three places have to stay empty
    found = captions(beam(table.step, table.state(), width, max_words, penalty))
    check_all(found, expected)
    check(found, table, max_words, penalty)


@pytest.mark.parametrize("block", [0, 1, 2])
@given(drawn=BOUNDED)
@settings(max_examples=10, deadline=None, derandomize=True)
def test_within_bounds_too_it_is_exhaustive_search(block, drawn):
    """Exactly the captions that keep to the bounds: nothing else is found, and nothing missed."""
    table, max_words, bounds, expected, width = bounded(block, 0.7, **drawn)
    found = captions(beam(table.step, table.state(), width, max_words, 0.7, bounds))
    check_all(found, expected)
    check(found, table, max_words, 0.7)


@given(
    seed=st.integers(0, 10**6),
    width=st.integers(1, 6),
    max_words=st.integers(1, 6),
    penalty=st.sampled_from([0.0, 0.9, 2.0]),
)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_what_is_found_is_sorted_distinct_short_and_rightly_scored(seed, width, max_words, penalty):
    table = Table.random(seed, words=4)
    found = captions(beam(table.step, table.state(), width, max_words, penalty))
    assert found
    check(found, table, max_words, penalty)


@given(seed=st.integers(0, 10**6), max_words=st.integers(1, 6))
@settings(max_examples=15, deadline=None, derandomize=True)
def test_greedy_is_a_walk_along_the_likeliest_words(seed, max_words):
    table = Table.random(seed, words=4)
    [(_, log_prob, words)] = captions(greedy(table.step, table.state(), max_words))
    before, last, expected = START, START, []
    while len(expected) < max_words and (best := int(table.logs[0, before, last].argmax())) != END:
        expected.append(best)
        before, last = last, best
    assert words == tuple(expected)
    assert log_prob == pytest.approx(table.log_prob(words), abs=1e-4)


def test_a_caption_that_never_ends_is_ended_after_max_words():
    table = Table.of({START: {A: 1.0}, A: {A: 0.9, END: 0.1}})
    expected = pytest.approx(3 * math.log(0.9) + math.log(0.1), abs=1e-4)
    [(_, log_prob, words)] = captions(greedy(table.step, table.state(), 4))
    assert (words, log_prob) == ((A,) * 4, expected)
    longest = captions(beam(table.step, table.state(), 6, 4, 5.0))[0]
    assert (longest[2], longest[1]) == ((A,) * 4, expected)


@pytest.mark.parametrize("penalty", [0.0, 1.0, 5.0])
def test_places_without_a_caption_are_empty(penalty):
    table = Table.of({START: {A: 1.0}, A: {END: 1.0}})  # one caption is possible
    found = beam(table.step, table.state(), 4, 6, penalty)
    scores = ops.convert_to_numpy(found.scores)[0]
    assert captions(found) == [(pytest.approx(0.0), pytest.approx(0.0), (A,))]
    assert (scores[1:] < EMPTY).all()


def test_search_stops_when_nothing_can_win_any_more():
    table = Table.of({START: {A: 0.9, B: 0.1}, A: {END: 0.9, A: 0.1}, B: {END: 1.0}})
    greedy(table.step, table.state(), 50)
    assert table.calls == 2
    table.calls = 0
    beam(table.step, table.state(), 1, 50, 0.0)
    assert table.calls == 2
    table.calls = 0
    beam(table.step, table.state(), 3, 50, 0.0)  # A, B and AA
    assert table.calls == 3


def test_search_stops_when_every_caption_is_found():
    table = Table.of({START: {A: 1.0}, A: {END: 1.0}})
    beam(table.step, table.state(), 4, 50, 1.0)
    assert table.calls <= 3
