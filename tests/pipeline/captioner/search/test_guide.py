"""Words that are worth something: every search is steered to them, each counting once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from pipeline.captioner.search.beam import beam
from pipeline.captioner.search.constraints import Constraints
from pipeline.captioner.search.guide import Guide
from pipeline.text.marks import END, MARKS, START
from tests.pipeline.captioner.search.tables import A, B, Table, captions, check_all, run

NAMES = ("greedy", "beam", "diverse", "required", "sample")


def worth_of(seed: int, words: int, pictures: int = 1) -> np.ndarray:
    worth = np.random.default_rng(seed).normal(0.5, 1.5, (pictures, len(MARKS) + words))
    worth[:, : len(MARKS)] = 0
    return worth.astype("float32")


def guided(worth: np.ndarray) -> Constraints:
    return Constraints(guide=Guide(ops.convert_to_tensor(worth)))


def earned(worth: np.ndarray, words) -> float:
    """What a caption earns, the plain way."""
    return float(sum(worth[word] for word in set(words)))


@given(
    seed=st.integers(0, 10**6),
    words=st.integers(1, 3),
    max_words=st.integers(1, 3),
    penalty=st.sampled_from([0.0, 0.9, 2.5]),
)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_a_beam_wide_enough_is_exhaustive_search(seed, words, max_words, penalty):
    table, worth = Table.random(seed, words), worth_of(seed, words)
    every = [found for _, found in table.all_captions(max_words, penalty)]
    scored = sorted(
        (
            (table.log_prob(one) + earned(worth[0], one)) / (len(one) + 1) ** penalty,
            one,
        )
        for one in every
    )[::-1]
    found = beam(table.step, table.state(), len(every), max_words, penalty, guided(worth))
    check_all(captions(found), scored)


@pytest.mark.parametrize("name", NAMES)
@given(seed=st.integers(0, 10**6))
@settings(max_examples=5, deadline=None, derandomize=True)
def test_scores_have_what_words_are_worth_once_for_their_own_picture(name, seed):
    table, worth = Table.random(seed, words=5, pictures=3), worth_of(seed, 5, pictures=3)
    bounds = guided(worth)
    assert bounds.guide is not None
    found = run(name, table, range(3), bounds)
    told = ops.convert_to_numpy(bounds.guide.earned(found.tokens))
    for picture in range(3):
        own = captions(found, picture)
        for place, (score, log_prob, words) in enumerate(own):
            value = earned(worth[picture], words)
            length = 1 if name == "greedy" else (len(words) + 1) ** 0.9
            assert told[picture, place] == pytest.approx(value, abs=1e-4)
            assert log_prob == pytest.approx(table.log_prob(words, picture) + value, abs=1e-3)
            assert score == pytest.approx(log_prob / length, rel=1e-4, abs=1e-4)
        alone = captions(run(name, table, [picture], guided(worth[picture : picture + 1])))
        assert [words for _, _, words in alone] == [words for _, _, words in own]


def test_a_word_is_waited_for_that_makes_up_for_those_before_it():
    # "A B" is unlikely and worth the more; nothing else than "" would be found without waiting.
    table = Table.of({START: {A: 0.1, END: 0.9}, A: {B: 0.9, END: 0.1}, B: {END: 1.0}})
    worth = np.zeros((1, B + 1), "float32")
    worth[0, B] = 5
    for penalty in (0.0, 1.0):
        [(_, _, words)] = captions(beam(table.step, table.state(), 1, 4, penalty, guided(worth)))
        assert words == (A, B)
        [(_, _, words)] = captions(beam(table.step, table.state(), 1, 4, penalty))
        assert words == ()


def test_what_may_not_be_said_stays_out_whatever_it_is_worth():
    table, worth = Table.random(3, words=4), worth_of(3, 4)
    worth[0, B] = 50
    bounds = Constraints(forbidden=(B,), guide=Guide(ops.convert_to_tensor(worth)))
    found = captions(run("beam", table, [0], bounds))
    assert found
    assert all(B not in words for _, _, words in found)
