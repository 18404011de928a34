"""Show, Attend and Tell: before each word the LSTM looks at the places that matter for it.

Xu, Ba, Kiros, Cho, Courville, Salakhutdinov, Zemel and Bengio, "Show, Attend and Tell" (ICML 2015),
soft attention (sections 3.1.2 and 4.2) with its gate on what is seen; the output layer is the
"deep" one of equation 7, with the tanh of the authors' code. The penalty that makes the weights of
a place add up to 1 over the words (equation 14) is `train.attention_penalty`.
"""

import keras
from keras import ops

from pipeline.captioner.decoders.base import Memory, State, Tensor
from pipeline.captioner.decoders.grid import GridDecoder, lstm, over_words


class SoftAttention(GridDecoder):
    """The hidden state asks, the grid answers, and the LSTM reads the answer with the word."""

    def make_reader(self) -> None:
        """See `Decoder.make_reader`."""
        units = self.settings.units
        self.from_word = keras.layers.Dense(4 * units, name="lstm_word")
        self.from_seen = self.inner("lstm_seen", units, 4 * units, use_bias=False)
        self.from_hidden = self.recurrent("lstm_hidden")
        self.to_gate = self.inner("gate", units, 1)
        self.to_hidden = keras.layers.Dense(units, activation="tanh", name="picture_hidden")
        self.to_cell = keras.layers.Dense(units, activation="tanh", name="picture_cell")
        self.join = keras.layers.Dense(units, activation="tanh", name="join")

    def attend_all(
        self, inputs: tuple[Tensor, Tensor], training: bool = False
    ) -> tuple[Tensor, Tensor]:
        """See `GridDecoder.attend_all`."""
        features, tokens = inputs
        grid = self.read_grid(features, training)  # (b, p, f)
        memory = self.remember(grid, training)
        words = self.read_words(tokens, training)  # (b, t) -> (b, t, e)
        nowhere = self.nothing(features, memory[0].shape[1])  # (b, p)
        first = (*self._picture(grid), self.nothing(features, self.settings.units), nowhere)
        hidden, _, seen, weights = over_words(
            lambda state, word: self._advance(state[:2], word, memory),
            first,
            self.from_word(words),  # (b, t, e) -> (b, t, 4d)
        )
        return self._output(words, hidden, seen), weights

    def start(self, features: Tensor) -> State:
        """See `Decoder.start`."""
        return self._picture(self.read_grid(features))

    def attend_step(
        self, tokens: Tensor, state: State, memory: Memory
    ) -> tuple[Tensor, State, Tensor]:
        """See `GridDecoder.attend_step`."""
        word = self.read_words(tokens)  # (b * k,) -> (b * k, e)
        hidden, cell, seen, weights = self._advance(state, self.from_word(word), memory)
        log_probs = self.log_probabilities(self._output(word, hidden, seen))
        return log_probs, (hidden, cell), weights

    def _picture(self, grid: Tensor) -> State:
        """Make of the mean place, (b, p, f), the first hidden and cell state, (b, d) each."""
        average = ops.mean(grid, axis=1)  # (b, f)
        return self.to_hidden(average), self.to_cell(average)

    def _advance(self, state: State, word: Tensor, memory: Memory) -> State:
        """Look, then read a word's gates (b, 4d): hidden, cell, what was seen, and where."""
        hidden, cell = state
        seen, weights = self.look_each(hidden, memory)
        seen = ops.sigmoid(self.to_gate(hidden)) * seen  # (b, 1) * (b, d)
        gates = word + self.from_seen(seen) + self.from_hidden(hidden)
        return (*lstm(gates, cell), seen, weights)

    def _output(self, word: Tensor, hidden: Tensor, seen: Tensor) -> Tensor:
        """Join the word before, the hidden state and what is seen: (..., e + 2d) -> (..., d)."""
        return self.join(ops.concatenate([word, hidden, seen], axis=-1))
