"""Captions of pictures as text, JSON Lines or CSV.

text    path TAB caption                   of several captions a picture, with the probability
        path TAB probability TAB caption   between. A path that would break the line, or the
                                           terminal, is written as a JSON string
jsonl   {"captions": [{"caption", "log_prob", "probability", "score"}], "path"}; of a picture that
        cannot be read: {"error", "path", "reason"}
csv     path,rank,caption,probability      this line first; quoted as in RFC 4180, lines end in LF

`probability` is the chance of exactly this caption under the model. It is small where much else
could be said as well; compare captions of one picture by it, not pictures.
Paths are those given, byte for byte where a file is named itself. Bytes of a path that are not
UTF-8 are lone surrogates, as Python reads them: in JSON they are escaped as such, and in CSV they
become the same bytes again where the stream has `surrogateescape` for errors.
"""

import csv
import io
import json
import math
from collections.abc import Callable
from enum import StrEnum

from pipeline.captioner.pictures import Captioned


class Form(StrEnum):
    """How captions are written."""

    text = "text"
    jsonl = "jsonl"
    csv = "csv"


HEADS = {Form.text: "", Form.jsonl: "", Form.csv: "path,rank,caption,probability\n"}


def text(picture: Captioned, several: bool) -> str:
    """Write a picture's captions for people."""
    path = printable(picture.name)
    lines = []
    for caption in picture.captions:
        chance = [f"{math.exp(caption.log_prob):.4f}"] if several else []
        lines.append("\t".join([path, *chance, caption.text]) + "\n")
    return "".join(lines)


def json_line(picture: Captioned, several: bool) -> str:
    """Write what became of a picture as one JSON object."""
    del several  # it is a list always
    content: dict[str, object] = {"path": picture.name}
    if picture.error:
        content |= {"error": picture.error.detail, "reason": picture.error.reason}
    else:
        content["captions"] = [
            {
                "caption": caption.text,
                "probability": math.exp(caption.log_prob),
                "log_prob": caption.log_prob,
                "score": caption.score,
            }
            for caption in picture.captions
        ]
    return _json(content) + "\n"


def csv_rows(picture: Captioned, several: bool) -> str:
    """Write a picture's captions as rows, the best one first."""
    del several
    rows = []
    for rank, caption in enumerate(picture.captions, 1):
        stream = io.StringIO()
        chance = f"{math.exp(caption.log_prob):.6g}"
        # It quotes a carriage return only where this is part of its line end.
        csv.writer(stream, lineterminator="\r\n").writerow(
            [picture.name, rank, caption.text, chance]
        )
        rows.append(stream.getvalue().removesuffix("\r\n") + "\n")
    return "".join(rows)


WRITERS: dict[Form, Callable[[Captioned, bool], str]] = {
    Form.text: text,
    Form.jsonl: json_line,
    Form.csv: csv_rows,
}


def printable(path: str) -> str:
    """Spell a path so that it stays on its line and gives a terminal no orders."""
    return path if path.isprintable() else json.dumps(path)


def _json(content: object) -> str:
    try:
        line = json.dumps(content, sort_keys=True, ensure_ascii=False)
        line.encode()
    except UnicodeEncodeError:  # a path that is not UTF-8
        line = json.dumps(content, sort_keys=True)
    return line
