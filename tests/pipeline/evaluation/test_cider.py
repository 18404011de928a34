from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import InputError
from pipeline.evaluation.cider import CiderD

# But not what other tests left unclosed, which is collected in whichever test comes next.
pytestmark = pytest.mark.filterwarnings("error", "ignore::pytest.PytestUnraisableExceptionWarning")

WORDS = ["a", "dog", "runs", "on", "grass", "cat"]
SENTENCES = st.lists(st.sampled_from(WORDS), max_size=9)
# Captions have words that no reference has.
CAPTIONS = st.lists(st.sampled_from([*WORDS, "new", "other"]), max_size=9)
PICTURES = st.lists(
    st.tuples(CAPTIONS, st.lists(SENTENCES, min_size=1, max_size=4)), min_size=1, max_size=12
).filter(lambda pictures: any(any(group) for _, group in pictures))  # else theirs fails


def words(text: str) -> list[str]:
    return text.split()


def official(captions: Sequence[Sequence[str]], references: Any) -> Any:
    from pycocoevalcap.cider.cider import Cider

    said = {number: [" ".join(caption)] for number, caption in enumerate(captions)}
    known = {number: [" ".join(one) for one in group] for number, group in enumerate(references)}
    return Cider().compute_score(known, said)[1]


@given(PICTURES)
def test_equals_pycocoevalcap(pictures: Any) -> None:
    captions, references = zip(*pictures, strict=True)
    scores = CiderD(references).score(captions)
    np.testing.assert_allclose(scores, official(captions, references), rtol=0, atol=1e-6)


@given(PICTURES, st.data())
def test_a_caption_scores_the_same_in_any_batch(pictures: Any, data: Any) -> None:
    captions, references = zip(*pictures, strict=True)
    scorer = CiderD(references)
    chosen = data.draw(st.lists(st.integers(0, len(pictures) - 1), max_size=20))
    batch = scorer.score([captions[index] for index in chosen], chosen)
    np.testing.assert_allclose(batch, scorer.score(captions)[chosen], rtol=0, atol=1e-12)


def test_a_score_worked_by_hand() -> None:
    # Two pictures: "red" and "dog" are in one each, "a" in both and so without weight.
    # The caption's vector is red 1, dog 1 (times log 2), the reference's is red 1 and cat 1.
    references = [[["a", "red", "cat"]], [["a", "dog"]]]
    scores = CiderD(references).score([["red", "dog", "a"], ["a", "dog"]])
    one_word = 1 / 2  # cosine of (red, dog) and (red, cat)
    assert scores[0] == pytest.approx(10 * one_word / 4)
    assert scores[1] == pytest.approx(10 * 2 / 4)  # 1 for words, 1 for pairs, none longer


def test_to_say_a_word_again_and_again_does_not_pay() -> None:
    references = [[["a", "red", "cat", "sits"]], [["two", "dogs", "run"]]]
    scorer = CiderD(references)
    once = scorer.score([["cat"]], [0])
    often = scorer.score([["cat"] * 12], [0])
    assert often[0] < once[0]


@pytest.mark.parametrize(
    "caption", [[], ["a"], ["unheard", "of"], ["a", "dog", "runs", "a", "dog"]]
)
def test_a_single_picture_scores_as_theirs(caption: list[str]) -> None:
    references = [[["a", "dog", "runs"], []]]
    scores = CiderD(references).score([caption])
    np.testing.assert_allclose(scores, official([caption], references), rtol=0, atol=1e-6)
    assert scores.tolist() == [0]


def test_references_without_a_word_score_nothing() -> None:
    # pycocoevalcap fails here: max() of nothing.
    assert CiderD([[[]], [[], []]]).score([["a"], []]).tolist() == [0, 0]


def test_no_captions_have_no_scores() -> None:
    assert CiderD([[["a"]]]).score([], []).shape == (0,)


@pytest.mark.parametrize(
    ("references", "message"), [([], "of a picture at least"), ([[["a"]], []], "picture number 1")]
)
def test_references_that_are_missing_are_told(references: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        CiderD(references)


@pytest.mark.parametrize(
    ("captions", "pictures", "message"),
    [
        ([["a"]], None, "expected 2, one a picture. Received: 1"),
        ([["a"]], [0, 1], "expected 2, one a picture. Received: 1"),
        ([["a"]], [2], "indices from 0 to 1"),
        ([["a"]], [-1], "indices from 0 to 1"),
    ],
)
def test_captions_of_no_picture_are_told(captions: Any, pictures: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        CiderD([[["a"]], [["b"]]]).score(captions, pictures)


@pytest.mark.slow
def test_real_captions(flickr8k_groups: list[list[str]]) -> None:
    groups = [[text.lower().split() for text in group] for group in flickr8k_groups]
    captions, references = [group[0] for group in groups], [group[1:] for group in groups]
    scores = CiderD(references).score(captions)
    np.testing.assert_allclose(scores, official(captions, references), rtol=0, atol=1e-6)


def test_vectors_worked_by_hand() -> None:
    found = CiderD([[["a", "red", "cat"], ["a", "red"]], [["a", "dog"]]]).vectors()
    values = {
        (found.ngrams[ngram], int(picture)): float(value)
        for ngram, picture, value in zip(found.ngram, found.picture, found.value, strict=True)
    }
    assert sorted(found.ngrams) == [
        "a",
        "a dog",
        "a red",
        "a red cat",
        "cat",
        "dog",
        "red",
        "red cat",
    ]
    assert values["a", 0] == values["a", 1] == 0  # it is said of both
    assert values["dog", 1] == values["a dog", 1] == pytest.approx(1)
    half = 1 / np.sqrt(2)  # each of two that weigh the same
    assert values["red", 0] == pytest.approx((half + 1) / 2)  # in both references
    assert values["cat", 0] == pytest.approx(half / 2)  # in one of two
    assert values["a red", 0] == pytest.approx((half + 1) / 2)
    assert values["a red cat", 0] == pytest.approx(1 / 2)
    idf = dict(zip(found.ngrams, found.idf, strict=True))
    assert (idf["a"], idf["red"]) == (0, pytest.approx(np.log(2)))


# All as long, and no word twice: nothing is clipped, and no length differs.
PLAIN = st.permutations(WORDS).map(lambda words: words[:4])


@given(st.lists(st.lists(PLAIN, min_size=1, max_size=4), min_size=1, max_size=8))
def test_vectors_give_the_score_but_for_clipping_and_length(references: Any) -> None:
    scorer, captions = CiderD(references), [group[0] for group in references]
    found = scorer.vectors()
    own = {name: number for number, name in enumerate(found.ngrams)}
    for picture, (caption, score) in enumerate(zip(captions, scorer.score(captions), strict=True)):
        mean = dict(zip(found.ngram[found.picture == picture],
                        found.value[found.picture == picture], strict=True))  # fmt: skip
        total = 0.0
        for order in range(1, 5):
            ngrams = [" ".join(caption[at : at + order]) for at in range(5 - order)]
            weights = np.array([found.idf[own[name]] for name in ngrams])
            norm = np.linalg.norm(weights) or 1
            total += sum(
                weight / norm * mean.get(own[name], 0)
                for name, weight in zip(ngrams, weights, strict=True)
            )
        assert score == pytest.approx(10 * total / 4, abs=1e-9)
