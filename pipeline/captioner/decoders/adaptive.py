"""Adaptive attention: after each word, how far to look at the picture at all, and where.

Lu, Xiong, Parikh and Socher, "Knowing When to Look: Adaptive Attention via A Visual Sentinel for
Image Captioning" (CVPR 2017), section 2: equations 6 to 13.

What it looks for depends on the hidden state after a word, and what it sees goes to the output
alone. So the LSTM runs first and all words of a caption look at the grid at once.
"""

import keras
from keras import ops

from pipeline.captioner.decoders.base import Memory, State, Tensor
from pipeline.captioner.decoders.grid import (
    GridDecoder,
    Seen,
    by_caption,
    by_picture,
    lstm,
    remembering,
)
from pipeline.captioner.decoders.recurrence import (
    lstm_words,
    shifted,
    words_first,
    words_second,
)


class Adaptive(GridDecoder):
    """A sentinel, made of what the LSTM remembers, competes with the places of the grid."""

    has_sentinel = True

    def make_reader(self) -> None:
        """See `Decoder.make_reader`."""
        units = self.settings.units
        self.to_picture = keras.layers.Dense(
            self.settings.embedding, activation="relu", name="picture"
        )
        self.from_word = keras.layers.Dense(4 * units, name="lstm_word")
        self.from_hidden = self.recurrent("lstm_hidden")
        self.word_gate = keras.layers.Dense(units, name="sentinel_word")
        self.hidden_gate = keras.layers.Dense(units, use_bias=False, name="sentinel_hidden")
        width = self.settings.attention_width or self.usual_width()
        self.sentinel_key = keras.layers.Dense(width, name="sentinel_key")

    def usual_width(self) -> int:
        """See `GridDecoder.usual_width`: the paper's, who take the number of places."""
        return 49

    def attend_all(
        self, inputs: tuple[Tensor, Tensor], training: bool = False
    ) -> tuple[Tensor, Tensor]:
        """See `GridDecoder.attend_all`."""
        features, tokens = inputs
        grid = self.read_grid(features, training)  # (b, p, f)
        picture = self._picture(grid)  # (b, e)
        hidden = cell = self.nothing(features, self.settings.units)
        words = self.read_words(tokens, training)  # (b, t) -> (b, t, e)
        words = words_first(words)  # (t, b, e)
        gates = self._read(self.from_word, words, picture)  # (t, b, 4d)
        gates = gates + ops.cast(remembering(self.settings.units), gates.dtype)
        after, cells = lstm_words(gates, self.from_hidden.kernel, hidden, cell)  # (t, b, d) each
        opened = self._read(self.word_gate, words, picture)
        opened = opened + self.hidden_gate(shifted(hidden, after))
        sentinel = ops.sigmoid(opened) * ops.tanh(cells)  # (t, b, d), see `_sentinel`
        after, sentinel = words_second(after), words_second(sentinel)  # (b, t, d) each
        seen = self._look(after, sentinel, self.remember(grid, training))
        return seen.context + after, seen.weights

    def start(self, features: Tensor) -> State:
        """See `Decoder.start`."""
        nothing = self.nothing(features, self.settings.units)
        return nothing, nothing, self._picture(self.read_grid(features))

    def attend_step(
        self, tokens: Tensor, state: State, memory: Memory
    ) -> tuple[Tensor, State, Tensor]:
        """See `GridDecoder.attend_step`."""
        before, cell, picture = state
        read = ops.concatenate([self.read_words(tokens), picture], axis=-1)  # (b * k, 2e)
        after, cell = self._advance((before, cell), self.from_word(read))
        sentinel = self._sentinel(read, before, cell)  # (b * k, d)
        seen = self._look(by_picture(after, memory), by_picture(sentinel, memory), memory)
        context, weights = by_caption(seen.context), by_caption(seen.weights)
        return self.log_probabilities(context + after), (after, cell, picture), weights

    def _picture(self, grid: Tensor) -> Tensor:
        """Make of the mean place what each word is read beside: (b, p, f) -> (b, e)."""
        return self.to_picture(ops.mean(grid, axis=1))

    def _advance(self, state: State, word: Tensor) -> State:
        """Read a word's gates (b, 4d): the new hidden and cell state."""
        hidden, cell = state
        return lstm(word + self.from_hidden(hidden), cell)

    def _read(self, layer: keras.layers.Dense, words: Tensor, picture: Tensor) -> Tensor:
        """A layer of each word beside the picture, which is read once and not at each word.

        Args:
            layer: (..., 2e) -> (..., n).
            words: (t, b, e).
            picture: (b, e).

        Returns:
            (t, b, n).
        """
        if not layer.built:
            layer.build((None, 2 * self.settings.embedding))
        of_word, of_picture = ops.split(ops.cast(layer.kernel, words.dtype), 2, axis=0)
        seen = ops.matmul(picture, of_picture) + ops.cast(layer.bias, words.dtype)  # (b, n)
        return ops.matmul(words, of_word) + seen

    def _sentinel(self, read: Tensor, before: Tensor, cell: Tensor) -> Tensor:
        """Equations 9 and 10: what the LSTM remembers, as far as its gate lets it out."""
        gate = ops.sigmoid(self.word_gate(read) + self.hidden_gate(before))
        return gate * ops.tanh(cell)  # (..., d)

    def _look(self, hidden: Tensor, sentinel: Tensor, memory: Memory) -> Seen:
        """Equations 6, 7 and 11 to 13: hidden and sentinel (b, q, d)."""
        places, keys = memory[:2]
        query = self.to_query(hidden)  # (b, q, a)
        not_looking = self.to_weight(ops.tanh(query + self.sentinel_key(sentinel)))  # (b, q, 1)
        logits = ops.concatenate([self.logits(query, keys), not_looking], axis=-1)
        weights = ops.softmax(logits, axis=-1)  # (b, q, p + 1)
        context = ops.matmul(weights[..., :-1], places) + weights[..., -1:] * sentinel
        return Seen(context, weights)
