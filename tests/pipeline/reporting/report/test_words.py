"""Words that stand alone, and words that are left out."""

import pytest

from pipeline.reporting.report.words import FUNCTION_WORDS, content_words, ground, stem


def split(text):
    return text.split()


REFERENCES = [
    split("a brown dog runs on the beach"),
    split("the dog is running in sand"),
    split("a dog on a beach"),
    ["brown", "dogs", "running"],
]


@pytest.mark.parametrize(
    "alike",
    [
        ("dog", "dogs"),
        ("puppy", "puppies"),
        ("jump", "jumps", "jumping", "jumped"),
        ("run", "runs", "running", "ran"),
        ("ride", "rides", "riding"),
        ("carry", "carries", "carried", "carrying"),
        ("glass", "glasses"),
        ("watch", "watches", "watching"),
        ("man", "men"),
        ("child", "children"),
        ("tree", "trees"),
    ],
)
def test_forms_of_a_word_are_alike(alike):
    assert len({stem(word) for word in alike}) == 1


def test_other_words_are_not():
    words = split("dog doll run ride red read string sing sling speed spell grass gray swing sled")
    assert len({stem(word) for word in words}) == len(words)


def test_words_that_name_nothing_do_not_count():
    assert list(content_words(split("the dog is n't on a 1 dogs")).values()) == ["dog"]
    assert {"front", "with", "the"} <= FUNCTION_WORDS


def test_what_stands_alone_and_what_is_left_out():
    found = ground([split("a black dog plays in the sand with a ball")], [REFERENCES])
    [verdict] = found.verdicts
    assert verdict.alone == ["black", "plays", "ball"]
    # running: three of four. brown and beach: two of four, which is no majority.
    assert verdict.left_out == ["running"]
    assert found.alone.share == pytest.approx(3 / 5)
    assert found.left_out.share == pytest.approx(1 / 2)  # dog and running are agreed upon
    assert found.alone.most(2) == [("ball", 1, 1), ("black", 1, 1)]


def test_people_are_held_against_the_others():
    found = ground([["dog"]], [[["dog", "cat"], ["dog"], ["dog", "bird"]]])
    # Each has dog in common with the others; cat and bird stand alone: 2 of 5 words.
    assert found.people_alone == pytest.approx(2 / 5)
    assert found.people_left_out == 0.0


def test_few_references_count_for_nothing():
    found = ground([["cat"], ["cat"]], [REFERENCES[:2], REFERENCES])
    assert found.pictures == 1
    assert found.verdicts[0].alone == found.verdicts[0].left_out == []
    assert found.verdicts[1].alone == ["cat"]


def test_nothing_at_all():
    found = ground([[]], [[]])
    assert (found.pictures, found.alone.share, found.people_alone) == (0, 0.0, 0.0)
