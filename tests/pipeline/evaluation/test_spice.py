"""SPICE's models take half a gigabyte: a stand-in answers in place of its program."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.evaluation import spice as module
from pipeline.evaluation.java import MetricUnavailable
from pipeline.evaluation.spice import spice

CAPTIONS = [["a", "dog"], [], ["|||", "a\nb"]]
REFERENCES = [[["two", "dogs"], ["a", "dog"]], [["a"]], [["b"]]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that looks complete; with a space in its name."""
    home = tmp_path / "my models"
    (home / "lib").mkdir(parents=True)
    for name in (
        "spice-1.0.jar",
        "lib/stanford-corenlp-3.6.0.jar",
        "lib/stanford-corenlp-3.6.0-models.jar",
        "lib/nashorn-core-15.6.jar",
        "lib/asm-7.3.1.jar",
    ):
        (home / name).write_bytes(b"")
    return home


def answering(answer: Callable[[list[Any]], Any]) -> Callable[..., str]:
    """Make a program that reads the captions and writes an answer."""

    def run(folder: Path, arguments: Sequence[str], text: str, timeout: float) -> str:
        *_, asked, _, answered, _ = arguments
        content = answer(json.loads(Path(asked).read_text(encoding="utf-8")))
        Path(answered).write_text(json.dumps(content), encoding="utf-8")
        return ""

    return run


def scored(entries: list[Any]) -> list[Any]:
    """Score the number of a caption's words, and answer in another order."""
    return [
        {"image_id": one["image_id"], "scores": {"All": {"f": len(one["test"].split()) / 10}}}
        for one in reversed(entries)
    ]


def test_scores_are_those_of_the_captions(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    received: list[Any] = []

    def answer(entries: list[Any]) -> list[Any]:
        received.extend(entries)
        return scored(entries)

    monkeypatch.setattr(module, "run", answering(answer))
    np.testing.assert_allclose(spice(CAPTIONS, REFERENCES, folder), [0.2, 0, 0.3])
    assert received == [
        {"image_id": 0, "test": "a dog", "refs": ["two dogs", "a dog"]},
        {"image_id": 1, "test": "", "refs": ["a"]},
        {"image_id": 2, "test": "||| a\nb", "refs": ["b"]},
    ]


@pytest.mark.parametrize(
    "answer",
    [
        lambda entries: scored(entries[1:]),
        lambda _: [],
        lambda _: {"error": 1},
        lambda entries: [{"image_id": one["image_id"], "scores": {}} for one in entries],
        lambda _: [{"image_id": n, "scores": {"All": {"f": None}}} for n in range(3)],
    ],
)
def test_an_answer_without_every_score_is_told(
    monkeypatch: pytest.MonkeyPatch, folder: Path, answer: Any
) -> None:
    monkeypatch.setattr(module, "run", answering(answer))
    with pytest.raises(MetricUnavailable, match="no score of each of 3 pictures"):
        spice(CAPTIONS, REFERENCES, folder)


@pytest.mark.parametrize("missing", ["spice-1.0.jar", "models", "nashorn", "asm"])
def test_what_the_folder_lacks_is_named(folder: Path, missing: str) -> None:
    [path] = [path for path in folder.rglob("*.jar") if missing in path.name]
    path.unlink()
    with pytest.raises(MetricUnavailable, match=f"evaluate.spice: .*my models has no .*{missing}"):
        spice(CAPTIONS, REFERENCES, folder)


def test_a_program_that_cannot_run_is_told(folder: Path) -> None:
    with pytest.raises(MetricUnavailable, match=r"my models ended with code 1: .*SpiceScorer"):
        spice(CAPTIONS, REFERENCES, folder)


def test_no_captions_are_told(folder: Path) -> None:
    with pytest.raises(InputError, match="at least one to score"):
        spice([], [], folder)
