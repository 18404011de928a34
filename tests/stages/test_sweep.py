"""The command `sweep`."""

import csv
import json
import logging
import shutil

import numpy as np
import pytest
import yaml

from pipeline.captioner.captioner import Captioner
from pipeline.evaluation.java import MetricUnavailable
from pipeline.evaluation.sweep import SCORES, SweepSettings, best
from pipeline.evaluation.tokenise import AGAIN
from pipeline.tables import CAPTIONS, read_table, write_rows
from stages.sweep import _tell

SETTINGS = {
    "beam_widths": [3, 1],
    "length_penalties": [1.0, 0.0],
    "guides": [0.0],
    "consensus": [0.0],
    "max_words": 8,
    "ensemble": True,
    "metric": "cider_d",
}


def run(tiny, out, ingested=None, model=None, **changes):
    data = tiny.data
    inputs = ingested or data / "ingest", data / "features", model or data / "train" / "bundle"
    return tiny.run("sweep", *inputs, out, **{**SETTINGS, **changes})


@pytest.fixture(scope="module")
def searched():
    """The settings of each search that the fixture below runs."""
    return []


@pytest.fixture(scope="module")
def swept(trained, searched):
    caption = Captioner.caption

    def record(self, features, settings):
        searched.append((len(features), settings.beam_width, settings.length_penalty))
        return caption(self, features, settings)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Captioner, "caption", record)
        result = run(trained, trained.data / "sweep")
    assert result.code == 0, result.err
    return trained.data / "sweep", result


def rows_of(folder):
    return list(csv.DictReader((folder / "sweep.csv").open()))


def test_every_pair_has_a_row_in_order(swept):
    rows = rows_of(swept[0])
    pairs = [(row["beam_width"], row["length_penalty"]) for row in rows]
    assert pairs == [("1", "0.0"), ("1", "1.0"), ("3", "0.0"), ("3", "1.0")]
    for row in rows:
        assert set(row) >= {"bleu_1", "bleu_4", "rouge_l", "cider_d", "mean_words"}


def test_the_validation_split_is_searched_and_greedy_once(swept, searched):
    assert searched == [(6, 1, 0.0), (6, 3, 0.0), (6, 3, 1.0)]
    greedy = [row for row in rows_of(swept[0]) if row["beam_width"] == "1"]
    first, second = ({**row, "length_penalty": ""} for row in greedy)
    assert first == second


def test_the_scores_are_those_of_evaluate(swept, trained, tmp_path, monkeypatch):
    def no_meteor(*_):
        raise MetricUnavailable("it takes seconds to start")

    monkeypatch.setattr("pipeline.evaluation.meteor.meteor", no_meteor)
    data = trained.data
    inputs = data / "ingest", trained.captions, data / "features", data / "train" / "bundle"
    settings = {"split": "val", "beam_width": 3, "length_penalty": 1.0, "max_words": 8}
    settings |= {"coco_splits": [], "spice": None}
    assert trained.run("evaluate", *inputs, tmp_path, **settings).code == 0
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    row = rows_of(swept[0])[-1]
    for name in ("bleu_1", "bleu_4", "rouge_l", "cider_d"):
        assert float(row[name]) == metrics[name], name


def test_the_mean_of_three_scores_may_choose(swept, trained, tmp_path):
    rows = rows_of(swept[0])
    for row in rows:
        three = [float(row[name]) for name in ("bleu_4", "rouge_l", "cider_d")]
        assert float(row["mean_score"]) == pytest.approx(np.mean(three), abs=2e-6)
    assert run(trained, tmp_path, metric="mean_score").code == 0
    found = json.loads((tmp_path / "best.json").read_text())
    assert found["metric"] == "mean_score"
    assert found["mean_score"] == max(float(row["mean_score"]) for row in rows)


def test_the_best_is_written_and_told_as_lines_for_params(swept):
    folder, result = swept
    found = json.loads((folder / "best.json").read_text())
    rows = rows_of(folder)
    assert found["cider_d"] == max(float(row["cider_d"]) for row in rows)
    assert (found["metric"], found["tokenisation"]) == ("cider_d", "ptb")
    _, _, lines = result.out.partition("for params.yaml:\n")
    # What was not varied is not chosen: the model may be evaluated with a guide.
    chosen = {name: found[name] for name in ("beam_width", "length_penalty")}
    assert yaml.safe_load(lines) == {"evaluate": chosen}
    assert "# guide was 0.0 in all of them: sweep.guides\n" in lines
    assert "# consensus was 0.0 in all of them: sweep.consensus\n" in lines


def test_each_weight_of_consensus_has_its_row(agreeing, trained, tmp_path, monkeypatch):
    def later_ones(self, features, captions):
        return [np.arange(float(len(group))) for group in captions]

    monkeypatch.setattr("pipeline.captioner.consensus.Consensus.expect", later_ones)
    inputs = trained.data / "ingest", trained.data / "features", agreeing
    found = {}
    for name, weights in (("none", [0.0]), ("much", [50.0]), ("every", [50.0, 0.0])):
        settings = {"beam_widths": [1, 20], "length_penalties": [1.0, 4.0], "metric": "bleu_1"}
        settings = {**SETTINGS, **settings, "consensus": weights}
        result = trained.run("sweep", *inputs, tmp_path / name, **settings)
        assert result.code == 0, result.err
        found[name] = [(float(row["bleu_1"]), row["consensus"]) for row in rows_of(tmp_path / name)]
    assert found["much"][:2] == found["none"][:2], "greedily there is no choice"
    pairs = zip(found["none"][2:], found["much"][2:], strict=True)
    assert found["every"] == [*found["none"][:2], *(row for pair in pairs for row in pair)]
    assert [weight for _, weight in found["every"]] == ["0.0"] * 3 + ["50.0", "0.0", "50.0"]


