"""Sentences say what the numbers say."""

import numpy as np
import pytest

from pipeline.exploration import story
from pipeline.exploration.agreement import AgreedWord, Agreement
from pipeline.exploration.counts import Frequencies, count_sizes
from pipeline.exploration.settings import ExploreSettings
from pipeline.exploration.survey import survey

SETTINGS = ExploreSettings(
    samples=2, extremes=2, top_words=5, agreement_pictures=10, picture_side=32, seed=1
)


@pytest.mark.parametrize(
    ("share", "told"),
    [
        (0.0, "0%"),
        (0.0002, "under 0.1%"),
        (0.004, "0.4%"),
        (0.126, "13%"),
        (0.996, "99.6%"),
        (0.9999, "over 99.9%"),
        (1.0, "100%"),
    ],
)
def test_shares_never_claim_nothing_or_all_where_it_is_not_so(share, told):
    assert story.percent(share) == told


def test_splits(make_tables):
    one = {"train": {f"a{n}": ["a dog"] for n in range(7)}}
    three = {**one, "val": {"b": ["a dog"]}, "test": {"c": [], "d": ["a dog"]}}
    told = story.splits(survey(*make_tables(three), SETTINGS))
    assert told == "Of 10 pictures, 70% are for training, 10% for validation and 20% for the test"
    assert story.splits(survey(*make_tables(one), SETTINGS)) == "All of 7 pictures for training"


@pytest.mark.parametrize(
    ("per_picture", "told"),
    [
        ([5, 5], "Every picture has 5 captions"),
        ([1], "Every picture has 1 caption"),
        ([5, 5, 5, 4], "75% of the pictures have 5 captions, 1 fewer"),
        ([5, 5, 0, 6, 7], "40% of the pictures have 5 captions, 1 fewer and 2 more"),
        ([0, 0, 1], "67% of the pictures have no captions, 1 more"),
    ],
)
def test_captions_a_picture(per_picture, told):
    assert story.captions_a_picture(np.array(per_picture)) == told


@pytest.mark.parametrize(
    ("lengths", "told"),
    [
        ([4, 5, 9, 12], "Half of the captions have 4 to 5 words"),
        ([7, 7, 7, 9], "75% of the captions are of 7 words"),
        ([4, 5, 5, 6, 20], "60% of the captions have 4 to 5 words"),
    ],
)
def test_lengths(lengths, told):
    assert story.lengths(np.array(lengths)) == told


def test_words():
    few = Frequencies([("a", 8), ("dog", 2)], np.array([8, 2]))
    isolated = "“\N{FIRST STRONG ISOLATE}a\N{POP DIRECTIONAL ISOLATE}”"
    told = "alone is 80% of all text, the 2 most frequent words together are 100%"
    assert story.words(few) == f"{isolated} {told}"
    assert story.rarity(few) == "None of the 2 distinct words occur only once"
    many = Frequencies([("a", 9)], np.array([9] * 100 + [1] * 900))
    assert story.words(many) == f"{isolated} alone is 0.5% of all text"
    assert story.rarity(many) == (
        "90% of the 1,000 distinct words occur only once; the 100 most frequent make up 50% of "
        "all text"
    )
    assert "…" in story.quoted("w" * 1000)


def test_sizes():
    same, several = np.array([640, 640]), np.array([640, 1480])
    assert story.sizes(count_sizes(same, same)).startswith("Every picture is 640 ")
    told = story.sizes(count_sizes(several, same))
    assert told.startswith("50% of the pictures are wider than high and 0% higher than wide;")
    assert told.endswith("640 \N{MULTIPLICATION SIGN} 640 pixels (50%)")


def test_agreement():
    def told(*sizes):
        scores = [np.full(size, 0.845) for size in sizes]
        captions = [list(range(size)) for size in sizes]
        pictures = list(range(len(sizes)))
        means = np.full(len(sizes), 0.845)
        return story.agreement(
            "test", Agreement(pictures, captions, scores, means, 0.2, 0.5, len(sizes))
        )

    assert told(5, 5) == (
        "In test, a person's caption scores CIDEr-D 0.84 against the other four of its picture"
    )
    assert told(2, 2).endswith("against the other one of its picture")
    assert told(9, 9).endswith("against the other 8 of its picture")
    assert told(5, 4).endswith("against the others of its picture")


def test_agreed_words():
    told = story.agreed([AgreedWord("dog", 0.86, 0.8), AgreedWord("there", 0.05, -0.01)])
    plain = told.replace("\N{FIRST STRONG ISOLATE}", "").replace("\N{POP DIRECTIONAL ISOLATE}", "")
    assert (
        plain == "Where one person writes “dog”, 86% of the others do; where one writes “there”, 5%"
    )
    assert story.signed(-0.011) == "\N{MINUS SIGN}1%"
