"""CIDEr-D of captions, equal to that of `pycocoevalcap.cider` and many times as fast.

Source: Vedantam et al. 2015, "CIDEr: consensus-based image description evaluation": the metric
itself (cosine similarity of tf-idf weights of n-grams, mean over the orders 1 to 4 and over the
references), and its variant CIDEr-D (clipped weights, a penalty on the difference in length, and
10 for the highest score). An n-gram's document frequency is the number of pictures with a
reference that has it, as in `pycocoevalcap`.

All sentences are handled at once, as arrays of numbers. Every n-gram of an order has a number:

    words                a dog runs | a dog sits      a 0, dog 1, runs 2, sits 3
    1-grams, in place    0 1   2    | 0 1   3
    2-grams, in place    0 1        | 0 2             a dog 0, dog runs 1, dog sits 2

A 2-gram's *key* is the number of its first 1-gram, times the number of words, plus the number of
its last word: "dog sits" has 1 * 4 + 3 = 7. Its number is the place of its key among the sorted
keys of all 2-grams (1, 6, 7). So a 3-gram's key is made of its first 2-gram and its last word.

Letters: `s` sentences, `t` words of all of them, `g` n-grams of an order, `e` entries (the n-grams
of each sentence, each told once a sentence), `c` captions, `p` pairs of a caption and a reference.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from pipeline.errors import InputError
from pipeline.evaluation.tokens import (
    Captions,
    FloatArray,
    IntArray,
    References,
    Tokens,
    check_references,
)

MAX_ORDER = 4
SIGMA = 6.0  # of the penalty on a difference in length
_ABSENT = -1


@dataclass(frozen=True)
class Vectors:
    """The mean tf-idf vector of each picture's references, of n-grams of all orders.

    Each reference's vector has a norm of 1 within an order, as in the score.

    Attributes:
        ngrams: their words with spaces between, by order.
        idf: (g,) inverse document frequency.
        ngram: (e,) sorted; an entry is an n-gram and a picture with a reference that has it.
        picture: (e,)
        value: (e,) the n-gram's weight in the picture's mean vector.
    """

    ngrams: list[str]
    idf: FloatArray
    ngram: IntArray
    picture: IntArray
    value: FloatArray


@dataclass(frozen=True)
class _Text:
    """Sentences, one after the other."""

    words: IntArray  # (t,) the number of each word
    sentence: IntArray  # (t,) the sentence it is in
    remaining: IntArray  # (t,) words from here to the end of the sentence, this one included


@dataclass(frozen=True)
class _Order:
    """The n-grams of one order in the references, and what they weigh."""

    keys: IntArray  # (g,) sorted
    idf: FloatArray  # (g + 1,) the last, at index _ABSENT, is that of an n-gram in no reference
    entries: IntArray  # (e,) sorted: sentence * g + n-gram
    weights: FloatArray  # (e,) tf-idf
    norms: FloatArray  # (s,) Euclidean, of a sentence's weights


@dataclass(frozen=True)
class _Pairs:
    """Each caption with each reference of its picture."""

    caption: IntArray  # (p,)
    sentence: IntArray  # (p,) the reference
    first: IntArray  # (c,) a caption's first pair
    count: IntArray  # (c,) a caption's pairs


class CiderD:
    """CIDEr-D against fixed references, whose tf-idf vectors are computed once.

    With a single picture every n-gram is in every picture, so that all weights, and the score,
    are 0: CIDEr-D has a meaning for sets of pictures only.
    """

    def __init__(self, references: References) -> None:
        """Weigh the n-grams of `references`: those of each picture, of which some may be empty.

        Raises:
            InputError: there are no pictures, or one has no references.
        """
        if not references:
            raise InputError("references: expected those of a picture at least. Received: none")
        check_references(references)
        sentences = list(chain.from_iterable(references))
        self._counts = np.array([len(group) for group in references])  # references a picture
        self._first = np.cumsum(self._counts) - self._counts  # a picture's first sentence
        self._lengths = _lengths(sentences)
        self._words: dict[str, int] = {}
        text = _flatten(sentences, self._words)
        picture = np.repeat(np.arange(len(references)), self._counts)  # (s,)
        self._orders = [
            _weigh(sentence, number, keys, picture)
            for sentence, number, keys in _ngrams(text, len(self._words))
        ]

    def score(self, captions: Captions, pictures: Sequence[int] | None = None) -> FloatArray:
        """Score captions, each against the references of its picture, as (c,) from 0 to 10.

        Args:
            captions: the words of each caption, which may be none: an empty caption scores 0.
            pictures: the index, among the references, of each caption's picture: a picture may
                have no caption, or several. By default one caption a picture, in order.

        Raises:
            InputError: not as many captions as pictures, or no picture has such an index.
        """
        pairs = self._pair(self._places(len(captions), pictures))
        numbers = dict(self._words)
        text = _flatten(captions, numbers)
        similarity = self._similarity(text, len(numbers), pairs)  # (p,)
        difference = _lengths(captions)[pairs.caption] - self._lengths[pairs.sentence]
        penalised = similarity * np.exp(-(difference**2) / (2 * SIGMA**2))
        total = np.bincount(pairs.caption, weights=penalised, minlength=len(captions))
        scores: FloatArray = 10 * total / pairs.count
        return scores

    def vectors(self) -> Vectors:
        """Give what the references weigh, as the mean of each picture's."""
        picture = np.repeat(np.arange(len(self._counts)), self._counts)  # (s,)
        words, names, before = list(self._words), [""], 0
        ngrams: list[str] = []
        entries = []
        for order in self._orders:
            prefix, last = np.divmod(order.keys, len(words))
            pairs = zip(prefix.tolist(), last.tolist(), strict=True)
            names = [f"{names[first]} {words[word]}".lstrip() for first, word in pairs]
            sentence, ngram = np.divmod(order.entries, len(order.keys))
            norms = order.norms[sentence] * self._counts[picture[sentence]]
            values = np.divide(order.weights, norms, out=np.zeros(len(norms)), where=norms > 0)
            entry, place = np.unique(
                (before + ngram) * len(self._counts) + picture[sentence], return_inverse=True
            )
            entries.append((entry, np.bincount(place, weights=values, minlength=len(entry))))
            ngrams += names
            before += len(names)
        entry, value = (np.concatenate(part) for part in zip(*entries, strict=True))
        idf = np.concatenate([order.idf[:-1] for order in self._orders])
        return Vectors(ngrams, idf, *np.divmod(entry, len(self._counts)), value)

    def _places(self, captions: int, pictures: Sequence[int] | None) -> IntArray:
        known = len(self._counts)
        places = np.arange(known) if pictures is None else np.array(pictures, dtype=np.int64)
        if len(places) != captions:
            raise InputError(
                f"captions: expected {len(places)}, one a picture. Received: {captions}"
            )
        if places.size and (places.min() < 0 or places.max() >= known):
            raise InputError(
                f"pictures: expected indices from 0 to {known - 1}, one for each group of "
                f"references. Received: {places.min()} to {places.max()}"
            )
        return places

    def _pair(self, places: IntArray) -> _Pairs:
        count = self._counts[places]
        return _Pairs(
            caption=np.repeat(np.arange(len(places)), count),
            sentence=_ranges(self._first[places], count),
            first=np.cumsum(count) - count,
            count=count,
        )

    def _similarity(self, text: _Text, words: int, pairs: _Pairs) -> FloatArray:
        """Mean over the orders of the clipped cosine of each pair, as (p,)."""
        total = np.zeros(len(pairs.caption))
        # The number among the references' n-grams of each of the captions'; first the empty one.
        found = np.zeros(1, dtype=np.int64)
        for order, (caption, number, keys) in zip(self._orders, _ngrams(text, words), strict=True):
            found = self._look_up(order, keys, found, words)
            total += _cosines(order, caption, number, found, pairs)
        return total / MAX_ORDER

    def _look_up(self, order: _Order, keys: IntArray, prefixes: IntArray, words: int) -> IntArray:
        """Find the captions' n-grams among the references'; _ABSENT where there is none.

        Args:
            order: that of the n-grams.
            keys: (g',) those of the captions' n-grams.
            prefixes: what was found for the captions' n-grams that are shorter by a word.
            words: number of words, those that only the captions have included.
        """
        prefix, last = np.divmod(keys, words)
        possible = (prefixes[prefix] != _ABSENT) & (last < len(self._words))
        own_keys = prefixes[prefix] * len(self._words) + last
        return np.where(possible, _find(order.keys, own_keys), _ABSENT)


