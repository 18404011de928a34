from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import InputError
from pipeline.evaluation.bleu import (
    BleuCounts,
    bleu,
    combine,
    corpus_bleu,
    count,
    picture_bleu,
    smoothed_bleu_4,
    statistics,
)

# But not what other tests left unclosed, which is collected in whichever test comes next.
pytestmark = pytest.mark.filterwarnings("error", "ignore::pytest.PytestUnraisableExceptionWarning")

SENTENCES = st.lists(st.sampled_from(["a", "dog", "runs", "on", "grass"]), max_size=9)
PICTURES = st.lists(st.tuples(SENTENCES, st.lists(SENTENCES, min_size=1, max_size=4)), min_size=1)


def words(text: str) -> list[str]:
    return text.split()


def official(captions: Sequence[Sequence[str]], references: Any) -> tuple[Any, Any]:
    from pycocoevalcap.bleu.bleu import Bleu

    said = {number: [" ".join(caption)] for number, caption in enumerate(captions)}
    known = {number: [" ".join(one) for one in group] for number, group in enumerate(references)}
    corpus, pictures = Bleu(4).compute_score(known, said, verbose=0)
    return np.array(corpus), np.array(pictures).T


@given(PICTURES)
def test_equals_pycocoevalcap(pictures: Any) -> None:
    captions, references = zip(*pictures, strict=True)
    scores = bleu(captions, references)
    corpus, each = official(captions, references)
    np.testing.assert_allclose(scores.corpus, corpus, rtol=0, atol=1e-6)
    np.testing.assert_allclose(scores.pictures, each, rtol=0, atol=1e-6)


def test_a_score_worked_by_hand() -> None:
    # Papineni et al., section 2.1: "the" counts twice at most, as in the first reference.
    caption = ["the", "the", "the", "the", "the", "the", "the"]
    references = [
        ["the", "cat", "is", "on", "the", "mat"],
        ["there", "is", "a", "cat", "on", "the", "mat"],
    ]
    scores = bleu([caption], [references])
    assert scores.corpus[0] == pytest.approx(2 / 7)
    assert scores.corpus[1] == pytest.approx(0, abs=1e-6)


def test_the_closest_reference_sets_the_penalty_and_of_two_the_shorter() -> None:
    caption = ["a", "b", "c", "d", "e"]
    counts = count([caption], [[["a", "b", "c", "d"], ["a", "b", "c", "d", "e", "f"], ["a"]]])
    assert counts.reference_words.tolist() == [4]
    assert bleu([caption], [[["a"] * 10]]).corpus[0] == pytest.approx(1 / 5 * np.exp(-1))


def test_the_corpus_counts_are_the_sums_of_the_pictures() -> None:
    captions = [["a", "dog", "runs"], [], ["a", "cat"]]
    references = [[["the", "dog", "runs"]], [["a"]], [["a", "cat"]]]
    counts = count(captions, references)
    total = BleuCounts(*(part.sum(axis=0, keepdims=True) for part in vars(counts).values()))
    np.testing.assert_array_equal(picture_bleu(total)[0], corpus_bleu(counts))


@given(PICTURES, st.data())
def test_a_resample_is_scored_from_its_sums_as_its_captions_are(pictures: Any, data: Any) -> None:
    captions, references = zip(*pictures, strict=True)
    drawn = data.draw(st.lists(st.integers(0, len(pictures) - 1), min_size=1, max_size=20))
    expected = bleu([captions[n] for n in drawn], [references[n] for n in drawn]).corpus
    sums = statistics(count(captions, references))[drawn].sum(axis=0, keepdims=True)
    for order in range(1, 5):
        scores = combine(order, np.repeat(sums, 2, axis=0))
        assert scores.tolist() == pytest.approx([expected[order - 1]] * 2)


@given(st.lists(st.sampled_from("abcd"), min_size=4, max_size=9), st.lists(SENTENCES, min_size=1))
def test_smoothed_as_by_nltk(caption: list[str], references: list[list[str]]) -> None:
    from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

    references = [[word[0] for word in one] for one in references]
    theirs = sentence_bleu(references, caption, smoothing_function=SmoothingFunction().method2)
    assert smoothed_bleu_4(count([caption], [references])) == pytest.approx([theirs], abs=1e-6)


def test_smoothed_by_hand() -> None:
    # Right are 3 words of 4, 1 pair of 3, no longer one of 2 and of 1.
    counts = count([["a", "dog", "ran", "home"], []], [[["a", "dog", "went", "home"]], [["a"]]])
    expected = (3 / 4 * 2 / 4 * 1 / 3 * 1 / 2) ** 0.25
    assert smoothed_bleu_4(counts).tolist() == pytest.approx([expected, 0], abs=1e-6)
    assert picture_bleu(counts)[0, 3] < 1e-3  # which is why


@pytest.mark.parametrize(
    ("caption", "references"),
    [([], [["a"]]), (["a"], [[]]), ([], [[]]), (["a"], [["a"]]), ([], [[], ["a", "b"]])],
)
def test_empty_captions_and_references_and_one_picture(caption: Any, references: Any) -> None:
    corpus, each = official([caption], [references])
    scores = bleu([caption], [references])
    np.testing.assert_allclose(scores.corpus, corpus, rtol=0, atol=1e-6)
    np.testing.assert_allclose(scores.pictures, each, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("captions", "references", "message"),
    [
        ([], [], "at least one to score"),
        ([["a"]], [], "one a picture"),
        ([["a"], ["b"]], [[["a"]], []], "picture number 1"),
    ],
)
def test_what_cannot_be_scored_is_told(captions: Any, references: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        bleu(captions, references)


@pytest.mark.slow
def test_real_captions(flickr8k_groups: list[list[str]]) -> None:
    groups = [[text.lower().split() for text in group] for group in flickr8k_groups]
    captions, references = [group[0] for group in groups], [group[1:] for group in groups]
    scores = bleu(captions, references)
    corpus, each = official(captions, references)
    np.testing.assert_allclose(scores.corpus, corpus, rtol=0, atol=1e-6)
    np.testing.assert_allclose(scores.pictures, each, rtol=0, atol=1e-6)
