"""A decoder with its vocabulary: features in, captions in words out."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from pydantic import Field

from pipeline.backend import jit
from pipeline.captioner import search
from pipeline.captioner.decoders.base import Decoder, Tensor
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

    def caption(self, features: np.ndarray, settings: SearchSettings) -> list[list[Caption]]:
        """Search captions: features (n, f) -> for each picture the n best, best first."""
        if not len(features):
            return []
        if settings not in self._searches:
            self._searches[settings] = _Search(self.decoder, settings)
        found = self._searches[settings].predict(
            np.asarray(features, "float32"), batch_size=PICTURES_AT_ONCE, verbose=0
        )
        return [self._read(*picture) for picture in zip(*found, strict=True)]

    def _read(self, tokens: np.ndarray, scores: Iterable[Any], log_probs: Iterable[Any]) -> Any:
        """Turn what was found for one picture into captions; places left empty are left out."""
        return [
            Caption(tuple(self.vocabulary.decode(ids)), float(score), float(log_prob))
            for ids, score, log_prob in zip(tokens.tolist(), scores, log_probs, strict=True)
            if score > search.EMPTY
        ]


class _Search(keras.Model):
    """Search as a model, so that Keras compiles it whole, under every backend."""

    def __init__(self, decoder: Decoder, settings: SearchSettings) -> None:
        super().__init__(name="search")
        self.decoder = decoder
        self.settings = settings
        self.built = True  # the decoder has its weights already
        self.compile(jit_compile=jit())

    def call(self, features: Tensor) -> tuple[Tensor, ...]:
        """Features (b, f) -> tokens (b, n, t), scores (b, n), log-probabilities (b, n)."""
        state = self.decoder.start(features)
        width, max_words = self.settings.beam_width, self.settings.max_words
        if width == 1:
            return tuple(search.greedy(self.decoder.step, state, max_words))
        penalty = self.settings.length_penalty
        return tuple(search.beam(self.decoder.step, state, width, max_words, penalty))