def _weigh(sentence: IntArray, number: IntArray, keys: IntArray, picture: IntArray) -> _Order:
    """Compute tf-idf weights of the n-grams of one order: `number` in `sentence`, both (t',)."""
    entries, times = np.unique(sentence * len(keys) + number, return_counts=True)
    sentence, ngram = np.divmod(entries, len(keys))
    # An n-gram counts once a picture, however many references have it. (The counts are not used,
    # but make NumPy sort, where it would hash and take 30 times as long.)
    once, _ = np.unique(picture[sentence] * len(keys) + ngram, return_counts=True)
    frequency = np.bincount(once % len(keys), minlength=len(keys))
    # An n-gram in no reference is taken to be in one picture.
    idf = np.log(picture[-1] + 1) - np.log(np.append(frequency, 1))
    weights = times * idf[ngram]
    norms = np.sqrt(np.bincount(sentence, weights=weights**2, minlength=len(picture)))
    return _Order(keys, idf, entries, weights, norms)


def _cosines(
    order: _Order, caption: IntArray, number: IntArray, found: IntArray, pairs: _Pairs
) -> FloatArray:
    """Clipped cosine of each pair in one order, as (p,).

    Args:
        order: the references.
        caption: (t',) the caption of each n-gram in place.
        number: (t',) that n-gram, numbered among the captions' n-grams.
        found: (g',) the number among the references' n-grams of each of the captions'.
        pairs: what to compare.
    """
    entries, times = np.unique(caption * len(found) + number, return_counts=True)
    caption, ngram = np.divmod(entries, len(found))
    weights = times * order.idf[found[ngram]]  # (e,)
    norms = np.sqrt(np.bincount(caption, weights=weights**2, minlength=len(pairs.count)))  # (c,)
    shared = found[ngram] != _ABSENT
    products = _products(order, caption[shared], found[ngram][shared], weights[shared], pairs)
    norm = norms[pairs.caption] * order.norms[pairs.sentence]  # (p,)
    return np.divide(products, norm, out=np.zeros(len(norm)), where=norm > 0)


