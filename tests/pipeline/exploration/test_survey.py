"""What goes into metrics.json and the curves."""

import numpy as np
import pytest

from pipeline.exploration.agreement import Agreement
from pipeline.exploration.settings import ExploreSettings
from pipeline.exploration.survey import curves, extremes, histograms, metrics, survey

SETTINGS = ExploreSettings(
    samples=2, extremes=2, top_words=2, agreement_pictures=10, picture_side=32, seed=1
)


@pytest.fixture(scope="module")
def found(make_tables):
    tables = make_tables(
        {
            "train": {"a": ["a red dog", "a red dog"], "b": ["one boat", "two boats here now"]},
            "test": {"c": ["a cat"]},
        }
    )
    return survey(*tables, SETTINGS)


def test_metrics(found):
    told = metrics(found)
    assert told["pictures"] == {"train": 2, "val": 0, "test": 1}
    assert told["captions"] == {"train": 4, "val": 0, "test": 1}
    assert told["words_mean"] == {"train": 3.0, "test": 2.0}
    assert told["distinct_words"] == 10
    assert told["singleton_share"] == pytest.approx(0.7)  # but for a, red, dog
    assert told["distinct_caption_share"] == pytest.approx(0.8)
    assert (told["median_width"], told["median_height"]) == (640, 480)
    # a: the same, but a caption of three words has no 4-grams: 7.5. b: nothing shared.
    assert told["human_cider_d"] == {"train": pytest.approx(3.75)}
    assert set(told["human_rouge_l"]) == {"train"}


def test_without_agreement_there_are_no_such_metrics(make_tables):
    told = metrics(survey(*make_tables({"train": {"a": ["a dog"]}}), SETTINGS))
    assert not [name for name in told if name.startswith("human")]


def test_curves_have_a_column_a_split_even_without_captions(found):
    tables = curves(found)
    assert tables["caption_length.csv"] == [
        ["words", "train", "val", "test"],
        [0, 0.0, 0.0, 0.0],
        [1, 0.0, 0.0, 0.0],
        [2, 0.25, 0.0, 1.0],
        [3, 0.5, 0.0, 0.0],
        [4, 0.25, 0.0, 0.0],
    ]
    assert tables["words.csv"] == [["word", "count"], ["a", 3], ["dog", 2]]
    assert tables["zipf.csv"][:3] == [
        ["rank", "count", "log10_rank", "log10_count"],
        [1, 3, 0.0, 0.477121],
        [2, 2, 0.30103, 0.30103],
    ]
    agreement = tables["human_agreement.csv"]
    assert agreement[0] == ["cider_d", "train", "val", "test"]
    assert agreement[1] == [0.125, 0.5, 0.0, 0.0]
    assert agreement[-1] == [7.625, 0.5, 0.0, 0.0]


def agreement_of(scores):
    count = len(scores)
    own = [np.full(2, score) for score in scores]
    return Agreement(list(range(count)), [[0, 1]] * count, own, np.array(scores), 0, 0, count)


def test_histograms_hold_every_picture_the_best_too():
    found = histograms({"train": agreement_of([0.0, 0.3, 10.0]), "test": agreement_of([9.99])})
    assert len(found["train"]) == len(found["test"]) == 40
    assert found["train"].sum() == pytest.approx(1)
    assert found["train"][[0, 1, 39]].tolist() == pytest.approx([1 / 3] * 3)


@pytest.mark.parametrize(
    ("scores", "most", "least"),
    [
        ([1.0, 3.0, 2.0, 0.0], [1, 2], [3, 0]),
        ([1.0, 3.0, 2.0], [1, 2], [0]),
        ([1.0], [0], []),
        ([1.0, 1.0, 5.0, 0.5, 0.1, 4.0], [2, 5], [4, 3]),
    ],
)
def test_extremes_are_in_one_list_each(scores, most, least):
    assert extremes(agreement_of(scores), 2) == (most, least)
