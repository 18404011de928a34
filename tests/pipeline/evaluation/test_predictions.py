"""Reading predictions.jsonl."""

import json

import pytest

from pipeline.errors import InputError
from pipeline.evaluation.predictions import (
    Candidate,
    parse_predictions,
    read_predictions,
    spread,
)

ROW = {
    "image_id": "p1",
    "path": "a/p1.jpg",
    "caption": "a dog",
    "candidates": [{"caption": "a dog", "log_prob": -2.5, "score": -1.0}, {"caption": "dogs"}],
    "references": ["A dog .", "Dogs"],
    "scores": {"cider_d": 1.5, "rouge_l": 1, "note": "none", "flag": True},
}


def test_a_line_is_a_picture():
    [one] = parse_predictions(json.dumps(ROW) + "\n", "here")
    assert one.image_id == "p1"
    assert one.candidates == (Candidate("a dog", -2.5), Candidate("dogs", None))
    assert one.references == ("A dog .", "Dogs")
    assert one.scores == {"cider_d": 1.5, "rouge_l": 1}


def test_a_line_ends_with_a_line_feed_alone():
    # As `evaluate` writes what people wrote: these are ends of lines for str.splitlines.
    odd = [f"A dog{mark}runs" for mark in "\u2028\u2029\x85"]
    text = json.dumps({**ROW, "references": odd}, ensure_ascii=False) + "\n"
    [one] = parse_predictions(text, "here")
    assert one.references == tuple(odd)


def test_what_is_not_needed_may_be_missing():
    row = {name: ROW[name] for name in ("image_id", "path", "caption", "references")}
    [one] = parse_predictions(json.dumps(row), "here")
    assert one.candidates == ()
    assert one.scores == {}


@pytest.mark.parametrize(
    "line",
    ["", "no JSON", "[]", '{"image_id": "p1"}', json.dumps({**ROW, "caption": None})],
)
def test_another_line_is_told_with_its_number(line):
    text = f"{json.dumps(ROW)}\n{line}\n"
    with pytest.raises(InputError, match=r"here:2: expected a line of predictions\.jsonl"):
        parse_predictions(text, "here")


def test_no_lines_and_a_picture_twice_are_refused():
    with pytest.raises(InputError, match="Received: no lines"):
        parse_predictions("", "here")
    with pytest.raises(InputError, match=r"here:2: expected one line a picture.*p1"):
        parse_predictions(f"{json.dumps(ROW)}\n" * 2, "here")


def test_a_file_that_is_no_text_or_is_gone_is_told(tmp_path):
    path = tmp_path / "predictions.jsonl"
    with pytest.raises(InputError, match=r"predictions\.jsonl: no such file\. Run `dvc repro"):
        read_predictions(path)
    path.write_bytes(json.dumps(ROW).encode("utf-16"))
    with pytest.raises(InputError, match=r"predictions\.jsonl: expected text"):
        read_predictions(path)
    path.write_text(json.dumps(ROW))
    assert [one.image_id for one in read_predictions(path)] == ["p1"]


@pytest.mark.parametrize(
    ("count", "places"), [(1, [0]), (3, [0, 3, 6]), (7, [0, 1, 2, 4, 5, 7, 8]), (20, range(10))]
)
def test_some_are_spread_over_all(count, places):
    rows = [{**ROW, "image_id": str(number)} for number in range(10)]
    found = parse_predictions("\n".join(map(json.dumps, rows)), "here")
    assert [int(one.image_id) for one in spread(found, count)] == list(places)
