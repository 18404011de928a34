"""Read predictions.jsonl, which `evaluate` writes: one picture a line."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import InputError


@dataclass(frozen=True)
class Candidate:
    """One of the n best captions of a picture."""

    caption: str
    log_prob: float | None  # nats, of all words and the end mark; None where it was not written


@dataclass(frozen=True)
class Prediction:
    """A picture's caption, and what it is held against."""

    image_id: str
    path: str  # relative to the data set's folder
    caption: str
    candidates: tuple[Candidate, ...]  # best first; the first is `caption`
    references: tuple[str, ...]  # as found
    scores: Mapping[str, float]  # of the picture, by metric; none without references


def read_predictions(path: Path) -> list[Prediction]:
    """Read a predictions.jsonl.

    Raises:
        InputError: there is no such file, it is no text, or as for `parse_predictions`.
    """
    try:
        return parse_predictions(path.read_text(encoding="utf-8"), str(path))
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file. Run `dvc repro evaluate`") from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: expected text (UTF-8). Received: {error}. Run `evaluate` again"
        ) from error


def spread(predictions: Sequence[Prediction], count: int) -> list[Prediction]:
    """Choose so many, or all, at even distances over the whole, the first among them."""
    count = min(count, len(predictions))
    return [predictions[place * len(predictions) // count] for place in range(count)]


def lines_of(text: str) -> list[str]:
    """Take the lines of a predictions.jsonl apart.

    They end with a line feed alone: `str.splitlines` would cut at characters, such as U+2028, that
    are part of a caption.
    """
    return text.removesuffix("\n").split("\n") if text else []


def parse_predictions(text: str, where: str) -> list[Prediction]:
    """Parse the lines of a predictions.jsonl.

    Args:
        text: the file's content.
        where: it came from, for messages.

    Raises:
        InputError: no lines, a line that is no prediction, or a picture that comes twice.
    """
    predictions: dict[str, Prediction] = {}
    for number, line in enumerate(lines_of(text), start=1):
        one = _prediction(line, f"{where}:{number}")
        if one.image_id in predictions:
            raise InputError(
                f"{where}:{number}: expected one line a picture. Received: a second one of "
                f"{one.image_id}. Run `evaluate` again"
            )
        predictions[one.image_id] = one
    if not predictions:
        raise InputError(f"{where}: expected one line a picture. Received: no lines")
    return list(predictions.values())


def _prediction(line: str, where: str) -> Prediction:
    try:
        row = json.loads(line)
        return Prediction(
            image_id=_text(row, "image_id"),
            path=_text(row, "path"),
            caption=_text(row, "caption"),
            candidates=tuple(
                Candidate(_text(one, "caption"), one.get("log_prob"))
                for one in row.get("candidates", [])
            ),
            references=tuple(str(reference) for reference in row["references"]),
            scores={name: value for name, value in row.get("scores", {}).items() if _number(value)},
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{where}: expected a line of predictions.jsonl: JSON with image_id, path, caption and "
            f"references. Received: {line[:60]!r}. Run `evaluate` again"
        ) from error


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row[name]
    if not isinstance(value, str):
        raise TypeError(f"{name} is no text")
    return value


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