def _products(
    order: _Order, caption: IntArray, ngram: IntArray, weights: FloatArray, pairs: _Pairs
) -> FloatArray:
    """Clipped inner product of each pair, as (p,), from the captions' n-grams, all (e,)."""
    count = pairs.count[caption]
    pair = _ranges(pairs.first[caption], count)  # each n-gram with each reference: (e * r,)
    wanted = pairs.sentence[pair] * len(order.keys) + np.repeat(ngram, count)
    place = _find(order.entries, wanted)
    hit = place != _ABSENT
    theirs = order.weights[place[hit]]
    # Clipped: to repeat an n-gram more often than the reference does gains nothing.
    clipped = np.minimum(np.repeat(weights, count)[hit], theirs) * theirs
    products = np.bincount(pair[hit], weights=clipped, minlength=len(pairs.caption))
    return products.astype(np.float64)


def _flatten(sentences: Sequence[Tokens], numbers: dict[str, int]) -> _Text:
    """Number the words of sentences; words that are new are added to `numbers`."""
    words = [numbers.setdefault(word, len(numbers)) for word in chain.from_iterable(sentences)]
    lengths = np.array([len(sentence) for sentence in sentences], dtype=np.int64)
    return _Text(
        words=np.array(words, dtype=np.int64),
        sentence=np.repeat(np.arange(len(sentences)), lengths),
        remaining=np.repeat(np.cumsum(lengths), lengths) - np.arange(len(words)),
    )


def _ngrams(text: _Text, words: int) -> Iterator[tuple[IntArray, IntArray, IntArray]]:
    """Yield, for orders 1 to 4, the sentence (t',) and number (t',) of n-grams, and keys (g,)."""
    start = np.arange(len(text.words))
    number = np.zeros(len(start), dtype=np.int64)  # of the empty n-gram
    for order in range(1, MAX_ORDER + 1):
        fits = text.remaining[start] >= order
        start, number = start[fits], number[fits]
        last = text.words[start + order - 1]
        keys, number = np.unique(number * words + last, return_inverse=True)
        yield text.sentence[start], number, keys


def _lengths(sentences: Sequence[Tokens]) -> IntArray:
    """Lengths in words; `pycocoevalcap` counts 2-grams, whose differences are the same."""
    return np.array([len(sentence) for sentence in sentences], dtype=np.int64)


def _find(values: IntArray, wanted: IntArray) -> IntArray:
    """Index in sorted `values` of each wanted one, or _ABSENT."""
    if not len(values):
        return np.full(len(wanted), _ABSENT)
    place = np.minimum(np.searchsorted(values, wanted), len(values) - 1)
    return np.where(values[place] == wanted, place, _ABSENT)


def _ranges(first: IntArray, count: IntArray) -> IntArray:
    """Join ranges: first [5, 9], count [2, 3] -> [5, 6, 9, 10, 11]."""
    before = np.cumsum(count) - count
    return np.repeat(first - before, count) + np.arange(count.sum())
