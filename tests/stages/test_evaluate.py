"""The command `evaluate`."""

import csv
import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest

from pipeline.captioner import bundle as bundles
from pipeline.captioner.captioner import Captioner
from pipeline.captioner.decoders.base import DecoderSettings
from pipeline.captioner.decoders.find import build
from pipeline.evaluation.attention_file import ATTENTION, SCHEMA, read_attention
from pipeline.evaluation.java import MetricUnavailable
from pipeline.evaluation.per_picture import METRICS, NO_SPICE
from pipeline.evaluation.tokenise import AGAIN, PTB
from pipeline.images.shards import open_shards, read_manifest
from pipeline.tables import CAPTIONS, CLEAN_CAPTIONS, FACTS, IMAGES, read_table, write_rows
from stages import evaluate
from stages.evaluate import _has_failed

OWN = set(METRICS) - {"spice"}  # its models are not here


def run(tiny, out, ingested=None, captions=None, bundle=None, features=None, **changes):
    data = tiny.data
    inputs = (
        ingested or data / "ingest",
        captions or tiny.captions,
        features or data / "features",
        bundle or data / "train" / "bundle",
    )
    settings = {"coco_splits": ["val", "test"], "spice": None, **changes}
    return tiny.run("evaluate", *inputs, out, **settings)


def copy_of(ingested: Path, folder: Path) -> Path:
    """A copy of what `ingest` wrote, to change."""
    return shutil.copytree(ingested, folder / "ingest")


@pytest.fixture
def no_meteor(monkeypatch):
    """Leave METEOR out: its program takes seconds to start."""

    def fail(*_):
        raise MetricUnavailable("no Java here")

    monkeypatch.setattr("pipeline.evaluation.meteor.meteor", fail)


@pytest.fixture(scope="module")
def evaluated(trained):
    result = run(trained, trained.data / "evaluate")
    assert result.code == 0, result.err
    return trained.data / "evaluate"


def read_lines(folder) -> list[dict]:
    return [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]


def test_every_official_score_is_there(evaluated):
    metrics = json.loads((evaluated / "metrics.json").read_text())
    assert set(metrics) >= OWN
    assert metrics["missing"] == {"spice": NO_SPICE}
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


def test_every_score_has_its_interval(evaluated):
    metrics = json.loads((evaluated / "metrics.json").read_text())
    for name in OWN:
        assert metrics[f"{name}_low"] <= metrics[name] <= metrics[f"{name}_high"], name


def test_beside_the_scores_is_what_they_do_not_tell(evaluated):
    metrics = json.loads((evaluated / "metrics.json").read_text())
    assert metrics["novel_share"] + metrics["verbatim_share"] == pytest.approx(1)
    for name in ("bad_ending_share", "repeated_word_share", "repeated_pair_share"):
        assert 0 <= metrics[name] <= 1
    assert metrics["oracle_cider_d"] >= metrics["cider_d"]
    assert 0 < metrics["human_cider_d"] <= 10


def test_the_oracle_takes_the_best_candidate_of_each_picture(evaluated):
    metrics = json.loads((evaluated / "metrics.json").read_text())
    rows = read_lines(evaluated)
    best = [max(one["cider_d"] for one in row["candidates"]) for row in rows]
    assert metrics["oracle_cider_d"] == pytest.approx(sum(best) / len(best), abs=1e-5)
    for row in rows:
        assert row["candidates"][0]["cider_d"] == row["scores"]["cider_d"]


@pytest.mark.usefixtures("no_meteor")
@pytest.mark.slow
def test_of_several_seeds_all_are_scored_alone_and_together(
    trained, of_two_seeds, tmp_path, monkeypatch
):
    scores, asked = {}, []
    monkeypatch.setattr("pipeline.evaluation.scores.human_agreement", asked.append)
    for name, bundle, settings in (
        ("first", None, {}),
        ("best", of_two_seeds, {"ensemble": False}),
        ("together", of_two_seeds, {"ensemble": True}),
    ):
        result = run(trained, tmp_path / name, bundle=bundle, **settings)
        assert result.code == 0, result.err
        scores[name] = json.loads((tmp_path / name / "metrics.json").read_text())
    assert len(asked) == 3, "once a run, as it is the same for all seeds"
    assert "seeds" not in scores["first"]
    seeds = scores["best"].pop("seeds")
    assert scores["best"] == scores["first"]
    assert scores["together"].pop("seeds") == seeds
    assert read_lines(tmp_path / "together") != read_lines(tmp_path / "best")
    assert seeds["trained"] == 2
    for name in ("bleu_1", "rouge_l", "cider_d"):
        other = 2 * seeds["mean"][name] - scores["first"][name]
        apart = abs(other - scores["first"][name]) / 2**0.5
        assert seeds["deviation"][name] == pytest.approx(apart, abs=1e-5)


