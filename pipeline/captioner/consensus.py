"""Consensus: how well a caption agrees with what people said of pictures that are alike.

Sources: Devlin et al., "Exploring Nearest Neighbor Approaches for Image Captioning" (2015), and Mao
et al., "Deep Captioning with Multimodal Recurrent Neural Networks" (ICLR 2015), section 8,
"consensus reranking": of the captions that a beam found, the one is taken which is most similar to
the captions of the nearest training pictures. Here every training picture counts, by a share that
ridge regression learns (`alike.py`). From a picture's features, it predicts the mean vector of its
captions: tf-idf of 1- to 4-grams, weighed as in CIDEr (Vedantam et al. 2015). Such a prediction is
a sum of the training pictures' own vectors,

    vector(x) = sum over i of share_i(x) * vector_i .

So only the shares are worked out, and the vectors stay sparse. The product of a caption's own
vector with it is the CIDEr-D to be expected, but for its length penalty. CIDEr-D clips counts by
those of the captions that it compares with; here an n-gram counts once, as people hardly ever say
it twice, and said again it only makes the vector longer.
Of single words, what it predicts can guide a search to begin with (`search/guide.py`).

Letters: `n` training pictures, `f` features, `g` n-grams, `p` pairs of an n-gram and a picture
whose captions have it, `b` pictures, `c` captions, `v` words of a vocabulary.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from keras import ops
from pydantic import Field, model_validator

from pipeline.captioner import alike
from pipeline.captioner.alike import Alike, Kernel, numbers
from pipeline.captioner.batches import PictureFeatures
from pipeline.captioner.decoders.base import pooled
from pipeline.errors import InputError
from pipeline.evaluation.cider import MAX_ORDER, CiderD
from pipeline.params import Settings
from pipeline.tables import read_table, write_table

LEAST = 2  # pictures whose captions have an n-gram; rarer ones tell of one picture alone
AT_ONCE = 256  # pictures whose features and shares are in memory together
NGRAMS = "ngrams.parquet"

Words = Sequence[str]


class ConsensusSettings(Settings):
    """What is kept of the training pictures."""

    pictures: int = Field(ge=0, le=100_000)  # at most; 0: none, and no consensus
    kernel: Kernel  # how pictures are compared
    ridge: float = Field(ge=alike.LEAST_RIDGE, le=1000)  # how far features are distrusted

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.pictures == 1:
            raise ValueError(
                "expected pictures: 0, for no consensus, or 2 and more. Received: 1, which tells "
                "of no other picture"
            )
        if self.kernel == "gaussian" and self.pictures > alike.MOST:
            raise ValueError(
                f"expected at most {alike.MOST} pictures for kernel gaussian, which takes memory "
                f"by their square. Received: {self.pictures}. Lower pictures, or set kernel: linear"
            )
        return self


@dataclass(frozen=True)
class Consensus:
    """What people said of the training pictures, and how to tell which of them are alike.

    Attributes:
        alike: tells how much each training picture counts.
        ngrams: number of each n-gram, in order of the arrays below.
        rarity: float32 (g,), inverse document frequency.
        first: int64 (g + 1,), where the pairs of each n-gram begin.
        picture: int32 (p,), the training picture of a pair.
        value: float32 (p,), the n-gram's weight in the mean vector of the picture's captions.
    """

    alike: Alike
    ngrams: dict[str, int]
    rarity: np.ndarray
    first: np.ndarray
    picture: np.ndarray
    value: np.ndarray

    @classmethod
    def fit(
        cls,
        features: PictureFeatures,
        captions: Sequence[Sequence[Words]],
        settings: ConsensusSettings,
    ) -> "Consensus":
        """Learn from the training pictures.

        Args:
            features: (m, f) or (m, h, w, f).
            captions: of each picture, m.
            settings: how many pictures are kept; which ones is drawn at random.

        Raises:
            InputError: fewer than two pictures, or one without captions.
        """
        total = len(captions)
        if min(total, settings.pictures) < 2:
            raise InputError(
                f"train.consensus: expected two training pictures at least. Received: {total}, of "
                f"which train.consensus.pictures keeps {settings.pictures}"
            )
        kept = np.arange(total)
        if total > settings.pictures:
            kept = np.sort(np.random.default_rng(total).permutation(total)[: settings.pictures])
        values = np.concatenate(list(_pooled(features, kept)))
        said = [captions[int(row)] for row in kept]
        return cls(alike.fit(values, settings.kernel, settings.ridge), *_vectors(said))

    def expect(
        self, features: PictureFeatures, captions: Sequence[Sequence[Words]]
    ) -> list[np.ndarray]:
        """Tell the CIDEr that captions may expect, from their pictures alone.

        Args:
            features: of b pictures, (b, f) or (b, h, w, f).
            captions: of each picture, as many as it has.

        Returns:
            For each picture float64 (c,), from 0 to 10; below 0 where the captions of pictures
            alike speak against it.
        """
        shares = self._shares(features)
        return [self._expect(*picture) for picture in zip(shares, captions, strict=True)]

    def words(self, features: PictureFeatures, words: Sequence[str]) -> np.ndarray:
        """Tell what words add to the CIDEr that a caption may expect, from its picture alone.

        It is tf-idf of the word in the caption times that in the mean vector, but for the length of
        the caption's own vector, which depends on its other words.

        Args:
            features: of b pictures, (b, f) or (b, h, w, f).
            words: v.

        Returns:
            float32 (b, v); 0 for words that no, or one, training picture's captions have.
        """
        from scipy.sparse import csr_array  # not before it is needed: the import takes a while

        pairs = [
            (place, self.ngrams[word]) for place, word in enumerate(words) if word in self.ngrams
        ]
        known, rows = np.array(pairs, "int64").reshape(-1, 2).T
        shape = len(self.ngrams), len(self.alike)
        vectors = csr_array((self.value, self.picture, self.first), shape)[rows]
        worth = np.zeros((len(features), len(words)), "float32")
        for picture, shares in enumerate(self._shares(features)):
            worth[picture, known] = self.rarity[rows] * (vectors @ shares)
        return worth

    def _shares(self, features: PictureFeatures) -> Iterator[np.ndarray]:
        """Tell of each picture how much each training picture counts: b times float32 (n,)."""
        for values in _pooled(features, np.arange(len(features))):
            yield from self.alike.shares(values)

    def _expect(self, shares: np.ndarray, captions: Sequence[Words]) -> np.ndarray:
        """Score captions of one picture, the share of each training picture given, (n,)."""
        vectors = [self._vector(words) for words in captions]
        known = sorted({number for vector in vectors for number in vector})
        predicted = {number: self._predict(number, shares) for number in known}
        return np.array(
            [
                10 * sum(weight * predicted[number] for number, weight in vector.items())
                for vector in vectors
            ]
        )

    def _predict(self, ngram: int, shares: np.ndarray) -> float:
        """Predict how much an n-gram weighs in the captions of a picture."""
        pairs = slice(self.first[ngram], self.first[ngram + 1])
        return float(shares[self.picture[pairs]] @ self.value[pairs])

    def _vector(self, words: Words) -> dict[int, float]:
        """Weigh the n-grams of a caption that the training pictures' captions have, too: once."""
        rarest = float(np.log(len(self.alike)))  # of one that no caption has
        vector = {}
        for counts in _ngrams(words):
            weights = {
                ngram: times * (self.rarity[number] if number is not None else rarest)
                for ngram, times in counts.items()
                for number in [self.ngrams.get(ngram)]
            }
            for ngram, weight in _normalised(weights).items():
                if ngram in self.ngrams:
                    vector[self.ngrams[ngram]] = weight / counts[ngram] / MAX_ORDER
        return vector

    def save(self, folder: Path) -> None:
        """Write the tables: the same bytes for the same content."""
        offsets = pa.array(self.first, pa.int32())
        columns = [
            pa.array(list(self.ngrams), pa.string()),
            pa.array(self.rarity, pa.float32()),
            pa.ListArray.from_arrays(offsets, pa.array(self.picture, pa.int32())),
            pa.ListArray.from_arrays(offsets, pa.array(self.value, pa.float32())),
        ]
        self.alike.save(folder)
        write_table(folder / NGRAMS, pa.table(columns, schema=OF_NGRAMS))

    @classmethod
    def load(cls, folder: Path, features: int) -> "Consensus":
        """Read what `save` wrote.

        Args:
            folder: where.
            features: their number, f.

        Raises:
            InputError: a table is absent, or not one that `save` writes.
        """
        ngrams = read_table(folder / NGRAMS, OF_NGRAMS)
        found = cls(
            alike=alike.load(folder, features),
            ngrams={text: place for place, text in enumerate(ngrams["ngram"].to_pylist())},
            rarity=numbers(ngrams["rarity"]),
            first=_begins(ngrams["pictures"]),
            picture=numbers(pc.list_flatten(ngrams["pictures"])),
            value=numbers(pc.list_flatten(ngrams["values"])),
        )
        if not (found._is_whole() and np.array_equal(found.first, _begins(ngrams["values"]))):
            raise InputError(
                f"{folder}: expected what was said of {len(found.alike)} training pictures. "
                f"Received: tables that do not belong together. {alike.AGAIN}"
            )
        return found

    def _is_whole(self) -> bool:
        """Whether all numbers are there, and in their bounds."""
        return (
            len(self.alike) > 0
            and len(self.ngrams) == len(self.rarity)
            and all(bool(np.isfinite(array).all()) for array in (self.rarity, self.value))
            and bool(((self.picture >= 0) & (self.picture < len(self.alike))).all())
        )


