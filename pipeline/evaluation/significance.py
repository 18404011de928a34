"""Bootstrap over the pictures: how sure a score is, and whether two sets of captions differ.

Sources: Efron and Tibshirani 1993, "An introduction to the bootstrap" (percentile intervals);
Koehn 2004, "Statistical significance tests for machine translation evaluation" (the same of
scores such as BLEU, and paired, for the difference of two systems on the same test set).

A resample draws as many pictures as there are, with replacement. Its score is worked out again from
the sums of the pictures' sufficient statistics, as a corpus score such as BLEU is not the mean of
its pictures' scores:

    pictures        0        1        2
    statistics      [3, 10]  [1, 8]   [6, 9]     matches, words
    resample        0 twice, 2 once
    sums            [12, 29]                     combine -> 12 / 29

What this covers is which pictures happened to be in the test set, and nothing else. Two trainings
that differ in their seed alone give different captions, and one of the two is truly, if by chance,
better on these pictures: a difference between single trainings may be called significant although
another seed would undo it. To tell methods apart, train each with several seeds as well.

Letters: `n` pictures, `k` statistics of a picture, `r` resamples.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from pipeline.errors import InputError
from pipeline.evaluation.tokens import FloatArray

DRAWN_AT_ONCE = 1 << 20  # pictures of resamples: 16 MiB, however many pictures and rounds


class Statistics(NamedTuple):
    """What a corpus score is made of."""

    values: FloatArray  # (n, k) one row a picture
    combine: Callable[[FloatArray], FloatArray]  # sums (r, k) -> scores (r,)

    def score(self) -> float:
        """Work out the score of all pictures together."""
        return float(self.combine(self.values.sum(axis=0, keepdims=True))[0])


class Difference(NamedTuple):
    """The difference of two scores, b - a."""

    delta: float
    low: float  # of its interval
    high: float
    p: float  # two-sided, see `difference`; in (0, 1]


def mean_of(scores: FloatArray) -> Statistics:
    """Make the statistics of a score that is the mean of the pictures' own scores, (n,)."""
    values = np.stack([scores, np.ones_like(scores)], axis=1)
    return Statistics(values, lambda sums: sums[:, 0] / sums[:, 1])


def interval(
    statistics: Statistics, rounds: int = 1000, seed: int = 1, level: float = 0.95
) -> tuple[float, float]:
    """Give the percentile bootstrap interval of a score.

    Args:
        statistics: of the pictures.
        rounds: resamples.
        seed: of the resamples; equal seeds and numbers of pictures draw the same pictures.
        level: the share of resamples that the interval holds.

    Raises:
        InputError: there are no pictures.
    """
    _check(len(statistics.values), len(statistics.values))
    draws = _resamples(len(statistics.values), rounds, seed)
    scores = [statistics.combine(times @ statistics.values) for times in draws]
    return _percentiles(np.concatenate(scores), level)


def difference(
    a: Statistics, b: Statistics, rounds: int = 1000, seed: int = 1, level: float = 0.95
) -> Difference:
    """Compare two sets of captions of the same pictures by the paired bootstrap.

    Each resample draws the same pictures for both. The p-value is two-sided: twice the share of
    the resamples on whose pictures the difference is 0 or has the sign opposite to most, that is

        p = min(1, 2 * (1 + min(#{delta <= 0}, #{delta >= 0})) / (1 + rounds))

    so that it is never 0, and below 1 - level where the interval leaves out 0, but for the rounding
    of both: a resample more or less on the other side. But it is no less than 2 / 2^n, the chance
    that n pictures are all for the same one though either is as likely: resamples of three pictures
    that agree all agree. It is the chance of
    so large a difference had the pictures been others, and both scores been the same over all
    pictures there could be. It says nothing of the spread between the seeds of a training.

    Args:
        a: of the one set.
        b: of the other; its rows are the same pictures in the same order.
        rounds: resamples.
        seed: of the resamples.
        level: of the interval of the difference.

    Raises:
        InputError: there are no pictures, or not as many of the one as of the other.
    """
    _check(len(a.values), len(b.values))
    draws = _resamples(len(a.values), rounds, seed)
    deltas = np.concatenate(
        [b.combine(times @ b.values) - a.combine(times @ a.values) for times in draws]
    )
    low, high = _percentiles(deltas, level)
    smaller_side = min(int((deltas <= 0).sum()), int((deltas >= 0).sum()))
    p = min(1.0, 2 * (1 + smaller_side) / (1 + len(deltas)))
    p = max(p, 2.0 ** (1 - len(a.values)))
    return Difference(b.score() - a.score(), low, high, p)


def _check(first: int, second: int) -> None:
    if first != second:
        raise InputError(
            f"expected statistics of the same pictures. Received: {first} and {second} pictures"
        )
    if not first:
        raise InputError("expected statistics of at least one picture. Received: none")


def _resamples(pictures: int, rounds: int, seed: int) -> Iterator[FloatArray]:
    """Yield how often each picture is drawn, as (r, n), for some resamples at a time."""
    generator = np.random.default_rng(seed)
    at_once = max(1, DRAWN_AT_ONCE // pictures)
    for first in range(0, rounds, at_once):
        number = min(at_once, rounds - first)
        drawn = generator.integers(pictures, size=(number, pictures))
        drawn += np.arange(number)[:, None] * pictures  # each resample counts in a row of its own
        times = np.bincount(drawn.ravel(), minlength=number * pictures)
        yield times.reshape(number, pictures).astype(np.float64)


def _percentiles(scores: FloatArray, level: float) -> tuple[float, float]:
    low, high = np.quantile(scores, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
