import pytest

from pipeline.errors import InputError
from pipeline.evaluation.corpus import CorpusFigures, describe


def test_figures_worked_by_hand() -> None:
    captions = [["a", "dog"], ["a", "dog"], ["a", "cat", "sits"], []]
    training = [["a", "dog"], ["a", "cat"]]
    assert describe(captions, training, ["a", "dog", "bird", "boat", "cat"]) == CorpusFigures(
        distinct_share=3 / 4,
        novel_share=2 / 4,  # "a cat sits" and the empty one
        verbatim_share=2 / 4,
        words_used=4,
        vocabulary_share=3 / 5,  # "sits" is not in the vocabulary
        mean_words=7 / 4,
        bad_ending_share=0,
        repeated_word_share=0,
        repeated_pair_share=0,
    )


def test_flaws_worked_by_hand() -> None:
    captions = [
        ["a", "dog", "on", "a"],  # ends badly
        ["a", "dog", "with", "a", "dog", "with"],  # ends badly, and two pairs come again
        ["a", "a", "dog"],  # a word twice in a row
        ["the", "the", "the", "end"],  # the same, and "the the" comes again
        ["dog"],
    ]
    figures = describe(captions, [], [])
    assert figures.bad_ending_share == pytest.approx(2 / 5)
    assert figures.repeated_word_share == pytest.approx(2 / 5)
    assert figures.repeated_pair_share == pytest.approx(2 / 5)


def test_lists_and_tuples_are_the_same_captions() -> None:
    figures = describe([("a", "dog")], iter([["a", "dog"]]), {"a"})
    assert figures.novel_share == 0


def test_without_training_captions_all_are_novel_and_without_words_none_are_used() -> None:
    figures = describe([["a"]], [], [])
    assert (figures.novel_share, figures.vocabulary_share) == (1, 0)


def test_no_captions_are_told() -> None:
    with pytest.raises(InputError, match="at least one to describe"):
        describe([], [["a"]], ["a"])
