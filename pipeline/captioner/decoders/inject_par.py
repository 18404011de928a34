"""The picture comes with every word ("par-inject").

Tanti, Gatt and Camilleri, "Where to put the image in an image caption generator" (2018), section 3;
so do Karpathy and Fei-Fei in their first step, and Donahue et al. (2015) in all.
"""

from typing import Any

import keras
from keras import ops

from pipeline.captioner.decoders.base import Decoder, Memory, State, Tensor, pooled


class InjectPar(Decoder):
    """The LSTM reads each word side by side with the picture."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.normalise = keras.layers.LayerNormalization(name="picture_normalised")
        self.to_word = keras.layers.Dense(
            self.settings.embedding, activation="tanh", name="picture_word"
        )

    def call(self, inputs: tuple[Tensor, Tensor], training: bool = False) -> Tensor:
        """See `Decoder.call`."""
        features, tokens = inputs
        picture = self._picture(features, training)[:, None]  # (b, 1, e)
        words = self.read_words(tokens, training)  # (b, t) -> (b, t, e)
        picture = ops.broadcast_to(picture, ops.shape(words))  # (b, t, e)
        outputs = self.read_all(ops.concatenate([words, picture], axis=-1))  # (b, t, d)
        return self.scores(outputs, training)  # (b, t, v)

    def start(self, features: Tensor) -> State:
        """See `Decoder.start`."""
        picture = self._picture(features, training=False)  # (b, e)
        nothing = ops.zeros((ops.shape(picture)[0], self.settings.units), picture.dtype)
        return nothing, nothing, picture

    def step(self, tokens: Tensor, state: State, memory: Memory = ()) -> tuple[Tensor, State]:
        """See `Decoder.step`."""
        hidden, cell, picture = state
        read = ops.concatenate([self.read_words(tokens), picture], axis=-1)  # (b, 2e)
        output, (hidden, cell) = self.lstm.cell(read, [hidden, cell])
        return self.log_probabilities(output), (hidden, cell, picture)

    def _picture(self, features: Tensor, training: bool) -> Tensor:
        """Turn features (b, f) into what goes with each word, (b, e)."""
        return self.to_word(self.dropout(self.normalise(pooled(features)), training=training))
