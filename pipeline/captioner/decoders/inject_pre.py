"""The picture is the LSTM's first input, before any word ("pre-inject").

Vinyals, Toshev, Bengio and Erhan, "Show and Tell" (CVPR 2015), equations 10 to 12; the name is that
of Tanti, Gatt and Camilleri, "Where to put the image in an image caption generator" (2018),
section 3.
"""

from typing import Any

import keras
from keras import ops

from pipeline.captioner.decoders.base import Decoder, Memory, State, Tensor, pooled


class InjectPre(Decoder):
    """The LSTM reads the picture as if it were a word, and then the caption."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.normalise = keras.layers.LayerNormalization(name="picture_normalised")
        self.to_word = keras.layers.Dense(self.settings.embedding, name="picture_word")

    def call(self, inputs: tuple[Tensor, Tensor], training: bool = False) -> Tensor:
        """See `Decoder.call`."""
        features, tokens = inputs
        picture = self._picture(features, training)[:, None]  # (b, 1, e)
        words = self.read_words(tokens, training)  # (b, t) -> (b, t, e)
        outputs = self.read_all(ops.concatenate([picture, words], axis=1))  # (b, 1 + t, d)
        return self.scores(outputs[:, 1:], training)  # (b, t, v)

    def start(self, features: Tensor) -> State:
        """See `Decoder.start`."""
        picture = self._picture(features, training=False)  # (b, e)
        nothing = ops.zeros((ops.shape(picture)[0], self.settings.units), picture.dtype)
        _, state = self.lstm.cell(picture, [nothing, nothing])
        return tuple(state)

    def step(self, tokens: Tensor, state: State, memory: Memory = ()) -> tuple[Tensor, State]:
        """See `Decoder.step`."""
        output, new = self.lstm.cell(self.read_words(tokens), list(state))  # (b,) -> (b, d)
        return self.log_probabilities(output), tuple(new)

    def _picture(self, features: Tensor, training: bool) -> Tensor:
        """Turn features (b, f) into what passes for a word, (b, e)."""
        return self.to_word(self.dropout(self.normalise(pooled(features)), training=training))
