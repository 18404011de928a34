"""Tables of word chances, which search takes for a model, and every caption there is under them."""

import itertools
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import keras
import numpy as np
from hypothesis import strategies as st
from keras import ops

from pipeline.captioner.decoders.scores import IMPOSSIBLE
from pipeline.captioner.search.base import EMPTY
from pipeline.captioner.search.beam import beam
from pipeline.captioner.search.constraints import Constraints
from pipeline.captioner.search.diverse import diverse
from pipeline.captioner.search.greedy import greedy
from pipeline.captioner.search.required import beam_with
from pipeline.captioner.search.sampling import sample
from pipeline.text.marks import END, MARKS, PAD, START

A, B, C, D = 4, 5, 6, 7
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

    @property
    def words(self) -> range:
        return range(len(MARKS), self.size)

    def state(self, *pictures: int):
        numbers = ops.convert_to_tensor(pictures or (0,), "int32")
        return numbers, ops.full_like(numbers, START)

    def step(self, tokens, state):
        self.calls += 1
        picture, before = state
        row = (picture * self.size + before) * self.size + tokens
        logs = ops.take(ops.reshape(self.logs, (-1, self.size)), row, axis=0)
        return logs, (picture, tokens)

    def row(self, words: Sequence[int], picture: int = 0) -> np.ndarray:
        """Log-probabilities of what follows these words, (v,)."""
        before, last = [START, START, *words][-2:]
        return self.logs[picture, before, last].astype("float64")

    def log_prob(self, words: Sequence[int], picture: int = 0) -> float:
        marked = [*words, END]
        return float(sum(self.row(marked[:n], picture)[marked[n]] for n in range(len(marked))))

    def all_captions(
        self,
        max_words: int,
        penalty: float,
        picture: int = 0,
        allowed: Callable[[tuple[int, ...]], bool] = lambda _: True,
    ):
        """Every allowed caption there is, as (score, words), best first."""
        captions = (
            caption
            for length in range(max_words + 1)
            for caption in itertools.product(self.words, repeat=length)
        )
        scored = (
            (self.log_prob(caption, picture) / (len(caption) + 1) ** penalty, caption)
            for caption in captions
            if allowed(caption)
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


def check(found, table: Table, max_words: int, penalty: float, picture: int = 0) -> None:
    """Check that captions are sorted, distinct, short, and scored as the table says."""
    scores = [score for score, _, _ in found]
    assert scores == sorted(scores, reverse=True)
    assert len({words for _, _, words in found}) == len(found)
    for score, log_prob, words in found:
        assert len(words) <= max_words
        assert_close(log_prob, table.log_prob(words, picture))
        assert_close(score, log_prob / (len(words) + 1) ** penalty)


def check_all(found, expected) -> None:
    """Check that exactly the expected captions were found, in the order of their scores."""
    np.testing.assert_allclose(
        [score for score, _, _ in found], [score for score, _ in expected], rtol=1e-5, atol=1e-5
    )
    assert {words for _, _, words in found} == {words for _, words in expected}


def assert_close(one: float, other: float) -> None:
    np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-4)


def keeps_to(bounds: Constraints, words: Sequence[int]) -> bool:
    """Tell whether a caption keeps to constraints, the plain way."""
    n = bounds.block_ngrams
    grams = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)] if n else []
    long = len(words) >= bounds.min_words
    return long and len(set(grams)) == len(grams) and not set(words) & set(bounds.forbidden)


BOUNDED = st.fixed_dictionaries(  # what `bounded` makes a search of
    {
        "seed": st.integers(0, 10**6),
        "words": st.integers(2, 3),
        "max_words": st.integers(2, 4),
        "min_words": st.integers(0, 3),
        "forbidden": st.sets(st.sampled_from([A, B]), max_size=1),
    }
)


class Bounded(NamedTuple):
    """A search within bounds, and all that it may find: the captions that keep to them."""

    table: Table
    max_words: int
    bounds: Constraints
    expected: list[tuple[float, float, list[int]]]
    captions: int  # that there are, within the bounds or not


def bounded(
    block: int, penalty: float, seed: int, words: int, max_words: int, min_words: int, forbidden
) -> Bounded:
    """Make a search, whose least number of words is none that `max_words` contradicts."""
    table = Table.random(seed, words)
    bounds = Constraints(min(min_words, max_words), block, tuple(forbidden))
    expected = table.all_captions(max_words, penalty, 0, partial(keeps_to, bounds))
    return Bounded(table, max_words, bounds, expected, len(table.all_captions(max_words, penalty)))


UNIFORMS = np.random.default_rng(5).random((8, 4, 7), "float32")  # pictures, captions, steps


def run(name: str, table: Table, pictures: Sequence[int], bounds: Constraints):
    """Search by name: captions of up to 6 words, length penalty 0.9 where there is one."""
    return search(name, table, table.state(*pictures), bounds)


def search(name: str, table: Table, state, bounds: Constraints):
    step = table.step
    if name == "greedy":
        return greedy(step, state, 6, bounds)
    if name == "beam":
        return beam(step, state, 3, 6, 0.9, bounds)
    if name == "diverse":
        return diverse(step, state, 4, 2, 0.7, 6, 0.9, bounds)
    if name == "required":
        return beam_with([(A,), (D, D + 1)], step, state, 2, 6, 0.9, bounds)
    uniforms = ops.take(ops.convert_to_tensor(UNIFORMS), state[0], axis=0)
    return sample(step, state, uniforms, 6, 0.8, 1.3, 0.9, bounds)


class Search(keras.Model):
    """A search as a model: numbers of pictures in, what was found out."""

    def __init__(self, name: str, table: Table, bounds: Constraints) -> None:
        super().__init__(name="search")
        self.search, self.table, self.bounds = name, table, bounds

    def call(self, pictures):
        pictures = ops.cast(pictures, "int32")
        state = pictures, ops.full_like(pictures, START)
        return tuple(search(self.search, self.table, state, self.bounds))
