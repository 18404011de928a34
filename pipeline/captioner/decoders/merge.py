"""Merge: the LSTM reads the words alone; picture and sentence are joined after it.

Tanti, Gatt and Camilleri, "Where to put the image in an image caption generator" (2018), section 3.
"""

from typing import Any

import keras
from keras import ops

from pipeline.captioner.decoders.base import Decoder, Memory, State, Tensor, pooled


class Merge(Decoder):
    """The picture meets the sentence just before each word is chosen."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        units = self.settings.units
        self.normalise = keras.layers.LayerNormalization(name="picture_normalised")
        self.to_picture = keras.layers.Dense(units, activation="tanh", name="picture")
        self.join = keras.layers.Dense(units, activation="tanh", name="join")

    def call(self, inputs: tuple[Tensor, Tensor], training: bool = False) -> Tensor:
        """See `Decoder.call`."""
        features, tokens = inputs
        picture = self._picture(features, training)[:, None]  # (b, 1, d)
        words = self.read_words(tokens, training)  # (b, t) -> (b, t, e)
        outputs = self.read_all(words)  # (b, t, d)
        picture = ops.broadcast_to(picture, ops.shape(outputs))  # (b, t, d)
        joined = self._join(self.drop_over_words(outputs, training), picture)
        return self.scores(joined, training)  # (b, t, v)

    def start(self, features: Tensor) -> State:
        """See `Decoder.start`."""
        picture = self._picture(features, training=False)  # (b, d)
        return ops.zeros_like(picture), ops.zeros_like(picture), picture

    def step(self, tokens: Tensor, state: State, memory: Memory = ()) -> tuple[Tensor, State]:
        """See `Decoder.step`."""
        hidden, cell, picture = state
        output, (hidden, cell) = self.lstm.cell(self.read_words(tokens), [hidden, cell])
        return self.log_probabilities(self._join(output, picture)), (hidden, cell, picture)

    def _picture(self, features: Tensor, training: bool) -> Tensor:
        return self.to_picture(self.dropout(self.normalise(pooled(features)), training=training))

    def _join(self, outputs: Tensor, picture: Tensor) -> Tensor:
        return self.join(ops.concatenate([outputs, picture], axis=-1))  # (..., 2d) -> (..., d)
