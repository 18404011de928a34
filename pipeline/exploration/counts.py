"""Counts of words, phrases, lengths and sizes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.evaluation.tokens import FloatArray, IntArray
from pipeline.exploration.corpus import Corpus

POINTS_A_DECADE = 12  # of the curve of frequencies by rank: all ranks would be 100,000 points


@dataclass(frozen=True)
class Frequencies:
    """How often the n-grams of one order occur, most frequent first."""

    top: list[tuple[str, int]]  # the most frequent, ties by spelling
    counts: IntArray  # (g,) falling, of every distinct n-gram

    @property
    def total(self) -> int:
        """All occurrences."""
        return int(self.counts.sum())

    @property
    def once(self) -> int:
        """N-grams that occur a single time."""
        return int((self.counts == 1).sum())

    def share_of_top(self, number: int) -> float:
        """Share of all occurrences that the most frequent so many n-grams make up."""
        return float(self.counts[:number].sum() / max(self.total, 1))


def frequencies(corpus: Corpus, orders: int, top: int) -> list[Frequencies]:
    """Count n-grams of orders 1 to `orders`; none reaches over the end of its caption."""
    remaining = np.repeat(corpus.ends, corpus.lengths) - np.arange(len(corpus.codes))  # (t,)
    start = np.arange(len(corpus.codes))
    number = np.zeros(len(start), dtype=np.int64)  # of the empty n-gram
    found = []
    for order in range(1, orders + 1):
        fits = remaining[start] >= order
        start, number = start[fits], number[fits]
        # The number of an n-gram without its last word, and that word: sorted, so that numbers
        # rise with spelling.
        keys = number * len(corpus.words) + corpus.codes[start + order - 1]
        _, first, number, times = np.unique(
            keys, return_index=True, return_inverse=True, return_counts=True
        )
        ranked = np.argsort(-times, kind="stable")
        phrases = [
            (_phrase(corpus, int(start[first[place]]), order), int(times[place]))
            for place in ranked[:top]
        ]
        found.append(Frequencies(phrases, times[ranked]))
    return found


def _phrase(corpus: Corpus, start: int, order: int) -> str:
    return " ".join(corpus.words[code] for code in corpus.codes[start : start + order])


def rank_curve(counts: IntArray) -> tuple[IntArray, IntArray]:
    """Thin out falling counts to ranks that are evenly spaced on a log axis.

    Returns:
        Ranks from 1 to the last, and the counts at these ranks.
    """
    if not len(counts):
        return np.array([], dtype=np.int64), counts
    decades = np.log10(len(counts))
    spaced = np.logspace(0, decades, int(decades * POINTS_A_DECADE) + 2)
    ranks = np.unique(np.clip(np.round(spaced), 1, len(counts)).astype(np.int64))
    return ranks, counts[ranks - 1]


def zipf_exponent(counts: IntArray) -> float | None:
    """Fit count = constant / rank ** exponent on log axes; None for fewer than ten words.

    Zipf's law says 1. The points of `rank_curve` are fitted, as otherwise the thousands of words
    that occur once would outweigh all others.
    """
    if len(counts) < 10:
        return None
    ranks, thinned = rank_curve(counts)
    slope, _ = np.polyfit(np.log10(ranks), np.log10(thinned), 1)
    return -float(slope)


def shares(values: IntArray) -> FloatArray:
    """Share of each value from 0 to the largest; empty for no values."""
    counted = np.bincount(values) if len(values) else np.zeros(0)
    return np.asarray(counted / max(len(values), 1), dtype=np.float64)


def tightest_half(values: IntArray) -> tuple[int, int, float]:
    """Find the narrowest range that holds half of the values or more, and the share it holds.

    Of equally narrow ranges it is the one that holds most, and of these the lowest.
    """
    share = shares(values)
    below = np.concatenate([[0.0], np.cumsum(share)])
    for width in range(1, len(share) + 1):
        held = below[width:] - below[:-width]
        start = int(np.argmax(np.round(held, 9)))
        if held[start] >= 0.5 - 1e-9:
            return start, start + width - 1, float(held[start])
    raise ValueError("expected values. Received: none")


@dataclass(frozen=True)
class Sizes:
    """Pictures by size."""

    sizes: IntArray  # (k, 2) distinct widths and heights in pixels, most frequent first
    counts: IntArray  # (k,) pictures of each

    @property
    def shapes(self) -> FloatArray:
        """Width by height of each size, as (k,)."""
        return np.asarray(self.sizes[:, 0] / self.sizes[:, 1], dtype=np.float64)

    def share(self, chosen: Sequence[bool] | np.ndarray) -> float:
        """Share of the pictures whose size is among the chosen (k,)."""
        return float(self.counts[np.asarray(chosen)].sum() / self.counts.sum())


def count_sizes(widths: IntArray, heights: IntArray) -> Sizes:
    """Count the sizes of pictures; equal counts by width, then height."""
    sizes, counts = np.unique(np.stack([widths, heights], axis=1), axis=0, return_counts=True)
    ranked = np.argsort(-counts, kind="stable")
    return Sizes(sizes[ranked], counts[ranked])


def grid(sizes: Sizes, cells: int) -> Sizes:
    """Put sizes into at most `cells` x `cells` cells, each told by its most frequent size."""
    largest = sizes.sizes.max()
    cell = sizes.sizes * cells // (largest + 1)  # (k, 2)
    _, first, inverse = np.unique(cell, axis=0, return_index=True, return_inverse=True)
    counts = np.bincount(inverse.ravel(), weights=sizes.counts).astype(np.int64)
    ranked = np.argsort(-counts, kind="stable")
    return Sizes(sizes.sizes[first][ranked], counts[ranked])
