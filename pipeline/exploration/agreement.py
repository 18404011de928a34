"""How well people agree: each caption of a picture scored against the picture's other captions.

CIDEr-D   of every caption, with document frequencies from all captions of the pictures, as the
          evaluation of a captioner takes them from all references. The mean is the mark to hold a
          captioner against.
BLEU-4, ROUGE-L   of one caption a picture, drawn by its hash. Both favour many references, and
          here there is one fewer than a captioner is given: they are a little low.

CIDEr-D is a mean over references, so one run of the scorer tells it for all captions at once. With
r captions of a picture, of which a caption is one itself,

    others = (r * all - itself) / (r - 1)

where `all` is the caption's score against all r. Against itself a caption scores 10, less 2.5 for
each order of n-grams in which it has none that weighs anything: it is too short, or all of them
are in every picture.

Words     of all captions: how likely another caption of the picture has the word as well, above
          chance (Cohen's kappa): things that are plain to see stand high, turns of phrase low.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.evaluation.bleu import bleu
from pipeline.evaluation.cider import MAX_ORDER, CiderD
from pipeline.evaluation.rouge import rouge_l
from pipeline.evaluation.tokens import Captions, FloatArray, References, Tokens
from pipeline.exploration.corpus import Corpus

BEST = 10.0  # of CIDEr-D


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
