"""The training captions most like given ones: what the captioner may have learnt by heart."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from pipeline.evaluation.tokens import Tokens

Ngrams = Counter[tuple[str, ...]]


@dataclass(frozen=True)
class Nearest:
    """A training caption, and how alike it is."""

    text: str
    overlap: float  # Dice's, of words and pairs of words: 1 is the same caption, 0 shares no word


def nearest(captions: Sequence[Tokens], training: Iterable[Tokens]) -> list[Nearest | None]:
    """Find the training caption most like each of some captions; of equal ones, the first.

    Likeness is Dice's coefficient of the words and the pairs of words of both (Dice 1945), each
    counted as often as it occurs: twice what they share, of what both have.

        a dog runs    a, dog, runs, a dog, dog runs
        a dog sits    a, dog, sits, a dog, dog sits      2 * 3 / (5 + 5) = 0.6

    One pass over the training captions, of which none is kept: memory does not grow with them.

    Returns:
        for each caption its nearest one, or None where none shares a word with it.
    """
    grams = [_ngrams(caption) for caption in captions]
    totals = [own.total() for own in grams]
    holders: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for place, own in enumerate(grams):
        for gram in own:
            holders[gram].append(place)
    found: list[Nearest | None] = [None] * len(captions)
    for tokens in training:
        theirs = _ngrams(tokens)
        size = theirs.total()
        for place, shared in _shared(theirs, grams, holders).items():
            overlap = 2 * shared / (size + totals[place])
            best = found[place]
            if best is None or overlap > best.overlap:
                found[place] = Nearest(" ".join(tokens), overlap)
    return found


def _shared(
    theirs: Ngrams, grams: Sequence[Ngrams], holders: dict[tuple[str, ...], list[int]]
) -> dict[int, int]:
    """Count what a caption shares with each of the given ones; the others have no entry."""
    shared: dict[int, int] = defaultdict(int)
    for gram, times in theirs.items():
        for place in holders.get(gram, ()):
            shared[place] += min(times, grams[place][gram])
    return shared


def _ngrams(tokens: Tokens) -> Ngrams:
    return Counter([*((word,) for word in tokens), *pairwise(tokens)])
