"""Beam search with words that must occur, on tables of word chances."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from pipeline.captioner.search.beam import beam
from pipeline.captioner.search.constraints import Constraints
from pipeline.captioner.search.required import beam_with
from pipeline.text.marks import END, START
from tests.pipeline.captioner.search.tables import (
    A,
    B,
    C,
    D,
    Table,
    captions,
    check,
    check_all,
    keeps_to,
)

SETS = [[(A,)], [(A, B)], [(A,), (B,)], [(A, C), (B,)], [(C,), (B,), (A,)]]


def has_all(required, words) -> bool:
    return all(set(one) & set(words) for one in required)


@given(
    seed=st.integers(0, 10**6),
    required=st.sampled_from(SETS),
    max_words=st.integers(1, 3),
    penalty=st.sampled_from([0.0, 0.9, 2.0]),
    block=st.integers(0, 1),
    min_words=st.integers(0, 2),
)
@settings(max_examples=20, deadline=None, derandomize=True)
def test_a_beam_wide_enough_is_exhaustive_search(
    seed, required, max_words, penalty, block, min_words
):
    """Exactly the captions that have every required word, and none where there is no room."""
    table = Table.random(seed, words=3)
    bounds = Constraints(min(min_words, max_words), block)
    expected = table.all_captions(
        max_words, penalty, 0, lambda words: has_all(required, words) and keeps_to(bounds, words)
    )
    found = captions(beam_with(required, table.step, table.state(), 42, max_words, penalty, bounds))
    check_all(found, expected)
    check(found, table, max_words, penalty)
    assert bool(found) == (max_words >= len(required))


@given(
    seed=st.integers(0, 10**6),
    required=st.sampled_from(SETS),
    width=st.integers(1, 3),
    room=st.integers(0, 3),
)
@settings(max_examples=15, deadline=None, derandomize=True)
def test_however_narrow_the_beam_the_words_are_there(seed, required, width, room):
    table = Table.random(seed, words=6)
    max_words = len(required) + room
    found = captions(beam_with(required, table.step, table.state(), width, max_words, 0.9))
    assert found
    assert all(has_all(required, words) for _, _, words in found)
    check(found, table, max_words, 0.9)


@pytest.mark.parametrize("width", [1, 4])
def test_without_required_words_it_is_a_plain_beam(width):
    table = Table.random(seed=4, words=5, pictures=2)
    found = beam_with([], table.step, table.state(0, 1), width, 5, 0.9)
    plain = beam(table.step, table.state(0, 1), width, 5, 0.9)
    for one, other in zip(found, plain, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(one), ops.convert_to_numpy(other))


def test_a_required_word_is_put_where_it_fits_best():
    table = Table.of(
        {
            START: {A: 0.98, B: 0.01, C: 0.01},
            A: {END: 0.97, B: 0.01, D: 0.02},
            B: {END: 0.5, A: 0.5},
            C: {END: 1.0},
            D: {B: 1.0},
        }
    )
    [(_, _, words), *_] = captions(beam_with([(B,)], table.step, table.state(), 2, 4, 0.0))
    assert words == (A, D, B)  # 0.0098: AB has 0.0049, B 0.005
    [(_, _, words), *_] = captions(beam_with([(B, C)], table.step, table.state(), 2, 4, 0.0))
    assert words == (C,)  # 0.01


def test_words_that_the_model_thinks_impossible_leave_every_place_empty():
    table = Table.of({START: {A: 1.0, B: 0.0}, A: {END: 1.0}, B: {END: 1.0}})
    assert captions(beam_with([(B,)], table.step, table.state(), 3, 4, 1.0)) == []
