from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import InputError
from pipeline.evaluation.rouge import common_words, rouge_l

SENTENCES = st.lists(st.sampled_from(["a", "dog", "runs", "on", "grass"]), max_size=9)
PICTURES = st.lists(st.tuples(SENTENCES, st.lists(SENTENCES, min_size=1, max_size=4)), min_size=1)


def words(text: str) -> list[str]:
    return text.split()


def official(captions: Sequence[Sequence[str]], references: Any) -> tuple[float, Any]:
    from pycocoevalcap.rouge.rouge import Rouge

    said = {number: [" ".join(caption)] for number, caption in enumerate(captions)}
    known = {number: [" ".join(one) for one in group] for number, group in enumerate(references)}
    corpus, pictures = Rouge().compute_score(known, said)
    return float(corpus), pictures


@given(PICTURES)
def test_equals_pycocoevalcap(pictures: Any) -> None:
    captions, references = zip(*pictures, strict=True)
    scores = rouge_l(captions, references)
    corpus, each = official(captions, references)
    assert scores.mean() == pytest.approx(corpus, abs=1e-6)
    np.testing.assert_allclose(scores, each, rtol=0, atol=1e-6)


def test_a_score_worked_by_hand() -> None:
    # Of the caption 3 words of 4 are in the reference in order; of the reference 3 of 6.
    caption, reference = ["a", "dog", "runs", "fast"], ["a", "big", "dog", "runs", "on", "grass"]
    precision, recall = 3 / 4, 3 / 6
    expected = (1 + 1.2**2) * precision * recall / (recall + 1.2**2 * precision)
    assert rouge_l([caption], [[reference]]).tolist() == pytest.approx([expected])


def test_precision_and_recall_may_come_from_different_references() -> None:
    caption = ["a", "dog"]
    both = rouge_l([caption], [[["a", "dog", "runs", "on", "grass"], ["a"]]])[0]
    assert both == pytest.approx(1)  # precision 1 by the first, recall 1 by the second


@pytest.mark.parametrize(
    ("first", "second", "length"),
    [
        ("a dog runs home", "the dog ran home", 2),
        ("a b c", "c b a", 1),
        ("a a a", "a a", 2),
        ("a b", "c", 0),
        ("", "a", 0),
    ],
)
def test_common_words(first: str, second: str, length: int) -> None:
    assert common_words(first.split(), second.split()) == length
    assert common_words(second.split(), first.split()) == length


@pytest.mark.parametrize(
    ("caption", "references", "score"),
    [([], [["a"]], 0.0), (["a"], [[]], 0.0), ([], [["a"], []], 1.0)],
)
def test_a_caption_without_words(caption: Any, references: Any, score: float) -> None:
    assert rouge_l([caption], [references]).tolist() == [score]
    assert official([caption], [references])[0] == score


def test_no_captions_are_told() -> None:
    with pytest.raises(InputError, match="at least one to score"):
        rouge_l([], [])


@pytest.mark.slow
def test_real_captions(flickr8k_groups: list[list[str]]) -> None:
    groups = [[text.lower().split() for text in group] for group in flickr8k_groups]
    captions, references = [group[0] for group in groups], [group[1:] for group in groups]
    _, each = official(captions, references)
    np.testing.assert_allclose(rouge_l(captions, references), each, rtol=0, atol=1e-6)
