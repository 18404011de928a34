"""BLEU-1 to BLEU-4 of captions, equal to those of `pycocoevalcap.bleu`.

Source: Papineni et al. 2002, "BLEU: a method for automatic evaluation of machine translation",
section 2: clipped n-gram precisions, their geometric mean, and a penalty for brevity.
As in `pycocoevalcap`, the reference length of a caption is that of the reference closest to it in
length (of two equally close ones, the shorter), and two tiny constants stand against division by
zero, so that a caption without a common n-gram scores about 0 instead of failing.

Of one caption, BLEU-4 is 0 if none of its 4-grams is right, however good it is otherwise: most
captions score 0. `smoothed_bleu_4` is what to look at for one caption: one is added to the counts
of the orders above 1 (Lin and Och 2004, "ORANGE: a method for evaluating automatic evaluation
metrics for machine translation", section 3; it is method 2 of Chen and Cherry 2014).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from pipeline.evaluation.tokens import (
    Captions,
    FloatArray,
    IntArray,
    References,
    Tokens,
    check_parallel,
)

MAX_ORDER = 4
Numbers: TypeAlias = IntArray | FloatArray
# pycocoevalcap's constants: added to numerators, and to denominators.
_TINY = 1e-15
_SMALL = 1e-9


@dataclass(frozen=True)
class BleuCounts:
    """All that BLEU needs to know of n pictures; sums of rows are the counts of a corpus."""

    correct: IntArray  # (n, 4) n-grams of the caption that a reference has, clipped, by order
    guessed: IntArray  # (n, 4) n-grams of the caption, by order
    caption_words: IntArray  # (n,)
    reference_words: IntArray  # (n,) length of the closest reference


@dataclass(frozen=True)
class Bleu:
    """BLEU-1 to BLEU-4, in [0, 1]. The corpus score is not the mean of the pictures' scores."""

    corpus: FloatArray  # (4,)
    pictures: FloatArray  # (n, 4)


def bleu(captions: Captions, references: References) -> Bleu:
    """Score one caption a picture against the picture's references.

    Empty captions and empty references are allowed; an empty caption scores 0.

    Raises:
        InputError: no captions, not one a picture, or a picture without references.
    """
    counts = count(captions, references)
    return Bleu(corpus_bleu(counts), picture_bleu(counts))


def count(captions: Captions, references: References) -> BleuCounts:
    """Count, for each picture, what BLEU is computed from.

    Raises:
        InputError: as `bleu`.
    """
    check_parallel(captions, references)
    rows = [_count_one(*pair) for pair in zip(captions, references, strict=True)]
    words = np.array([len(caption) for caption in captions])  # (n,)
    orders = np.arange(MAX_ORDER)  # (4,)
    return BleuCounts(
        correct=np.array([correct for correct, _ in rows]),
        guessed=np.maximum(words[:, None] - orders, 0),
        caption_words=words,
        reference_words=np.array([length for _, length in rows]),
    )


def corpus_bleu(counts: BleuCounts) -> FloatArray:
    """Score all pictures together, as (4,)."""
    return _score(
        counts.correct.sum(axis=0),
        counts.guessed.sum(axis=0),
        counts.caption_words.sum(),
        counts.reference_words.sum(),
    )


def picture_bleu(counts: BleuCounts) -> FloatArray:
    """Score each picture by itself, as (n, 4)."""
    return _score(counts.correct, counts.guessed, counts.caption_words, counts.reference_words)


def smoothed_bleu_4(counts: BleuCounts) -> FloatArray:
    """Score each picture by itself, smoothed as the module's head says, as (n,).

    A caption without a right word scores 0.
    """
    above_one = np.array([0, 1, 1, 1])
    guessed = np.maximum(counts.guessed + above_one, 1)  # of an empty caption, 0 of 1 is right
    precisions = (counts.correct + above_one) / guessed  # (n, 4)
    means = precisions.prod(axis=1) ** (1 / MAX_ORDER)
    scores: FloatArray = means * _brevity(counts.caption_words, counts.reference_words)
    return scores


def statistics(counts: BleuCounts) -> FloatArray:
    """Give each picture's counts as a row, (n, 10), whose sums `combine` scores."""
    parts = (counts.correct, counts.guessed, counts.caption_words, counts.reference_words)
    return np.column_stack(parts).astype(np.float64)


def combine(order: int, sums: FloatArray) -> FloatArray:
    """Score sets of pictures from the sums of their statistics: (r, 10) -> (r,).

    Args:
        order: n of BLEU-n, from 1.
        sums: of the rows of `statistics`.
    """
    scores = _score(sums[:, 0:4], sums[:, 4:8], sums[:, 8], sums[:, 9])  # (r, 4)
    of_order: FloatArray = scores[:, order - 1]
    return of_order


def _score(
    correct: Numbers, guessed: Numbers, caption_words: Numbers, reference_words: Numbers
) -> FloatArray:
    """Turn counts (..., 4), (..., 4), (...,) and (...,) into scores (..., 4)."""
    precisions = (correct + _TINY) / (guessed + _SMALL)  # (..., 4)
    means = np.cumprod(precisions, axis=-1) ** (1 / np.arange(1, MAX_ORDER + 1))
    scores: FloatArray = means * _brevity(caption_words, reference_words)[..., None]
    return scores


def _brevity(caption_words: Numbers, reference_words: Numbers) -> FloatArray:
    """Penalty on captions shorter than their references, in [0, 1]."""
    ratio = (caption_words + _TINY) / (reference_words + _SMALL)  # (...,)
    penalty: FloatArray = np.exp(np.minimum(0, 1 - 1 / ratio))
    return penalty


def _count_one(caption: Tokens, references: Sequence[Tokens]) -> tuple[list[int], int]:
    """Count a caption's correct n-grams by order; tell the length of the closest reference."""
    own = _ngrams(caption)
    allowed: Counter[tuple[str, ...]] = Counter()
    for reference in references:
        allowed |= _ngrams(reference)  # the largest count in any one reference
    correct = [0] * MAX_ORDER
    for ngram, times in (own & allowed).items():
        correct[len(ngram) - 1] += times
    lengths = (len(reference) for reference in references)
    return correct, min(lengths, key=lambda length: (abs(length - len(caption)), length))


def _ngrams(tokens: Tokens) -> Counter[tuple[str, ...]]:
    return Counter(
        tuple(tokens[start : start + order])
        for order in range(1, MAX_ORDER + 1)
        for start in range(len(tokens) - order + 1)
    )
