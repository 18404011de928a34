"""Reading predictions.jsonl."""

import json

import pytest

from pipeline.comparison.predictions import Candidate, parse_predictions
from pipeline.errors import InputError

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
