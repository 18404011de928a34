"""What is printed at the end of a run."""

import pytest
import yaml

from pipeline.evaluation.per_picture import NO_SPICE
from pipeline.files import write_json, write_json_lines
from tests.copies import ROOT

METRICS = {"cider_d": 0.71, "words_used": 9, "pictures": 2, "tokenisation": "ptb"}


@pytest.fixture
def told(command, tmp_path):
    """What is printed of a run of two pictures with these metrics and settings of `evaluate`."""
    rows = [
        {"image_id": name, "path": f"{name}.png", "caption": caption, "candidates": [],
         "references": ["A dog runs."], "scores": {}}
        for name, caption in (("a", "a dog"), ("b", ""))
    ]  # fmt: skip
    write_json_lines(tmp_path / "evaluate" / "predictions.jsonl", rows)

    def told(settings=(), **metrics):
        write_json(tmp_path / "evaluate" / "metrics.json", {**METRICS, **metrics})
        known = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
        known["evaluate"] |= dict(settings)
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(known))
        done = command("summary", tmp_path / "evaluate", "--params", tmp_path / "params.yaml")
        assert done.code == 0, done.err
        return done.out

    return told


def test_scores_and_captions_are_shown(told):
    text = told()
    assert ["CIDEr-D", "0.710"] in [line.split() for line in text.splitlines()]
    assert "says      a dog\n    a person  A dog runs." in text
    assert "says      (no words)" in text
    assert "`caption PICTURE`" in text


def test_what_is_missing_is_told_but_not_what_nobody_asked_for(told):
    text = told(missing={"meteor": "no Java", "spice": NO_SPICE}, tokenisation="clean (no Java)")
    assert "missing: no Java" in text
    assert "SPICE" not in text
    assert "other tokens than the official ones" in text


def test_another_search_than_the_usual_is_named_for_new_pictures(told, tmp_path):
    assert f"`caption --params {tmp_path / 'params.yaml'} PICTURE`" in told({"guide": 3.0})


def test_a_better_search_that_was_found_is_told(told, tmp_path):
    best = {"beam_width": 5, "length_penalty": 1.0, "guide": 0.0, "consensus": 0.0}
    write_json(tmp_path / "sweep" / "best.json", {**best, "cider_d": 0.6, "metric": "cider_d"})
    (tmp_path / "sweep" / "sweep.csv").write_text(
        "beam_width,length_penalty,guide,consensus,cider_d\n3,0.5,0,0,0.5\n5,1.0,0,0,0.6\n"
    )
    text = told()
    assert "a CIDEr-D of 0.600 instead of 0.500 with beam_width: 5, length_penalty: 1." in text


def test_what_is_not_there_or_broken_is_one_line(command, told, one_line, tmp_path):
    assert "make repro" in one_line(command("summary", tmp_path))
    told()
    with (tmp_path / "evaluate" / "predictions.jsonl").open("a") as stream:
        stream.write('{"image_id": "th\n')
    message = one_line(command("summary", tmp_path / "evaluate"))
    assert "predictions.jsonl:3: expected a line of" in message