@pytest.fixture
def attending(trained, tmp_path):
    """Features of grids, and a bundle of two decoders that attend to them, of random weights."""
    features, out = tmp_path / "grids", tmp_path / "attending"
    given = trained.raw, trained.images, trained.data / "encoder", features
    result = trained.run("features", *given, pooling="grid")
    assert result.code == 0, result.err
    fingerprint = read_manifest(features).encoder
    reader = open_shards(features, fingerprint)
    shape = tuple(reader.rows(np.array([0])).shape[1:])
    words = trained.data / "train" / "bundle" / "vocabulary.json"
    settings = DecoderSettings.plain(decoder="adaptive", units=8, embedding=6, dropout=0.0)
    size = len(bundles.load_captioner(words.parent).vocabulary)
    decoders = [build(settings, size, shape) for _ in range(2)]
    for seed, decoder in enumerate(decoders):
        rng = np.random.default_rng(seed)
        decoder.set_weights([rng.normal(0, 0.5, one.shape) for one in decoder.get_weights()])
    encoder = words.parent / "encoder"
    bundles.save(out, decoders, words, encoder, shape, fingerprint)
    return {"bundle": out, "features": features}


@pytest.mark.usefixtures("no_meteor")
def test_of_a_decoder_that_attends_it_is_kept_where_it_looked_for_each_word(
    trained, attending, tmp_path
):
    out = tmp_path / "out"
    result = run(trained, out, **attending, min_words=1, coco_splits=[])
    assert result.code == 0, result.err
    captions = {row["image_id"]: row["caption"] for row in read_lines(out)}
    found = read_attention(out / ATTENTION, captions)
    assert found.keys() == captions.keys()
    for image_id, (words, looks) in found.items():
        assert " ".join(words) == captions[image_id] != ""
        total = looks.maps.sum(axis=(1, 2)) + looks.elsewhere
        np.testing.assert_allclose(total, 1, atol=2e-3)
        assert (looks.elsewhere > 0).all()
    # They are of the pictures themselves, in whichever order these are read.
    reader = open_shards(attending["features"], read_manifest(attending["features"]).encoder)
    grid = reader.rows(np.array([reader.row_of()["test-03"]]))
    words = captions["test-03"].split()
    [expected] = bundles.together(bundles.load_members(attending["bundle"])).looks(grid, [words])
    np.testing.assert_allclose(found["test-03"].looks.maps, expected.maps, atol=1e-3)


def test_of_a_decoder_that_attends_to_nothing_nothing_is_kept(evaluated):
    table = read_table(evaluated / ATTENTION, SCHEMA)  # there, as dvc.yaml lists it
    assert table.num_rows == 0


def test_scores_of_a_picture_are_those_that_mean_something_of_one(evaluated):
    for row in read_lines(evaluated):
        assert set(row["scores"]) == {"bleu_1", "bleu_4_smoothed", "meteor", "rouge_l", "cider_d"}


def test_scores_by_length_cover_every_picture(evaluated):
    rows = list(csv.DictReader((evaluated / "by_length.csv").open()))
    captions = [row["caption"] for row in read_lines(evaluated)]
    lengths = [len(caption.split()) for caption in captions]
    assert {int(row["words"]): int(row["pictures"]) for row in rows} == {
        length: lengths.count(length) for length in lengths
    }
    assert [int(row["words"]) for row in rows] == sorted(set(lengths))
    metrics = json.loads((evaluated / "metrics.json").read_text())
    mean = sum(float(row["cider_d"]) * int(row["pictures"]) for row in rows) / len(captions)
    assert mean == pytest.approx(metrics["cider_d"], abs=1e-5)


def number_of(image_id: str) -> str:
    """train-03 -> 3, val-03 -> 1003, test-03 -> 2003."""
    split, number = image_id.split("-")
    return str(1000 * ["train", "val", "test"].index(split) + int(number))


