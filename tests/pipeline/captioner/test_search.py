"""Search, on tables of word chances."""

import itertools
import math

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from pipeline.captioner.decoders.base import IMPOSSIBLE
from pipeline.captioner.search import EMPTY, beam, greedy
from pipeline.text.marks import END, MARKS, PAD, START

A, B, C = 4, 5, 6
NEXT = {START: {A: 0.6, B: 0.4}, A: {A: 0.3, C: 0.3, END: 0.4}, B: {END: 1.0}, C: {END: 1.0}}


class Table:
    """A model whose next word depends on the picture and on the two words before.

    The word before the last one is in the state: search has to hand each caption its own.
    """

    def __init__(self, chances: np.ndarray) -> None:
        with np.errstate(divide="ignore"):
            logs = np.where(chances > 0, np.log(chances), IMPOSSIBLE)
        self.logs = logs.astype("float32")  # (pictures, v, v, v)
        self.size = chances.shape[-1]
        self.calls = 0

    @classmethod
    def of(cls, chances: dict[int, dict[int, float]]) -> "Table":
        """One picture, and the last word alone decides."""
        size = 1 + max(word for row in chances.values() for word in row)
        table = np.zeros((1, size, size, size))
        for last, row in chances.items():
            for word, chance in row.items():
                table[0, :, last, word] = chance
        return cls(table)

    @classmethod
    def random(cls, seed: int, words: int, pictures: int = 1) -> "Table":
        """Any chances for END and the words, none for the other marks."""
        size = len(MARKS) + words
        chances = np.random.default_rng(seed).gamma(0.5, size=(pictures, size, size, size)) + 1e-6
        chances[..., [mark for mark in range(len(MARKS)) if mark != END]] = 0
        return cls(chances / chances.sum(axis=-1, keepdims=True))

    def state(self, *pictures: int):
        numbers = ops.convert_to_tensor(pictures or (0,), "int32")
        return numbers, ops.full_like(numbers, START)

    def step(self, tokens, state):
        self.calls += 1
        picture, before = state
        row = (picture * self.size + before) * self.size + tokens
        logs = ops.take(ops.reshape(self.logs, (-1, self.size)), row, axis=0)
        return logs, (picture, tokens)

    def log_prob(self, words, picture: int = 0) -> float:
        marked = [START, START, *words, END]
        triples = zip(marked, marked[1:], marked[2:], strict=False)
        return float(sum(self.logs[picture, a, b, c].astype("float64") for a, b, c in triples))

    def all_captions(self, max_words: int, penalty: float, picture: int = 0):
        """Every caption there is, as (score, words), best first."""
        words = range(len(MARKS), self.size)
        captions = (
            caption
            for length in range(max_words + 1)
            for caption in itertools.product(words, repeat=length)
        )
        scored = (
            (self.log_prob(caption, picture) / (len(caption) + 1) ** penalty, caption)
            for caption in captions
        )
        return sorted(scored, reverse=True)


def captions(found, picture: int = 0):
    """What was found for a picture, as (score, log-probability, words)."""
    tokens, scores, log_probs = (ops.convert_to_numpy(part)[picture] for part in found)
    return [
        (float(score), float(log_prob), words_of(ids))
        for ids, score, log_prob in zip(tokens.tolist(), scores, log_probs, strict=True)
        if score > EMPTY
    ]


def words_of(ids: list[int]) -> tuple[int, ...]:
    end = ids.index(END)
    assert set(ids[end + 1 :]) <= {PAD}
    return tuple(ids[:end])


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
    assert len(found) == len(expected)
    assert [score for score, _, _ in found] == pytest.approx([score for score, _ in expected])
    assert {words for _, _, words in found} == {caption for _, caption in expected}
    for score, log_prob, caption in found:
        assert log_prob == pytest.approx(table.log_prob(caption), abs=1e-4)
        assert score == pytest.approx(log_prob / (len(caption) + 1) ** penalty, abs=1e-4)


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
    scores = [score for score, _, _ in found]
    assert scores == sorted(scores, reverse=True)
    assert len({words for _, _, words in found}) == len(found) >= 1
    for score, log_prob, words in found:
        assert len(words) <= max_words
        assert log_prob == pytest.approx(table.log_prob(words), abs=1e-4)
        assert score == pytest.approx(log_prob / (len(words) + 1) ** penalty, abs=1e-4)


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


@pytest.mark.parametrize("width", [1, 3])
def test_pictures_together_are_as_each_alone(width):
    table = Table.random(seed=7, words=5, pictures=6)

    def search(*pictures):
        if width == 1:
            return greedy(table.step, table.state(*pictures), 6)
        return beam(table.step, table.state(*pictures), width, 6, 0.9)

    together = search(*range(6))
    alone = [captions(search(picture)) for picture in range(6)]
    assert [captions(together, picture) for picture in range(6)] == alone
    assert len({found[0][2] for found in alone}) > 1, "the pictures have to differ"


class _Search(keras.Model):
    def __init__(self, table: Table, width: int) -> None:
        super().__init__(name="search")
        self.table, self.width = table, width

    def call(self, pictures):
        state = (ops.cast(pictures, "int32"), ops.full_like(pictures, START, "int32"))
        if self.width == 1:
            return tuple(greedy(self.table.step, state, 6))
        return tuple(beam(self.table.step, state, self.width, 6, 0.9))


@pytest.mark.parametrize("width", [1, 3])
def test_compiled_is_as_eager(width):
    table = Table.random(seed=3, words=5, pictures=5)
    model = _Search(table, width)
    numbers = np.arange(5, dtype="int32")
    eager = model(numbers)
    compiled = model.predict(numbers, batch_size=2, verbose=0)  # the last batch is smaller
    for one, other in zip(eager, compiled, strict=True):
        np.testing.assert_allclose(ops.convert_to_numpy(one), other, rtol=1e-5)


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