OF_NGRAMS = pa.schema(
    [
        pa.field("ngram", pa.string()),  # its words, with spaces between
        pa.field("rarity", pa.float32()),
        pa.field("pictures", pa.list_(pa.int32())),
        pa.field("values", pa.list_(pa.float32())),
    ]
)


def _pooled(features: PictureFeatures, rows: np.ndarray) -> Iterator[np.ndarray]:
    """Read features block by block, grids averaged over their places: float32 (b, f)."""
    for start in range(0, len(rows), AT_ONCE):
        values = np.asarray(features[rows[start : start + AT_ONCE]], "float32")
        yield ops.convert_to_numpy(pooled(values))


def _vectors(captions: Sequence[Sequence[Words]]) -> tuple[Any, ...]:
    """Weigh the n-grams of each picture's captions: the other attributes of `Consensus`."""
    found = CiderD(captions).vectors()
    pictures = np.bincount(found.ngram, minlength=len(found.ngrams))
    often = pictures >= LEAST
    kept = often[found.ngram]
    return (
        {found.ngrams[ngram]: number for number, ngram in enumerate(np.flatnonzero(often))},
        found.idf[often].astype("float32"),
        np.concatenate([[0], np.cumsum(pictures[often])]),
        found.picture[kept].astype("int32"),
        found.value[kept].astype("float32"),
    )


def _ngrams(words: Words) -> list[Counter[str]]:
    """Count a caption's n-grams, by order."""
    return [
        Counter(" ".join(words[start : start + order]) for start in range(len(words) - order + 1))
        for order in range(1, MAX_ORDER + 1)
    ]


def _normalised(weights: Mapping[str, float]) -> dict[str, float]:
    """Scale weights to a Euclidean norm of 1; where all are 0, they stay so."""
    norm = math.sqrt(sum(weight * weight for weight in weights.values())) or 1.0
    return {ngram: weight / norm for ngram, weight in weights.items()}


def _begins(lists: pa.ChunkedArray) -> np.ndarray:
    """Where each list of a column begins among the values of all: int64 (g + 1,)."""
    lengths = pc.fill_null(pc.list_value_length(lists), 0)
    return np.cumsum([0, *lengths.to_pylist()], dtype="int64")