def numbered(*arguments):
    """Open shards whose pictures have numbers for ids."""
    reader = open_shards(*arguments)
    reader.ids = [number_of(image_id) for image_id in reader.ids]
    return reader


def check_coco(results, pictures: int) -> None:
    """Check what the evaluation server's results format says of captions."""
    assert isinstance(results, list)
    assert len(results) == pictures
    for entry in results:
        assert set(entry) == {"image_id", "caption"}
        assert isinstance(entry["caption"], str)
    kinds = {type(entry["image_id"]) for entry in results}
    assert kinds in ({int}, {str})  # the server takes numbers alone
    assert len({entry["image_id"] for entry in results}) == pictures


def test_the_coco_results_of_both_splits_keep_to_the_format(evaluated):
    for name in ("val", "test"):
        results = json.loads((evaluated / "coco" / f"captions_{name}_results.json").read_text())
        check_coco(results, 6)
        assert all(entry["image_id"].startswith(name) for entry in results)
    assert results == [
        {"image_id": row["image_id"], "caption": row["caption"]} for row in read_lines(evaluated)
    ]


@pytest.mark.usefixtures("no_meteor")
def test_coco_results_have_numbers_where_ids_are_numbers(trained, tmp_path, monkeypatch):
    ingested = copy_of(trained.data / "ingest", tmp_path)
    rows = read_table(ingested / "images.parquet", IMAGES).to_pylist()
    monkeypatch.setattr("pipeline.evaluation.split.open_shards", numbered)
    for row in rows:
        row["image_id"] = number_of(row["image_id"])
    write_rows(ingested / "images.parquet", rows, IMAGES, ["image_id"])
    texts = read_table(ingested / "captions.parquet", CAPTIONS).to_pylist()
    for row in texts:
        row["image_id"] = number_of(row["image_id"])
    write_rows(ingested / "captions.parquet", texts, CAPTIONS, ["image_id", "caption_id"])
    captions = tmp_path / "none.parquet"
    write_rows(captions, [], CLEAN_CAPTIONS, ["image_id"])
    result = run(trained, tmp_path / "out", ingested, captions, coco_splits=["test"])
    assert result.code == 0, result.err
    [path] = (tmp_path / "out" / "coco").iterdir()
    results = json.loads(path.read_text())
    check_coco(results, 6)
    assert {entry["image_id"] for entry in results} == set(range(2000, 2006))


