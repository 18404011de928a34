"""Captions as text, JSON Lines and CSV."""

import csv
import io
import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.captioner.captioner import Caption
from pipeline.captioner.output import WRITERS, printable
from pipeline.captioner.pictures import Captioned
from pipeline.images.decode import PictureError

CAPTIONS = [
    Caption(("a", "dog"), -0.5, math.log(0.25)),
    Caption(("a", '"dog",'), -0.75, math.log(0.125)),
]
BROKEN = Captioned(Path("a.jpg"), [], PictureError("empty", "a.jpg has zero bytes"))
# Whatever a system allows in a path, bytes that are not UTF-8 included.
PATHS = st.binary(min_size=1).map(
    lambda name: str(Path(name.replace(b"\0", b"-").decode("utf-8", "surrogateescape")))
)


def test_the_forms_as_they_are_documented():
    picture = Captioned(Path("in/a.jpg"), CAPTIONS, None)
    assert WRITERS["text"](picture, True) == (
        'in/a.jpg\t0.2500\ta dog\nin/a.jpg\t0.1250\ta "dog",\n'
    )
    assert WRITERS["text"](picture._replace(captions=CAPTIONS[:1]), False) == "in/a.jpg\ta dog\n"
    assert WRITERS["csv"](picture, True) == (
        'in/a.jpg,1,a dog,0.25\nin/a.jpg,2,"a ""dog"",",0.125\n'
    )
    assert WRITERS["jsonl"](picture._replace(captions=CAPTIONS[:1]), False) == (
        '{"captions": [{"caption": "a dog", "log_prob": -1.3862943611198906, '
        '"probability": 0.25, "score": -0.5}], "path": "in/a.jpg"}\n'
    )


def test_a_broken_picture_is_a_line_of_json_alone():
    assert (WRITERS["text"](BROKEN, False), WRITERS["csv"](BROKEN, False)) == ("", "")
    assert json.loads(WRITERS["jsonl"](BROKEN, False)) == {
        "path": "a.jpg",
        "error": "a.jpg has zero bytes",
        "reason": "empty",
    }


@given(path=PATHS)
def test_any_path_comes_back_from_every_form(path):
    picture = Captioned(Path(path), CAPTIONS, None)
    lines = WRITERS["text"](picture, True).split("\n")
    assert len(lines) == 3
    assert lines[0].split("\t")[1:] == ["0.2500", "a dog"]
    line = WRITERS["jsonl"](picture, True)
    assert line.count("\n") == 1
    line.encode()  # is UTF-8, whatever the path is
    assert json.loads(line)["path"] == path
    stream = io.StringIO(WRITERS["csv"](picture, True), newline="")
    assert [row[0] for row in csv.reader(stream)] == [path, path]


@pytest.mark.parametrize("path", ["a b.jpg", "\u00e9\u4e2d.png", 'say "x".png', "a\\n.png"])
def test_a_usual_path_is_written_as_it_is(path):
    assert printable(path) == path


@pytest.mark.parametrize("path", ["a\nb", "a\tb", "\x1b[31m", "\udcff", "\u202egnp.exe"])
def test_others_are_quoted_on_one_line(path):
    quoted = printable(path)
    assert quoted.isprintable()
    assert json.loads(quoted) == path
