"""A decoder with its vocabulary: features in, captions in words out."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
import numpy as np
from pydantic import Field

from pipeline.backend import jit
from pipeline.captioner import search
from pipeline.captioner.batches import PictureFeatures, pad
from pipeline.captioner.decoders.base import Decoder, State, Tensor
from pipeline.captioner.decoders.grid import GridDecoder
from pipeline.errors import InputError
from pipeline.params import Settings
from pipeline.text.vocabulary import Vocabulary

PICTURES_AT_ONCE = 256  # searched together; bounds the memory and fills the cores


class SearchSettings(Settings):
    """How captions are searched."""

    beam_width: int = Field(ge=1, le=100)  # 1: greedy
    length_penalty: float = Field(ge=0, le=5)  # exponent of the length; 0: none
    max_words: int = Field(ge=1, le=200)  # bound on a caption's words


@dataclass(frozen=True)
class Caption:
    """One caption of a picture, with what the search thinks of it.

    Attributes:
        words: without marks.
        score: log-probability / (words + 1) ** length_penalty.
        log_prob: of all words and the end mark.
    """

    words: tuple[str, ...]
    score: float
    log_prob: float

    @property
    def text(self) -> str:
        """The words, with spaces between."""
        return " ".join(self.words)


class Looks(NamedTuple):
    """Where a decoder looked for each word of a caption.

    Attributes:
        maps: float32 (words, h, w), weights of the grid's places.
        elsewhere: float32 (words,), the sentinel's weight: how far the word came without the
            picture; 0 for decoders without a sentinel. With its map it adds up to 1.
    """

    maps: np.ndarray
    elsewhere: np.ndarray


class Captioner:
    """Captions pictures from their features.

    Args:
        decoder: with its weights.
        vocabulary: of the decoder.
    """

    def __init__(self, decoder: Decoder, vocabulary: Vocabulary) -> None:
        self.decoder = decoder
        self.vocabulary = vocabulary
        self._searches: dict[SearchSettings, keras.Model] = {}  # each is compiled once

    @property
    def attends(self) -> bool:
        """Whether the decoder looks at places of a grid, and `looks` can tell where."""
        return isinstance(self.decoder, GridDecoder)

    def caption(self, features: PictureFeatures, settings: SearchSettings) -> list[list[Caption]]:
        """Search captions.

        Args:
            features: (n, f) or (n, h, w, f), as in training; an array, or what reads them.
            settings: of the search.

        Returns:
            For each picture the n best, best first.

        Raises:
            InputError: the features have not the shape of those in training.
        """
        self._check(features)
        if settings not in self._searches:
            self._searches[settings] = _Search(self.decoder, settings)
        search_batch = self._searches[settings].predict_on_batch
        return [
            self._read(*picture)
            for values, count in _batches(features)
            for picture in zip(*(part[:count] for part in search_batch(values)), strict=True)
        ]

    def looks(self, features: PictureFeatures, captions: Sequence[Sequence[str]]) -> list[Looks]:
        """Tell where the decoder looks for each word of finished captions.

        Args:
            features: of n pictures, (n, h, w, f).
            captions: the words of one caption a picture, n.

        Raises:
            InputError: the decoder attends to no grid, or the features have another shape.
        """
        if not isinstance(self.decoder, GridDecoder):
            raise InputError(
                f"attention: expected a decoder that attends to a grid. Received: "
                f"{self.decoder.settings.decoder}. Train one, such as train.decoder: adaptive"
            )
        self._check(features)
        return [self._looks(features[row : row + 1], words) for row, words in enumerate(captions)]

    def _looks(self, features: np.ndarray, words: Sequence[str]) -> Looks:
        """Tell it for one caption of one picture, (1, h, w, f)."""
        _, height, width, _ = features.shape
        tokens = pad([self.vocabulary.encode(words)])[:, :-1]  # the end mark is read by no step
        _, weights = self.decoder.attend_all((np.asarray(features, "float32"), tokens))
        found = np.asarray(keras.ops.convert_to_numpy(weights)[0, : len(words)], "float32")
        maps = found[:, : height * width].reshape(len(words), height, width)
        return Looks(maps, found[:, height * width :].sum(axis=1))

    def _check(self, features: PictureFeatures) -> None:
        expected, received = self.decoder.feature_shape, tuple(features.shape[1:])
        if received != expected:
            raise InputError(
                f"captions: expected features of shape {expected} a picture, as in training. "
                f"Received: {received}. Use those that the model was trained with: dvc repro"
            )

    def _read(self, tokens: np.ndarray, scores: Iterable[Any], log_probs: Iterable[Any]) -> Any:
        """Turn what was found for one picture into captions; places left empty are left out."""
        return [
            Caption(tuple(self.vocabulary.decode(ids)), float(score), float(log_prob))
            for ids, score, log_prob in zip(tokens.tolist(), scores, log_probs, strict=True)
            if score > search.EMPTY
        ]


def _batches(features: PictureFeatures) -> Iterator[tuple[np.ndarray, int]]:
    """Cut into batches for one search each, and tell how many pictures of a batch count.

    The last one is filled up with its first picture: for one shape, the search is compiled once.
    """
    size = min(PICTURES_AT_ONCE, len(features))
    for first in range(0, len(features), max(1, size)):
        values = np.asarray(features[first : first + size], "float32")
        count = len(values)
        yield np.concatenate([values, np.repeat(values[:1], size - count, axis=0)]), count


class _Search(keras.Model):
    """Search as a model, so that Keras compiles it whole, under every backend."""

    def __init__(self, decoder: Decoder, settings: SearchSettings) -> None:
        super().__init__(name="search")
        self.decoder = decoder
        self.settings = settings
        self.built = True  # the decoder has its weights already
        self.compile(jit_compile=jit())

    def call(self, features: Tensor) -> tuple[Tensor, ...]:
        """Features (b, *shape) -> tokens (b, n, t), scores (b, n), log-probabilities (b, n)."""
        memory = self.decoder.memory(features)
        state = self.decoder.start(features)
        width, max_words = self.settings.beam_width, self.settings.max_words

        def step(tokens: Tensor, state: State) -> tuple[Tensor, State]:
            return self.decoder.step(tokens, state, memory)

        if width == 1:
            return tuple(search.greedy(step, state, max_words))
        return tuple(search.beam(step, state, width, max_words, self.settings.length_penalty))
