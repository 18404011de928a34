"""Score the captions of two runs on the pictures that both have, against the same references.

Both are scored here and now, by one scorer: a past run's own figures may come from another version
of it, or from other references.
"""

from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from pipeline.errors import InputError
from pipeline.evaluation.per_picture import Measured, measure
from pipeline.evaluation.predictions import Prediction
from pipeline.evaluation.significance import Difference, difference, mean_of
from pipeline.evaluation.tokenise import tokenise
from pipeline.evaluation.tokens import FloatArray, Tokens

# Not worked out here: facts are known of *scenes* alone, SPICE takes its models and minutes.
WRITTEN = ("fact_accuracy", "spice")


@dataclass(frozen=True)
class Pairs:
    """The pictures that two runs share, in the order of their ids."""

    a: list[Prediction]
    b: list[Prediction]
    only_a: int  # pictures that the other run lacks
    only_b: int
    unscored: int  # pictures of both without references
    other_references: int  # pictures whose references differ: those of `b` count
    only_id: int = 0  # ids that both have, of another picture each


@dataclass(frozen=True)
class Score:
    """A score of both runs."""

    metric: str
    a: float
    b: float
    difference: Difference


@dataclass(frozen=True)
class Scored:
    """What the captions of two runs score."""

    scores: list[Score]
    cider_a: FloatArray  # (n,) of each picture
    cider_b: FloatArray
    tokenisation: str  # "ptb", or "clean (PTB unavailable: <reason>)"


def pair(
    a: Sequence[Prediction], b: Sequence[Prediction], other_bytes: Collection[str] = ()
) -> Pairs:
    """Match the predictions of two runs by picture.

    Args:
        a: of the earlier run.
        b: of the later one.
        other_bytes: ids whose files differ. One that has other references as well is another
            picture; with the same ones, it is the same picture encoded anew.

    Raises:
        InputError: they have no picture with references in common.
    """
    first = {one.image_id: one for one in a}
    second = {one.image_id: one for one in b}
    both = sorted(first.keys() & second.keys())
    other = {
        image_id
        for image_id in both
        if image_id in other_bytes and not _same_references(first[image_id], second[image_id])
    }
    common = [image_id for image_id in both if image_id not in other]
    scored = [image_id for image_id in common if second[image_id].references]
    if not scored:
        example = next(iter(first)), next(iter(second))
        raise InputError(
            "expected two runs that captioned the same pictures, with references. Received: "
            f"{len(first)} and {len(second)} pictures, {len(common)} of them common, such as "
            f"{example[0]} and {example[1]}"
            + (f" ({len(other)} have an id in common, but not the picture)" if other else "")
            + ". Compare runs of one data set and one split"
        )
    return Pairs(
        a=[first[image_id] for image_id in scored],
        b=[second[image_id] for image_id in scored],
        only_a=len(first) - len(common),
        only_b=len(second) - len(common),
        unscored=len(common) - len(scored),
        other_references=sum(
            not _same_references(first[image_id], second[image_id]) for image_id in scored
        ),
        only_id=len(other),
    )


def _same_references(a: Prediction, b: Prediction) -> bool:
    return sorted(a.references) == sorted(b.references)


def score(pairs: Pairs, rounds: int, seed: int) -> Scored:
    """Score both runs, and each difference by the paired bootstrap.

    Args:
        pairs: the pictures.
        rounds: resamples of the bootstrap.
        seed: of the resamples.
    """
    captions = [[one.caption for one in side] for side in (pairs.a, pairs.b)]
    groups = [list(one.references) for one in pairs.b]
    (a, b, *references), tokenisation = tokenise([*captions, *groups])
    first, second = _measure_both(a, b, references)
    return Scored(
        scores=[
            Score(
                metric,
                first.corpus[metric],
                second.corpus[metric],
                difference(first.statistics[metric], second.statistics[metric], rounds, seed),
            )
            for metric in first.statistics
            if metric in second.statistics
        ]
        + _written(pairs, rounds, seed),
        cider_a=first.pictures["cider_d"],
        cider_b=second.pictures["cider_d"],
        tokenisation=tokenisation,
    )


def _measure_both(
    a: Sequence[Tokens], b: Sequence[Tokens], references: Sequence[Sequence[Tokens]]
) -> tuple[Measured, Measured]:
    """Measure two runs side by side, as most of the time is METEOR's, which is a program."""
    if a == b:
        same = measure(a, references, None)
        return same, same
    with ThreadPoolExecutor(2) as threads:
        first, second = (threads.submit(measure, side, references, None) for side in (a, b))
        return first.result(), second.result()


def _written(pairs: Pairs, rounds: int, seed: int) -> list[Score]:
    """Compare what is a mean of the pictures' scores and both runs wrote down for every picture."""
    found = []
    for metric in WRITTEN:
        columns = [
            np.array([one.scores.get(metric, np.nan) for one in side], dtype=np.float64)
            for side in (pairs.a, pairs.b)
        ]
        if not any(np.isnan(column).any() for column in columns):
            a, b = (mean_of(column) for column in columns)
            found.append(Score(metric, a.score(), b.score(), difference(a, b, rounds, seed)))
    return found
