"""Bottom-up and top-down attention: one LSTM decides where to look, a second one speaks.

Anderson, He, Buehler, Teney, Johnson, Gould and Zhang, "Bottom-Up and Top-Down Attention for Image
Captioning and Visual Question Answering" (CVPR 2018), section 3.2. The places are those of a grid,
as in the paper's own baseline, and not the regions of an object detector.
"""

import keras
from keras import ops

from pipeline.captioner.decoders.base import Memory, State, Tensor
from pipeline.captioner.decoders.grid import (
    GridDecoder,
    by_caption,
    by_picture,
    lstm,
    over_words,
)


class TopDown(GridDecoder):
    """Attention LSTM, attention, language LSTM."""

    def make_reader(self) -> None:
        """See `Decoder.make_reader`."""
        units = self.settings.units
        # The attention LSTM reads the word, the mean place, and what the language LSTM holds.
        self.watch_word = keras.layers.Dense(4 * units, name="attention_lstm_word")
        self.watch_mean = keras.layers.Dense(4 * units, use_bias=False, name="attention_lstm_mean")
        self.watch_spoken = self.inner("attention_lstm_spoken", units, 4 * units, use_bias=False)
        self.watch_hidden = self.recurrent("attention_lstm_hidden")
        # The language LSTM reads what is seen, and what the attention LSTM holds.
        self.speak_seen = self.inner("language_lstm_seen", units, 4 * units)
        self.speak_watch = self.inner("language_lstm_attention", units, 4 * units, use_bias=False)
        self.speak_hidden = self.recurrent("language_lstm_hidden")

    def attend_all(
        self, inputs: tuple[Tensor, Tensor], training: bool = False
    ) -> tuple[Tensor, Tensor]:
        """See `GridDecoder.attend_all`."""
        features, tokens = inputs
        memory = self.remember(self.read_grid(features, training), training)
        words = self.read_words(tokens, training)  # (b, t) -> (b, t, e)
        nowhere = self.nothing(features, memory[0].shape[1])  # (b, p)
        *_, spoken, _, weights = over_words(
            lambda state, word: self._advance(state[:4], word, memory),
            (*self.start(features), nowhere),
            self._read(words, memory),
        )
        return spoken, weights

    def start(self, features: Tensor) -> State:
        """See `Decoder.start`: hidden and cell state of the attention LSTM and of the other."""
        nothing = self.nothing(features, self.settings.units)
        return nothing, nothing, nothing, nothing

    def remember(self, grid: Tensor, training: bool) -> Memory:
        """See `GridDecoder.memory`; the third part is what the mean place adds, (b, 4d)."""
        places, keys = super().remember(grid, training)
        return places, keys, self.watch_mean(ops.mean(places, axis=1))

    def attend_step(
        self, tokens: Tensor, state: State, memory: Memory
    ) -> tuple[Tensor, State, Tensor]:
        """See `GridDecoder.attend_step`."""
        words = by_picture(self.read_words(tokens), memory)  # (b * k,) -> (b, k, e)
        gates = by_caption(self._read(words, memory))  # (b * k, 4d)
        *new, weights = self._advance(state, gates, memory)
        return self.log_probabilities(new[2]), tuple(new), weights

    def _read(self, words: Tensor, memory: Memory) -> Tensor:
        """Turn words (b, q, e) into what they add to the attention LSTM's gates, (b, q, 4d)."""
        return self.watch_word(words) + memory[2][:, None]

    def _advance(self, state: State, word: Tensor, memory: Memory) -> State:
        """Read a word's gates (b, 4d), look, and speak: the new state, and where it looked."""
        watching, watch_cell, spoken, speak_cell = state
        gates = word + self.watch_spoken(spoken) + self.watch_hidden(watching)
        watching, watch_cell = lstm(gates, watch_cell)
        seen, weights = self.look_each(watching, memory)
        gates = self.speak_seen(seen) + self.speak_watch(watching) + self.speak_hidden(spoken)
        spoken, speak_cell = lstm(gates, speak_cell)
        return watching, watch_cell, spoken, speak_cell, weights
