"""Each caption against its picture's others is what a plain computation says it is."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.evaluation.leave_one_out import leave_one_out
from tests.pipeline.evaluation.plain_cider import plain_leave_one_out

PICTURES = [
    ["a dog runs on the grass", "a dog runs on green grass", "the dog plays"],
    ["a red boat", "a boat on the water"],
    ["two birds in the sky above a house"],
]


def check(pictures):
    scores = leave_one_out(pictures)
    assert [len(own) for own in scores] == [len(group) for group in pictures]
    several = [own for own, group in zip(scores, pictures, strict=True) if len(group) > 1]
    for own, plain in zip(several, plain_leave_one_out(pictures), strict=True):
        assert own == pytest.approx(plain, abs=1e-9)
    assert all(np.isnan(own).all() for own in scores if len(own) == 1)


def test_each_caption_is_scored_against_the_others():
    check([[text.split() for text in texts] for texts in PICTURES])


def test_short_captions_and_words_in_every_picture_weigh_nothing():
    check([[["a"], ["a", "dog"], ["a", "dog"]], [["a"], ["a"]], [["a", "cat"], ["the", "a"]]])


words = st.lists(st.sampled_from("abcd"), min_size=1, max_size=6)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(words, min_size=1, max_size=4), min_size=2, max_size=4))
def test_it_is_so_for_any_captions(pictures):
    check(pictures)
