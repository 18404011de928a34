"""Scores of all n best captions of the search, and the best that choosing among them could reach.

The oracle knows the references: it takes the best of the n captions of each picture. Where it
stands far above the captioner, the search finds good captions and ranks others first, so that
re-ranking would pay; where it is close, a better model is needed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.evaluation import bleu
from pipeline.evaluation.cider import CiderD
from pipeline.evaluation.tokens import Captions, References, check_parallel


@dataclass(frozen=True)
class Oracle:
    """What the n best captions of pictures score."""

    cider_d: float  # mean of each picture's best CIDEr-D
    bleu_4: float  # of the corpus made of each picture's best caption by smoothed BLEU-4
    candidates: list[list[float]]  # CIDEr-D of each caption of each picture, as they came


def oracle(candidates: Sequence[Captions], references: References) -> Oracle:
    """Score the n best captions of each picture; n may differ.

    Args:
        candidates: tokens of each picture's captions; at least one.
        references: tokens, of the same pictures.

    Raises:
        InputError: not as many pictures as references, or a picture without references.
    """
    check_parallel([group[0] for group in candidates], references)
    flat = [caption for group in candidates for caption in group]
    picture = [row for row, group in enumerate(candidates) for _ in group]
    cuts = np.cumsum([len(group) for group in candidates])[:-1]
    cider = np.split(CiderD(references).score(flat, picture), cuts)
    counts = bleu.count(flat, [references[row] for row in picture])
    smoothed = np.split(bleu.smoothed_bleu_4(counts), cuts)
    chosen = [
        group[int(scores.argmax())] for group, scores in zip(candidates, smoothed, strict=True)
    ]
    return Oracle(
        cider_d=float(np.mean([scores.max() for scores in cider])),
        bleu_4=float(bleu.corpus_bleu(bleu.count(chosen, references))[3]),
        candidates=[scores.tolist() for scores in cider],
    )
