from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation import per_picture
from pipeline.evaluation.java import MetricUnavailable
from pipeline.evaluation.meteor import STATISTICS, Meteor, combine
from pipeline.evaluation.per_picture import METRICS, measure, statistics_of

SENTENCES = st.lists(st.sampled_from(["a", "dog", "runs", "on\u00a0grass", "cat"]), max_size=9)
PICTURES = st.lists(
    st.tuples(SENTENCES, st.lists(SENTENCES, min_size=1, max_size=3)), min_size=1, max_size=8
)


@pytest.fixture(autouse=True)
def _no_java(monkeypatch: pytest.MonkeyPatch) -> None:
    """METEOR is compared with its program in test_meteor.py; it takes seconds to start."""

    def meteor(captions: Any, _: Any) -> Meteor:
        rng = np.random.default_rng(len(captions))
        statistics = rng.integers(1, 9, (len(captions), STATISTICS)).astype(float)
        whole = combine(statistics.sum(axis=0, keepdims=True))
        return Meteor(float(whole[0]), combine(statistics), statistics)

    monkeypatch.setattr(per_picture.meteor, "meteor", meteor)


@given(PICTURES)
def test_the_statistics_of_all_pictures_give_the_corpus_scores(pictures: Any) -> None:
    captions, references = zip(*pictures, strict=True)
    measured = measure(captions, references, None)
    statistics = statistics_of(captions, references)
    assert statistics.keys() == measured.corpus.keys() == set(METRICS) - {"spice"}
    for metric, sums in statistics.items():
        assert len(sums.values) == len(measured.pictures[metric]) == len(captions)
        assert sums.score() == pytest.approx(measured.corpus[metric], abs=1e-12), metric


def test_the_statistics_of_one_picture_give_its_score() -> None:
    captions = [["a", "dog", "runs"], ["a", "cat"]]
    references = [[["a", "dog", "ran"], ["dog"]], [["the", "cat", "sits"]]]
    measured = measure(captions, references, None)
    for metric, (values, combined) in measured.statistics.items():
        np.testing.assert_allclose(combined(values), measured.pictures[metric], err_msg=metric)


def test_without_java_meteor_has_no_statistics(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Meteor:
        raise MetricUnavailable("no Java here")

    monkeypatch.setattr(per_picture.meteor, "meteor", fail)
    assert "meteor" not in statistics_of([["a"]], [[["a"]]])
    assert measure([["a"]], [[["a"]]], None).missing["meteor"] == "no Java here"
