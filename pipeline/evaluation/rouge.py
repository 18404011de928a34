"""ROUGE-L of captions, equal to that of `pycocoevalcap.rouge`.

Source: Lin 2004, "ROUGE: a package for automatic evaluation of summaries", section 3: precision
and recall of the longest common subsequence, joined by a weighted harmonic mean that favours
recall. As in `pycocoevalcap`, beta is 1.2, and the best precision and the best recall of a
picture may come from different references.
"""

from collections.abc import Sequence

import numpy as np

from pipeline.evaluation.tokens import Captions, FloatArray, References, Tokens, check_parallel

BETA = 1.2


def rouge_l(captions: Captions, references: References) -> FloatArray:
    """Score one caption a picture against its references, as (n,) in [0, 1].

    The corpus score is the mean. A caption without words counts as one empty word, which is in no
    reference but an empty one: it scores 0, or 1 where a reference is empty as well.

    Raises:
        InputError: no captions, not one a picture, or a picture without references.
    """
    check_parallel(captions, references)
    return np.array([_score(*pair) for pair in zip(captions, references, strict=True)])


def _score(caption: Tokens, references: Sequence[Tokens]) -> float:
    words = caption or [""]
    others = [reference or [""] for reference in references]
    common = [common_words(words, other) for other in others]
    precision = max(common) / len(words)
    recall = max(length / len(other) for length, other in zip(common, others, strict=True))
    if not precision or not recall:
        return 0.0
    return (1 + BETA**2) * precision * recall / (recall + BETA**2 * precision)


def common_words(first: Tokens, second: Tokens) -> int:
    """Length of the longest common subsequence, in words.

    a dog runs home  |
    the dog ran home |  2: dog home
    """
    # best[j]: the answer for the words of `first` seen so far and the first j words of `second`
    best = [0] * (len(second) + 1)
    for word in first:
        diagonal = 0  # best[j] of the row before
        for j, other in enumerate(second, start=1):
            above = best[j]
            best[j] = diagonal + 1 if word == other else max(above, best[j - 1])
            diagonal = above
    return best[-1]