def test_a_beam_of_one_is_told_without_the_consensus_of_the_others(capsys):
    scores = dict.fromkeys(SCORES, 0.5)
    rows = [
        {"beam_width": width, "length_penalty": 0.5, "guide": 0.0, "consensus": weight, **scores}
        for width, weight in ((1, 0.0), (3, 2.0))
    ]
    asked = {**SETTINGS, "beam_widths": [1, 3], "length_penalties": [0.5], "consensus": [2.0]}
    _tell(rows, rows[0], SweepSettings(**asked))
    _, _, lines = capsys.readouterr().out.partition("for params.yaml:\n")
    assert yaml.safe_load(lines) == {"evaluate": {"beam_width": 1, "consensus": 0.0}}
    assert "# consensus" not in lines


def test_every_guide_is_searched_greedily_too(agreeing, trained, tmp_path, monkeypatch):
    def one_word(self, features, words):
        return np.array([[word == "square" for word in words]] * len(features), "float32")

    monkeypatch.setattr("pipeline.captioner.consensus.Consensus.words", one_word)
    inputs = trained.data / "ingest", trained.data / "features", agreeing
    settings = {**SETTINGS, "beam_widths": [1, 3], "guides": [100.0, 0.0]}
    result = trained.run("sweep", *inputs, tmp_path, **settings)
    assert result.code == 0, result.err
    rows = rows_of(tmp_path)
    assert [row["guide"] for row in rows] == ["0.0", "100.0"] * 4
    scores = [row["bleu_1"] for row in rows]
    assert scores[:2] == scores[2:4], "greedily there is no length penalty"
    assert all(one != other for one, other in zip(scores[::2], scores[1::2], strict=True))


def test_of_several_seeds_what_is_evaluated_is_tried(swept, trained, of_two_seeds, tmp_path):
    for name, ensemble in (("best", False), ("together", True)):
        result = run(trained, tmp_path / name, model=of_two_seeds, ensemble=ensemble)
        assert result.code == 0, result.err
    assert rows_of(tmp_path / "best") == rows_of(swept[0])
    assert rows_of(tmp_path / "together") != rows_of(swept[0])


def test_without_java_it_is_told_that_the_result_stays(trained, tmp_path, monkeypatch, caplog):
    def fail(_):
        raise MetricUnavailable("no Java here")

    monkeypatch.setattr("pipeline.evaluation.tokenise.ptb_tokenize", fail)
    assert run(trained, tmp_path, beam_widths=[1], length_penalties=[0.0]).code == 0
    found = json.loads((tmp_path / "best.json").read_text())
    assert found["tokenisation"] == "clean (PTB unavailable: no Java here)"
    assert AGAIN in caplog.text


def test_of_equal_scores_the_cheapest_search_is_best():
    rows = [{"beam_width": width, "cider_d": score} for width, score in [(1, 1), (3, 2), (5, 2)]]
    assert best(rows, "cider_d")["beam_width"] == 3


def test_pictures_without_captions_are_left_out_and_a_split_of_them_is_one_line(
    trained, one_line, tmp_path, caplog
):
    caplog.set_level(logging.INFO)
    ingested = shutil.copytree(trained.data / "ingest", tmp_path / "ingest")
    rows = read_table(ingested / "captions.parquet", CAPTIONS).to_pylist()
    for kept in (2, 0):
        left = [row for row in rows if row["image_id"] < f"val-{kept:02d}"]
        write_rows(ingested / "captions.parquet", left, CAPTIONS, ["image_id", "caption_id"])
        result = run(trained, tmp_path / "out", ingested, beam_widths=[1])
        if kept:
            assert result.code == 0, result.err
            assert "length penalty 0, guide 0: 2 pictures" in caplog.text
    assert "6 pictures, none of them with captions" in one_line(result)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"beam_widths": []}, "sweep.beam_widths"),
        ({"beam_widths": [0]}, "sweep.beam_widths.0"),
        ({"length_penalties": [-1.0]}, "sweep.length_penalties.0"),
        ({"metric": "meteor"}, "sweep.metric"),
        ({"consensus": [-1.0]}, "sweep.consensus.0"),
        ({"consensus": [0.0, 5.0]}, "train.consensus.pictures"),
        ({"guides": [-1.0]}, "sweep.guides.0"),
        ({"guides": [0.0, 5.0]}, "train.consensus.pictures"),
    ],
)
def test_wrong_settings_are_one_line(trained, one_line, tmp_path, changes, told):
    assert told in one_line(run(trained, tmp_path / "out", **changes))
    assert not (tmp_path / "out").exists()
