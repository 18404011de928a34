"""How many times as fast as `pycocoevalcap`'s our CIDEr-D is.

    python -m benchmarks.cider

5,000 pictures with 5 references of drawn words each: a caption is 8 to 14 words of 5,000, frequent
ones far more often than rare ones, as in English (Zipf). Two ratios: of one score from the start,
and of a score against references that were weighed before, as each epoch and each reward do it.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import typer

from pipeline.evaluation.cider import CiderD

PICTURES = 5000
REFERENCES = 5
WORDS = 5000
ROUNDS = 3  # of ours, of which the fastest counts; pycocoevalcap takes long, and runs once
SEED = 1


def measure() -> dict[str, float]:
    """Time both on the same captions; seconds, and how many times as fast ours is.

    Raises:
        RuntimeError: the scores differ by more than 1e-6.
    """
    captions, references = draw(np.random.default_rng(SEED))
    theirs, their_seconds = _time(lambda: _pycocoevalcap(captions, references))
    ours, our_seconds = _fastest(lambda: CiderD(references).score(captions))
    scorer = CiderD(references)
    _, ready_seconds = _fastest(lambda: scorer.score(captions))
    difference = float(np.abs(ours - theirs).max())
    if difference > 1e-6:
        raise RuntimeError(f"expected equal scores. Received: a difference of {difference:g}")
    return {
        "cider_pycocoevalcap_seconds": their_seconds,
        "cider_seconds": our_seconds,
        "cider_references_ready_seconds": ready_seconds,
        "cider_ratio": their_seconds / our_seconds,
        "cider_references_ready_ratio": their_seconds / ready_seconds,
    }


def draw(rng: np.random.Generator) -> tuple[list[list[str]], list[list[list[str]]]]:
    """Draw a caption for each picture, and its references."""
    chances = 1 / np.arange(1, WORDS + 1)
    sentences = [
        [f"w{word}" for word in rng.choice(WORDS, size=length, p=chances / chances.sum())]
        for length in rng.integers(8, 15, size=PICTURES * (REFERENCES + 1))
    ]
    groups = [
        sentences[start : start + REFERENCES + 1]
        for start in range(0, len(sentences), REFERENCES + 1)
    ]
    return [group[0] for group in groups], [group[1:] for group in groups]


def _pycocoevalcap(captions: list[list[str]], references: list[list[list[str]]]) -> Any:
    from pycocoevalcap.cider.cider import Cider

    said = {number: [" ".join(caption)] for number, caption in enumerate(captions)}
    known = {
        number: [" ".join(words) for words in group] for number, group in enumerate(references)
    }
    _, scores = Cider().compute_score(known, said)
    return scores


def _fastest(function: Callable[[], Any]) -> tuple[Any, float]:
    runs = [_time(function) for _ in range(ROUNDS)]
    return min(runs, key=lambda run: run[1])


def _time(function: Callable[[], Any]) -> tuple[Any, float]:
    start = time.perf_counter()
    result = function()
    return result, time.perf_counter() - start


def main() -> None:
    """Print the figures."""
    for name, figure in measure().items():
        typer.echo(f"{name} {figure:.3f}")


if __name__ == "__main__":
    main()
