"""The command `evaluate`."""

import json
import shutil

import pytest

from pipeline.evaluation.java import MetricUnavailable
from pipeline.evaluation.scores import METRICS
from pipeline.tables import CAPTIONS, read_table, write_rows


def run(tiny, out, **changes):
    data = tiny.data
    inputs = data / "ingest", tiny.captions, data / "features", data / "train" / "bundle"
    return tiny.run("evaluate", *inputs, out, **changes)


@pytest.fixture(scope="module")
def evaluated(trained):
    result = run(trained, trained.data / "evaluate")
    assert result.code == 0, result.err
    return trained.data / "evaluate"


def read_lines(folder) -> list[dict]:
    return [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]


def test_every_official_score_is_there(evaluated):
    metrics = json.loads((evaluated / "metrics.json").read_text())
    assert set(METRICS) <= set(metrics)
    assert metrics["missing"] == {}
    assert metrics["tokenisation"] == "ptb"
    assert metrics["pictures"] == 6
    assert "fact_accuracy" not in metrics  # there are no facts of these pictures


def test_each_picture_of_the_split_has_its_candidates_references_and_scores(evaluated):
    rows = read_lines(evaluated)
    assert [row["image_id"] for row in rows] == [f"test-{n:02d}" for n in range(6)]
    for row in rows:
        assert row["caption"] == row["candidates"][0]["caption"]
        scores = [candidate["score"] for candidate in row["candidates"]]
        assert scores == sorted(scores, reverse=True)
        assert len(row["references"]) == 2
        assert "cider_d" in row["scores"]


def test_the_coco_results_are_what_its_tools_read(evaluated):
    results = json.loads((evaluated / "coco_results.json").read_text())
    expected = [
        {"image_id": row["image_id"], "caption": row["caption"]} for row in read_lines(evaluated)
    ]
    assert results == expected


def test_a_metric_that_cannot_run_is_told_and_takes_no_other_with_it(
    trained, evaluated, tmp_path, monkeypatch
):
    def no_java(*_):
        raise MetricUnavailable("no Java here")

    monkeypatch.setattr("pipeline.evaluation.scores.meteor", no_java)
    assert run(trained, tmp_path).code == 0
    metrics, whole = (json.loads((f / "metrics.json").read_text()) for f in (tmp_path, evaluated))
    assert metrics.pop("missing") == {"meteor": "no Java here"}
    del whole["missing"], whole["meteor"]
    assert metrics == whole
    name = "coco_results.json"  # and what is found is the same, byte for byte
    assert (tmp_path / name).read_bytes() == (evaluated / name).read_bytes()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"split": "dev"}, "evaluate.split"),
        ({"beam_width": 0}, "evaluate.beam_width"),
        ({"length_penalty": -1.0}, "evaluate.length_penalty"),
    ],
)
def test_wrong_settings_are_one_line(trained, one_line, tmp_path, changes, told):
    assert told in one_line(run(trained, tmp_path / "out", **changes))


def test_a_split_without_pictures_is_one_line(trained, make_tiny, one_line, tmp_path):
    tiny = make_tiny(tmp_path / "data", {"train": 6})
    data = trained.data
    others = trained.captions, data / "features", data / "train" / "bundle", tmp_path / "out"
    result = tiny.run("evaluate", tiny.data / "ingest", *others)
    assert "split 'test' has no pictures" in one_line(result)


def test_pictures_without_features_are_one_line(trained, make_tiny, one_line, tmp_path):
    tiny = make_tiny(tmp_path / "data", {"test": 8})
    data = trained.data
    others = trained.captions, data / "features", data / "train" / "bundle", tmp_path / "out"
    result = tiny.run("evaluate", tiny.data / "ingest", *others)
    assert "Received: none of 2, such as test-06" in one_line(result)


@pytest.mark.parametrize("captioned", [0, 2])
def test_pictures_that_nobody_has_captioned_are_captioned_and_not_scored(
    trained, tmp_path, captioned
):
    ingested = tmp_path / "ingest"
    shutil.copytree(trained.data / "ingest", ingested)
    rows = read_table(ingested / "captions.parquet", CAPTIONS).to_pylist()
    kept = [row for row in rows if row["image_id"] < f"test-{captioned:02d}"]
    write_rows(ingested / "captions.parquet", kept, CAPTIONS, ["image_id", "caption_id"])
    data, out = trained.data, tmp_path / "out"
    others = trained.captions, data / "features", data / "train" / "bundle", out
    assert trained.run("evaluate", ingested, *others).code == 0
    predictions = read_lines(out)
    assert len(predictions) == 6
    assert [bool(row["references"]) for row in predictions] == [n < captioned for n in range(6)]
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["pictures"] == 6
    assert metrics["scored_pictures"] == captioned
    assert ("cider_d" in metrics) == bool(captioned)
    assert set(metrics["missing"]) == (set() if captioned else set(METRICS))


def test_an_incomplete_bundle_is_one_line(trained, one_line, tmp_path):
    model = shutil.copytree(trained.data / "train" / "bundle", tmp_path / "bundle")
    (model / "vocabulary.json").unlink()
    data = trained.data
    inputs = data / "ingest", trained.captions, data / "features", model, tmp_path / "out"
    assert "vocabulary.json: no such file" in one_line(trained.run("evaluate", *inputs))
    assert not (tmp_path / "out").exists()
