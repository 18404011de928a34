"""The training captions most like given ones."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.reporting.report.nearest import Nearest, nearest

TRAINING = ["a dog sits", "a cat runs home", "a dog runs", "birds"]
CAPTIONS = st.lists(st.lists(st.sampled_from("abcd"), max_size=6), max_size=5)


def split(*texts):
    return [text.split() for text in texts]


def test_the_most_alike_and_how_alike():
    found = nearest(split("a dog runs fast", "a dog sits", "fish"), split(*TRAINING))
    # a dog runs fast: 4 words, 3 pairs; a dog runs: 3 and 2, all of them shared.
    assert found[0] == Nearest("a dog runs", pytest.approx(2 * 5 / (7 + 5)))
    assert found[1] == Nearest("a dog sits", 1.0)
    assert found[2] is None


def test_of_equal_ones_the_first():
    [found] = nearest(split("a dog"), split("a cat", "a bird"))
    assert found.text == "a cat"


@given(CAPTIONS, CAPTIONS)
def test_likeness_is_that_of_every_pair(captions, training):
    def dice(one, other):
        first = [*one, *pairwise(one)]
        second = [*other, *pairwise(other)]
        shared = sum(min(first.count(x), second.count(x)) for x in set(first))
        return 2 * shared / (len(first) + len(second)) if shared else 0.0

    for caption, found in zip(captions, nearest(captions, training), strict=True):
        best = max((dice(caption, other) for other in training), default=0.0)
        assert (found.overlap if found else 0.0) == pytest.approx(best)
