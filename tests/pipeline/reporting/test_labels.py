"""Names of scores and signs of numbers."""

import pytest

from pipeline.reporting.labels import label, said, signed


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0124, "+0.012"), (-0.5, "\N{MINUS SIGN}0.500"), (0.0001, "0.000"), (-0.0001, "0.000")],
)
def test_signs(value, text):
    assert signed(value) == text


def test_a_metric_without_a_name_keeps_its_own():
    assert label("cider_d") == "CIDEr-D"
    assert label("new_metric") == "new_metric"
    assert label("novel_share") == "captions not in the training set"


def test_a_caption_without_words_says_so():
    assert said("a dog") == "a dog"
    assert said("") == said(" ") == "(no words)"
