"""CIDEr-D of people's own captions, each against the other captions of its picture.

CIDEr-D is a mean over references, so one run of the scorer tells it for all captions at once. With
r captions of a picture, of which a caption is one itself,

    others = (r * all - itself) / (r - 1)

where `all` is the caption's score against all r. Against itself a caption scores 10, less 2.5 for
each order of n-grams in which it has none that weighs anything: it is too short, or all of them
are in every picture.
"""

import numpy as np

from pipeline.evaluation.cider import MAX_ORDER, CiderD
from pipeline.evaluation.tokens import FloatArray, References, Tokens

BEST = 10.0  # of CIDEr-D


def leave_one_out(references: References) -> list[FloatArray]:
    """CIDEr-D of each caption against the others of its picture; NaN for one without others."""
    counts = [len(group) for group in references]
    places = np.repeat(np.arange(len(counts)), counts)
    captions = [caption for group in references for caption in group]
    against_all = CiderD(references).score(captions, places.tolist())
    everywhere = _in_every_picture(references)
    itself = np.array([_against_itself(caption, everywhere) for caption in captions])
    size = np.repeat(counts, counts)
    others = np.full(len(captions), np.nan)
    np.divide(size * against_all - itself, size - 1, out=others, where=size > 1)
    # Where nothing is shared the subtraction can leave a hair less than nothing.
    return np.split(np.maximum(others, 0.0), np.cumsum(counts)[:-1])


def _against_itself(caption: Tokens, everywhere: set[tuple[str, ...]]) -> float:
    weighing = sum(not _ngrams(caption, order) <= everywhere for order in range(1, MAX_ORDER + 1))
    return BEST * weighing / MAX_ORDER


def _in_every_picture(references: References) -> set[tuple[str, ...]]:
    """N-grams that are in a caption of every picture: soon none, in a large data set."""
    left: set[tuple[str, ...]] | None = None
    for group in references:
        own = {
            ngram
            for caption in group
            for order in range(1, MAX_ORDER + 1)
            for ngram in _ngrams(caption, order)
        }
        left = own if left is None else left & own
        if not left:
            break
    return left or set()


def _ngrams(caption: Tokens, order: int) -> set[tuple[str, ...]]:
    return {tuple(caption[n : n + order]) for n in range(len(caption) - order + 1)}