@pytest.mark.usefixtures("no_meteor")
def test_coco_results_of_a_split_without_pictures_are_left_out(trained, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    ingested = copy_of(trained.data / "ingest", tmp_path)
    rows = read_table(ingested / "images.parquet", IMAGES).to_pylist()
    kept = [{**row, "split": row["split"].replace("val", "train")} for row in rows]
    write_rows(ingested / "images.parquet", kept, IMAGES, ["image_id"])
    result = run(trained, tmp_path / "out", ingested)
    assert result.code == 0, result.err
    assert [path.name for path in (tmp_path / "out" / "coco").iterdir()] == [
        "captions_test_results.json"
    ]
    assert "no COCO results of split 'val'" in caplog.text


@pytest.mark.usefixtures("no_meteor")
def test_facts_tell_which_captions_are_true(trained, tmp_path, monkeypatch):
    ingested = copy_of(trained.data / "ingest", tmp_path)
    facts = [{"image_id": f"test-{n:02d}", "facts": json.dumps(n % 3 == 0)} for n in range(5)]
    write_rows(ingested / "facts.parquet", facts, FACTS, ["image_id"])
    monkeypatch.setattr("stages.evaluate.is_true", lambda _, known: known)
    assert run(trained, tmp_path / "out", ingested).code == 0
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["fact_accuracy"] == pytest.approx(2 / 5)
    assert metrics["fact_accuracy_low"] < 2 / 5 < metrics["fact_accuracy_high"]
    true = [row["scores"].get("fact_accuracy") for row in read_lines(tmp_path / "out")]
    assert true == [1, 0, 0, 1, 0, None]


@pytest.mark.usefixtures("no_meteor")
@pytest.mark.parametrize(
    ("at_once", "blocks"), [(2, [4, 2]), (4, [6])], ids=["two", "no batch left"]
)
def test_memory_is_bounded_by_blocks_and_the_captions_are_the_same(
    trained, evaluated, tmp_path, monkeypatch, at_once, blocks
):
    sizes = []
    caption = Captioner.caption

    def record(self, features, settings):
        sizes.append(len(features))
        return caption(self, features, settings)

    monkeypatch.setattr("pipeline.evaluation.split.BLOCK", 4)
    monkeypatch.setattr("pipeline.evaluation.split.PICTURES_AT_ONCE", at_once)
    monkeypatch.setattr(Captioner, "caption", record)
    assert run(trained, tmp_path / "out", coco_splits=[]).code == 0
    assert list((tmp_path / "out" / "coco").iterdir()) == []  # there, as dvc.yaml lists it
    assert sizes == blocks
    texts = [[row["caption"] for row in read_lines(f)] for f in (tmp_path / "out", evaluated)]
    assert texts[0] == texts[1]


@pytest.mark.usefixtures("no_meteor")
def test_captions_are_chosen_by_consensus(trained, agreeing, tmp_path):
    data = trained.data
    inputs = data / "ingest", trained.captions, data / "features", agreeing
    every = {}
    for weight in (0.0, 50.0):
        out = tmp_path / f"{weight}"
        # The words that are said of every picture, and so worth nothing.
        settings = {"forbidden_words": ["a", "is", "square"], "min_words": 2, "beam_width": 20}
        settings |= {"coco_splits": [], "consensus": weight}
        assert trained.run("evaluate", *inputs, out, **settings).code == 0
        every[weight] = {row["image_id"]: row for row in read_lines(out)}
    own = bundles.load_captioner(agreeing)
    reader = open_shards(data / "features", bundles.read_description(agreeing).encoder)
    for image_id, plain in every[0.0].items():
        features = reader.rows(np.array([reader.row_of()[image_id]]))
        texts = [one["caption"] for one in plain["candidates"]]
        [expected] = own.consensus.expect(features, [[text.split() for text in texts]])
        scores = [one["score"] for one in plain["candidates"]] + 50 * expected
        chosen = every[50.0][image_id]
        assert chosen["caption"] == texts[int(np.argmax(scores))]
        assert chosen["candidates"][0]["score"] == pytest.approx(max(scores), abs=0.01)
    assert any(every[0.0][name]["caption"] != every[50.0][name]["caption"] for name in every[0.0])


@pytest.mark.usefixtures("no_meteor")
def test_a_metric_that_cannot_run_is_told_and_all_else_is_the_same(
    trained, evaluated, tmp_path, caplog
):
    assert run(trained, tmp_path).code == 0
    assert AGAIN in caplog.text
    metrics, whole = (json.loads((f / "metrics.json").read_text()) for f in (tmp_path, evaluated))
    assert metrics.pop("missing") == {"meteor": "no Java here", "spice": NO_SPICE}
    for name in ("missing", "meteor", "meteor_low", "meteor_high"):
        del whole[name]
    assert metrics == whole
    rows, others = read_lines(tmp_path), read_lines(evaluated)
    for row in others:
        del row["scores"]["meteor"]
    assert rows == others
    for name in ("val", "test"):
        name = f"coco/captions_{name}_results.json"
        assert (tmp_path / name).read_bytes() == (evaluated / name).read_bytes()


@pytest.mark.parametrize(
    ("tokenisation", "missing", "failed"),
    [
        (PTB, {"spice": NO_SPICE}, False),  # a setting says so
        (PTB, {"meteor": "no Java here", "spice": NO_SPICE}, True),
        ("clean (PTB unavailable: no Java here)", {}, True),
        ("none", {"meteor": "no picture has captions"}, False),
    ],
)
def test_what_java_has_failed_at_is_told_from_what_is_left_out(tokenisation, missing, failed):
    assert _has_failed({"tokenisation": tokenisation, "missing": missing}) == failed


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"split": "dev"}, "evaluate.split"),
        ({"beam_width": 0}, "evaluate.beam_width"),
        ({"length_penalty": -1.0}, "evaluate.length_penalty"),
        ({"coco_splits": ["dev"]}, "evaluate.coco_splits"),
        ({"min_words": 9}, "evaluate.min_words"),
        ({"method": "diverse", "beam_width": 3}, "evaluate.diverse"),
        ({"required_words": ["unicorn"]}, "required_words"),
        ({"consensus": -1.0}, "evaluate.consensus"),
        ({"consensus": 5.0}, "train.consensus.pictures"),
        ({"guide": -1.0}, "evaluate.guide"),
        ({"guide": 5.0}, "train.consensus.pictures"),
    ],
)
def test_wrong_settings_are_one_line(trained, one_line, tmp_path, changes, told):
    assert told in one_line(run(trained, tmp_path / "out", **changes))


