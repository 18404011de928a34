"""Show and Tell: the picture sets the LSTM's first state ("init-inject").

Vinyals, Toshev, Bengio and Erhan, "Show and Tell" (CVPR 2015), where the picture is the first
input; that it sets the first state instead is init-inject of Tanti, Gatt and Camilleri, "Where to
put the image in an image caption generator" (2018), section 3.
"""

from typing import Any

import keras

from pipeline.captioner.decoders.base import Decoder, Memory, State, Tensor, pooled


class Inject(Decoder):
    """The LSTM begins with the picture in mind and never sees it again."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        units = self.settings.units
        self.normalise = keras.layers.LayerNormalization(name="picture_normalised")
        self.to_hidden = keras.layers.Dense(units, activation="tanh", name="picture_hidden")
        self.to_cell = keras.layers.Dense(units, name="picture_cell")

    def call(self, inputs: tuple[Tensor, Tensor], training: bool = False) -> Tensor:
        """See `Decoder.call`."""
        features, tokens = inputs
        state = self._picture(features, training)
        words = self.read_words(tokens, training)  # (b, t) -> (b, t, e)
        outputs = self.read_all(words, state)  # (b, t, d)
        return self.scores(outputs, training)  # (b, t, v)

    def start(self, features: Tensor) -> State:
        """See `Decoder.start`."""
        return self._picture(features, training=False)

    def step(self, tokens: Tensor, state: State, memory: Memory = ()) -> tuple[Tensor, State]:
        """See `Decoder.step`."""
        output, new = self.lstm.cell(self.read_words(tokens), list(state))  # (b,) -> (b, d)
        return self.log_probabilities(output), tuple(new)

    def _picture(self, features: Tensor, training: bool) -> State:
        """Turn features (b, f) into the first hidden and cell state, (b, d) each."""
        seen = self.dropout(self.normalise(pooled(features)), training=training)
        return self.to_hidden(seen), self.to_cell(seen)
