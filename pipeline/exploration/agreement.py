"""How well people agree: each caption of a picture scored against the picture's other captions.

CIDEr-D   of every caption, with document frequencies from all captions of the pictures, as the
          evaluation of a captioner takes them from all references. The mean is the mark to hold a
          captioner against.
BLEU-4, ROUGE-L   of one caption a picture, drawn by its hash. Both favour many references, and
          here there is one fewer than a captioner is given: they are a little low.

Words     of all captions: how likely another caption of the picture has the word as well, above
          chance (Cohen's kappa): things that are plain to see stand high, turns of phrase low.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.evaluation.bleu import bleu
from pipeline.evaluation.leave_one_out import leave_one_out
from pipeline.evaluation.rouge import rouge_l
from pipeline.evaluation.tokens import Captions, FloatArray, Tokens
from pipeline.exploration.corpus import Corpus


@dataclass(frozen=True)
class Agreement:
    """Of pictures with two captions or more. CIDEr-D from 0 to 10, the others in [0, 1]."""

    pictures: list[int]  # (p,) rows of images.parquet
    captions: list[list[int]]  # (p,) rows of the captions of each
    caption_scores: list[FloatArray]  # (p,) CIDEr-D of each of these captions
    picture_scores: FloatArray  # (p,) their mean
    bleu_4: float
    rouge_l: float
    sampled_from: int  # pictures with captions that there are

    @property
    def cider_d(self) -> float:
        """Mean of the captions, each of which counts the same."""
        return float(np.concatenate(self.caption_scores).mean())


def sample(names: Sequence[str], number: int, seed: int) -> list[int]:
    """Draw places of at most `number` names, rising.

    The draw is by a hash of each name: names that come or go hardly change which others are drawn.
    """
    if len(names) <= number:
        return list(range(len(names)))
    return sorted(sorted(range(len(names)), key=lambda place: draw(names[place], seed))[:number])


def draw(name: str, seed: int) -> int:
    """Draw a number of 64 bits for a name."""
    return int.from_bytes(hashlib.sha256(f"{seed} {name}".encode()).digest()[:8], "big")


def agree(
    corpus: Corpus, image_ids: Sequence[str], split: int, number: int, seed: int
) -> Agreement | None:
    """Score captions of at most `number` pictures of a split, each against its picture's others.

    Args:
        corpus: the captions.
        image_ids: of the rows of images.parquet.
        split: a place in SPLITS.
        number: pictures to score.
        seed: of the choice of pictures and, for BLEU-4 and ROUGE-L, of captions.

    Returns:
        None where fewer than two pictures have captions, as document frequencies say nothing then,
        or no picture has two captions.
    """
    own = (corpus.picture_split == split) & (corpus.per_picture > 0)
    known = [int(row) for row in np.flatnonzero(own)]
    chosen = [known[place] for place in sample([image_ids[n] for n in known], number, seed)]
    rows = [corpus.captions_of(picture) for picture in chosen]
    references = [[corpus.tokens(row) for row in group] for group in rows]
    scored = [place for place, group in enumerate(rows) if len(group) > 1]
    if len(chosen) < 2 or not scored:
        return None
    scores = leave_one_out(references)
    drawn = [draw(image_ids[chosen[place]], seed) % len(rows[place]) for place in scored]
    left = [references[place][one] for place, one in zip(scored, drawn, strict=True)]
    others = [_without(references[place], one) for place, one in zip(scored, drawn, strict=True)]
    return Agreement(
        pictures=[chosen[place] for place in scored],
        captions=[rows[place] for place in scored],
        caption_scores=[scores[place] for place in scored],
        picture_scores=np.array([scores[place].mean() for place in scored]),
        bleu_4=float(bleu(left, others).corpus[3]),
        rouge_l=float(rouge_l(left, others).mean()),
        sampled_from=len(known),
    )


def _without(group: Captions, one: int) -> list[Tokens]:
    return [*group[:one], *group[one + 1 :]]


@dataclass(frozen=True)
class AgreedWord:
    """A word, and whether people agree to use it."""

    word: str
    repeated: float  # share of the other captions of a picture that have it too, given that one has
    above_chance: float  # the same, less what any caption would have: 0 by chance, 1 always


def agreed_words(corpus: Corpus, share: float) -> list[AgreedWord]:
    """Rank words by how much people agree to use them, ties by spelling.

    Args:
        corpus: the captions; those of pictures with a single one are left out.
        share: of the pictures that have a word in a caption, for it to be ranked; and ten pictures.
    """
    size = len(corpus.words)
    caption = np.repeat(np.arange(len(corpus.lengths)), corpus.lengths)
    has_others = corpus.per_picture[corpus.picture] > 1  # (c,)
    own = has_others[caption]
    told = np.unique(caption[own] * size + corpus.codes[own])  # each word once a caption
    pairs, times = np.unique(corpus.picture[told // size] * size + told % size, return_counts=True)
    picture, word = np.divmod(pairs, size)
    others = corpus.per_picture[picture] - 1
    shared = np.bincount(word, weights=times * (times - 1), minlength=size)
    possible = np.bincount(word, weights=times * others, minlength=size)
    chance = np.bincount(word, weights=times, minlength=size) / max(has_others.sum(), 1)
    least = max(10, share * (corpus.per_picture > 1).sum())
    ranked = []
    for code in np.flatnonzero(np.bincount(word, minlength=size) >= least):
        repeated = shared[code] / possible[code]
        above = (repeated - chance[code]) / (1 - chance[code]) if chance[code] < 1 else 0.0
        ranked.append(AgreedWord(corpus.words[code], float(repeated), float(above)))
    return sorted(ranked, key=lambda one: (-round(one.above_chance, 9), one.word))
