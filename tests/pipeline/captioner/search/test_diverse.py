"""Diverse beam search, on tables of word chances."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from pipeline.captioner.search.beam import beam
from pipeline.captioner.search.diverse import diverse
from pipeline.text.marks import END, START
from tests.pipeline.captioner.search.tables import (
    BOUNDED,
    A,
    B,
    C,
    Table,
    bounded,
    captions,
    check,
    check_all,
)


def as_defined(table, width, groups, strength, max_words, penalty):
    """The algorithm of the paper, with lists: every caption that any group finishes and keeps."""
    kept = width // groups
    live = [[(0.0, ())] for _ in range(groups)]
    done = [[] for _ in range(groups)]
    for place in range(max_words + 1):
        said: dict[int, int] = {}
        for group in range(groups):
            for total, words in live[group]:
                score = (total + table.row(words)[END]) / (place + 1) ** penalty
                done[group].append((score, words))
            done[group] = sorted(done[group], reverse=True)[:kept]
            grown = [
                (total + row[word] - strength * said.get(word, 0), total + row[word], words, word)
                for total, words in live[group]
                for row in [table.row(words)]
                for word in table.words
            ]
            grown = sorted(grown, reverse=True)[:kept] if place < max_words else []
            live[group] = [(total, (*words, word)) for _, total, words, word in grown]
            for *_, word in grown:
                said[word] = said.get(word, 0) + 1
    return sorted({pair for group in done for pair in group}, reverse=True)


@given(
    seed=st.integers(0, 10**6),
    shape=st.sampled_from([(2, 2), (4, 2), (3, 3), (6, 3), (6, 2)]),
    strength=st.sampled_from([0.0, 0.3, 1.0, 20.0]),
    max_words=st.integers(1, 4),
    penalty=st.sampled_from([0.0, 0.9]),
)
@settings(max_examples=15, deadline=None, derandomize=True)
def test_it_is_the_algorithm_of_the_paper(seed, shape, strength, max_words, penalty):
    table = Table.random(seed, words=4)
    width, groups = shape
    found = captions(
        diverse(table.step, table.state(), width, groups, strength, max_words, penalty)
    )
    check_all(found, as_defined(table, width, groups, strength, max_words, penalty))
    check(found, table, max_words, penalty)


@given(seed=st.integers(0, 10**6), words=st.integers(1, 3), groups=st.integers(1, 3))
@settings(max_examples=8, deadline=None, derandomize=True)
def test_groups_wide_enough_are_exhaustive_search(seed, words, groups):
    """Each group finds every caption, whatever it costs, and each is returned once."""
    table = Table.random(seed, words)
    expected = table.all_captions(2, 0.9)
    width = (len(expected) + 1) * groups
    found = captions(diverse(table.step, table.state(), width, groups, 2.0, 2, 0.9))
    check_all(found, expected)


@pytest.mark.parametrize("block", [0, 1, 2])
@given(groups=st.integers(1, 2), drawn=BOUNDED)
@settings(max_examples=6, deadline=None, derandomize=True)
def test_within_bounds_too_they_are_exhaustive_search(block, groups, drawn):
    table, max_words, bounds, expected, count = bounded(block, 0.9, **drawn)
    width = count * groups
    found = captions(diverse(table.step, table.state(), width, groups, 2.0, max_words, 0.9, bounds))
    check_all(found, expected)


def test_one_group_is_a_plain_beam():
    table = Table.random(seed=4, words=5)
    found = diverse(table.step, table.state(), 4, 1, 3.0, 5, 0.9)
    plain = beam(table.step, table.state(), 4, 5, 0.9)
    for one, other in zip(found, plain, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(one), ops.convert_to_numpy(other))


@pytest.mark.parametrize(
    ("strength", "firsts"), [(0.0, {A}), (1.0, {A, B}), (5.0, {A, B, C})], ids=str
)
def test_the_more_a_word_costs_the_more_groups_go_their_own_way(strength, firsts):
    rest = {END: 1.0}
    table = Table.of({START: {A: 0.7, B: 0.28, C: 0.02}, A: rest, B: rest, C: rest})
    found = captions(diverse(table.step, table.state(), 3, 3, strength, 3, 0.0))
    assert {words[0] for _, _, words in found} == firsts