def test_a_split_without_pictures_is_one_line(trained, make_tiny, one_line, tmp_path):
    tiny = make_tiny(tmp_path / "data", {"train": 6})
    result = run(trained, tmp_path / "out", tiny.data / "ingest")
    assert "split 'test'. Received: none of 6" in one_line(result)


def test_pictures_without_features_are_one_line(trained, make_tiny, one_line, tmp_path):
    tiny = make_tiny(tmp_path / "data", {"train": 30, "val": 6, "test": 8})
    result = run(trained, tmp_path / "out", tiny.data / "ingest")
    assert "Received: none of 2, such as test-06" in one_line(result)


@pytest.mark.usefixtures("no_meteor")
@pytest.mark.parametrize("captioned", [0, 2])
def test_pictures_that_nobody_has_captioned_are_captioned_and_not_scored(
    trained, tmp_path, captioned
):
    ingested = copy_of(trained.data / "ingest", tmp_path)
    rows = read_table(ingested / "captions.parquet", CAPTIONS).to_pylist()
    kept = [row for row in rows if row["image_id"] < f"test-{captioned:02d}"]
    write_rows(ingested / "captions.parquet", kept, CAPTIONS, ["image_id", "caption_id"])
    out = tmp_path / "out"
    assert run(trained, out, ingested).code == 0
    predictions = read_lines(out)
    assert len(predictions) == 6
    assert [bool(row["references"]) for row in predictions] == [n < captioned for n in range(6)]
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["pictures"] == 6
    assert metrics["scored_pictures"] == captioned
    assert ("cider_d" in metrics) == bool(captioned)
    assert set(metrics["missing"]) == ({"meteor", "spice"} if captioned else set(METRICS))
    lengths = (out / "by_length.csv").read_text().splitlines()
    assert lengths[0].startswith("words")
    assert (len(lengths) > 1) == bool(captioned)


def test_an_incomplete_bundle_is_one_line(trained, one_line, tmp_path):
    model = shutil.copytree(trained.data / "train" / "bundle", tmp_path / "bundle")
    (model / "vocabulary.json").unlink()
    assert "vocabulary.json: no such file" in one_line(run(trained, tmp_path / "out", bundle=model))
    assert not (tmp_path / "out").exists()


def test_what_is_missing_of_a_seed_is_in_no_mean_and_told():
    both = {"bleu_1": 0.5, "cider_d": 1.0, "missing": {}, "tokenisation": PTB}
    row = {**both, "meteor": 0.25}
    same = {"mean": {"bleu_1": 0.5, "cider_d": 1.0}, "deviation": {"bleu_1": 0.0, "cider_d": 0.0}}
    assert evaluate._of_seeds([both, both], {}) == {"trained": 2, **same}
    failed = {"meteor": "killed"}
    lacking = {**both, "missing": failed}
    assert evaluate._of_seeds([row, lacking], {})["missing"] == failed
    assert evaluate._of_seeds([row, {**row, "missing": failed}], {})["mean"] == same["mean"]
    assert evaluate._of_seeds([lacking, lacking], failed) == {"trained": 2, **same}
    other = evaluate._of_seeds([both, {**both, "tokenisation": "clean (PTB unavailable: x)"}], {})
    assert other["mean"] == {}
    assert other["missing"]["cider_d"] == (
        "seeds are on different tokens: clean (PTB unavailable: x); ptb"
    )


def test_what_is_missing_of_a_seed_has_failed_and_is_warned_of(caplog):
    seeds = {"trained": 2, "mean": {}, "deviation": {}, "missing": {"meteor": "killed"}}
    metrics = {"missing": {}, "tokenisation": PTB, "seeds": seeds}
    assert evaluate._has_failed(metrics)
    evaluate._tell(metrics)
    assert "evaluate: meteor        missing of a seed: killed" in caplog.messages
