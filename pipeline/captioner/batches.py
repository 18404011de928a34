"""Training batches: whole captions, of nearly one length a batch, so little padding is computed.

tokens   [1 7 9 2 0]   1 starts, 2 ends, 3 is unknown, 0 pads
inputs   [1 7 9 2]
targets  [7 9 2 0]
weights  [1 1 1 0]     from the targets: the end is learned; padding and unknown words are not
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from pipeline.text.marks import PAD, UNKNOWN

# ((features (b, *shape), inputs (b, t)), targets (b, t), weights (b, t))
Batch = tuple[tuple[np.ndarray, np.ndarray], np.ndarray, np.ndarray]


class PictureFeatures(Protocol):
    """Features of pictures, by row: an array, or what reads rows from files as they are needed."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of pictures and the shape of one's features: (pictures, *shape)."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Any, /) -> np.ndarray:
        """Rows by an array of numbers or by a slice: float (n, *shape)."""


@dataclass(frozen=True)
class Captions:
    """Encoded captions and the picture of each.

    Attributes:
        pictures: row of the picture's features, int (n,).
        tokens: ids from START to END, n lists of any length.
    """

    pictures: np.ndarray
    tokens: Sequence[Sequence[int]]

    def __len__(self) -> int:
        return len(self.tokens)


@dataclass(frozen=True)
class Split:
    """Pictures and captions of one split.

    Attributes:
        features: float (pictures, f), or (pictures, h, w, f) for grids.
        captions: encoded, each with the row of its picture.
        references: for each picture the tokens of its captions.
    """

    features: PictureFeatures
    captions: Captions
    references: Sequence[Sequence[Sequence[str]]]


def pad(tokens: Sequence[Sequence[int]], multiple: int = 1) -> np.ndarray:
    """Make lists of ids one int32 array, padded at the end.

    Args:
        tokens: n lists of ids, START first.
        multiple: of how many ids, START not counted, the length is a multiple.

    Returns:
        (n, 1 + t), where t is at least what the longest list has beside START.
    """
    longest = max(len(ids) for ids in tokens) - 1
    padded = np.full((len(tokens), 1 + rounded_up(longest, multiple)), PAD, "int32")
    for row, ids in zip(padded, tokens, strict=True):
        row[: len(ids)] = ids
    return padded


def rounded_up(length: int, multiple: int) -> int:
    """Tell the least multiple that is no less than a length."""
    return -(-length // multiple) * multiple


def shift(tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Split padded captions (b, t + 1) into inputs, targets and loss weights, (b, t) each.

    The module's head draws an example.
    """
    inputs, targets = tokens[:, :-1], tokens[:, 1:]
    weights = ((targets != PAD) & (targets != UNKNOWN)).astype("float32")
    return inputs, targets, weights


class Batches:
    """Batches of captions with their pictures' features: a sequence, drawn anew for every epoch.

    The order of an epoch depends on the seed and the epoch's number alone, so a training that
    continues at epoch 7 sees what an undisturbed one would have seen.

    Args:
        captions: n encoded captions.
        features: float (pictures, f), or (pictures, h, w, f) for grids; read batch by batch.
        batch_size: captions a batch; the last one may be smaller.
        seed: of the order.
        multiple: words that a batch's length is a multiple of; see `tracing.words_at_once`.
    """

    def __init__(
        self,
        captions: Captions,
        features: PictureFeatures,
        batch_size: int,
        seed: int,
        multiple: int = 1,
    ) -> None:
        self.captions, self.features = captions, features
        self.batch_size, self.seed, self.multiple = batch_size, seed, multiple
        self.lengths = np.array([len(ids) for ids in captions.tokens])
        self.order = self._draw(epoch=0)

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[Batch]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> Batch:
        """Return ((features (b, *shape), inputs (b, t)), targets (b, t), weights (b, t))."""
        rows = self.order[index]
        inputs, targets, weights = shift(
            pad([self.captions.tokens[row] for row in rows], self.multiple)
        )
        pictures = self.features[self.captions.pictures[rows]].astype("float32")
        return (pictures, inputs), targets, weights

    def begin(self, epoch: int) -> None:
        """Draw the batches of an epoch."""
        self.order = self._draw(epoch)

    def words(self, index: int) -> int:
        """Count the targets of a batch, end marks included, padding left out."""
        return int((self.lengths[self.order[index]] - 1).sum())

    def _draw(self, epoch: int) -> list[np.ndarray]:
        """Shuffle, sort by length (ties stay shuffled), cut, and shuffle the batches.

        What is left over, the shorter last batch, is of the longest captions.
        """
        rng = np.random.default_rng([self.seed, epoch])
        rows = rng.permutation(len(self.captions))
        rows = rows[np.argsort(self.lengths[rows], kind="stable")]
        batches = np.split(rows, range(self.batch_size, len(rows), self.batch_size))
        return [batches[number] for number in rng.permutation(len(batches))]
