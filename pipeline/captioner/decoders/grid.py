"""What the decoders that attend to a grid have in common.

Letters as in `base`; `a` width of what a query and a place are compared in.

Beside its words, such a decoder can tell where it looked: weights over the places of the grid, in
rows from the top left, that add up to 1 for each word. A decoder with a sentinel has one weight
more, the last: how far it did not look at all.

The grid is projected once a picture, the words of a whole caption at once, and every score of the
vocabulary at once; only what depends on the word before is left to the loop over the words.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from pipeline.captioner.decoders.base import Decoder, Memory, State, Tensor
from pipeline.captioner.decoders.recurrence import lstm_step

# Added to the forget gates, so that a fresh LSTM remembers: Jozefowicz, Zaremba and Sutskever, "An
# Empirical Exploration of Recurrent Network Architectures" (2015).
REMEMBER = 1.0


class Seen(NamedTuple):
    """What a decoder saw and where.

    Attributes:
        context: the places, weighted: (b, q, d) for q queries a picture.
        weights: of the places, (b, q, p), or (b, q, p + 1) with a sentinel; their sum is 1.
    """

    context: Tensor
    weights: Tensor


class GridDecoder(Decoder):
    """Base of the decoders that attend to a grid.

    Places are the grid's features, normalised and projected to the units of the LSTM, (b, p, d).
    The papers attend to the CNN's own features, or to such a projection; with 49 places of 1,280
    or 2,048 features the projection is what makes a step affordable.
    """

    needs_grid = True
    attends = True
    has_sentinel = False

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        if keras.backend.backend() == "tensorflow":
            # Its scan sets no bound on the number of steps, which XLA needs for the gradient.
            self.supports_jit = False
        # Over the whole grid, so that a place that says little stays so beside the others. Without
        # weights of its own, as the projection has them: no gradient has to go this far.
        self.normalise = keras.layers.LayerNormalization(
            axis=(1, 2), center=False, scale=False, name="grid_normalised"
        )
        self.drop_features = keras.layers.Dropout(
            self.settings.dropout, noise_shape=(None, 1, None), name="grid_dropout"
        )
        self.to_places = keras.layers.Dense(self.settings.units, activation="relu", name="places")
        width = self.settings.attention_width or self.usual_width()
        self.to_keys = keras.layers.Dense(width, name="keys")
        self.to_query = self.inner("query", self.settings.units, width, use_bias=False)
        self.to_weight = self.inner("weight", width, 1, use_bias=False)

    def usual_width(self) -> int:
        """Tell the width in which queries and places are compared where none is set, a."""
        return self.settings.units

    def inner(self, name: str, width: int, units: int, **options: Any) -> keras.layers.Dense:
        """Make a layer that the loop over the words uses: (..., width) -> (..., units).

        It is built here, as JAX lets no weights be made inside a loop.
        """
        layer = keras.layers.Dense(units, name=name, **options)
        layer.build((None, width))
        return layer

    def recurrent(self, name: str) -> keras.layers.Dense:
        """Make the layer from a hidden state to an LSTM's gates: (b, d) -> (b, 4d)."""
        units = self.settings.units
        return self.inner(name, units, 4 * units, use_bias=False, kernel_initializer="orthogonal")

    def attend_all(
        self, inputs: tuple[Tensor, Tensor], training: bool = False
    ) -> tuple[Tensor, Tensor]:
        """See `Decoder.attend_all`."""
        raise TypeError(f"{type(self).__name__} must define attend_all")

    def attend_step(
        self, tokens: Tensor, state: State, memory: Memory
    ) -> tuple[Tensor, State, Tensor]:
        """Go on by one word as `step` does; the weights of the places come third, (b * k, p)."""
        raise TypeError(f"{type(self).__name__} must define attend_step")

    def call(self, inputs: tuple[Tensor, Tensor], training: bool = False) -> Tensor:
        """See `Decoder.call`."""
        return self.score_and_look(inputs, training)[0]

    def score_and_look(
        self, inputs: tuple[Tensor, Tensor], training: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Score each next word as `call` does, (b, t, v), and tell the weights of `attend_all`."""
        outputs, weights = self.attend_all(inputs, training)
        return self.scores(outputs, training), weights

    def step(self, tokens: Tensor, state: State, memory: Memory = ()) -> tuple[Tensor, State]:
        """See `Decoder.step`."""
        log_probs, state, _ = self.attend_step(tokens, state, memory)
        return log_probs, state

    def memory(self, features: Tensor) -> Memory:
        """Project a grid (b, h, w, f) to places (b, p, d) and the keys they are found by."""
        return self.remember(self.read_grid(features), training=False)

    def read_grid(self, features: Tensor, training: bool = False) -> Tensor:
        """Put a grid's places in a row, and normalise: (b, h, w, f) -> (b, p, f).

        In training some features are dropped, the same at all places: what is dropped at one place
        alone could be read from the place beside it, and pictures would be learned by heart.
        """
        height, width, depth = features.shape[1:]
        grid = self.normalise(ops.reshape(features, (-1, height * width, depth)))
        return self.drop_features(grid, training=training)

    def remember(self, grid: Tensor, training: bool) -> Memory:
        """See `memory`; the grid is as `read_grid` gives it, (b, p, f)."""
        places = self.to_places(grid)  # (b, p, f) -> (b, p, d)
        places = self.dropout(places, training=training)
        return places, self.to_keys(places)  # (b, p, d), (b, p, a)

    def look(self, query: Tensor, memory: Memory) -> Seen:
        """Look at the grid once for each query: (b, q, d).

        Additive attention: weights softmax(u . tanh(keys + W query)) (Bahdanau et al. 2015).
        """
        places, keys = memory[:2]
        weights = ops.softmax(self.logits(self.to_query(query), keys), axis=-1)
        return Seen(ops.matmul(weights, places), weights)

    def logits(self, query: Tensor, keys: Tensor) -> Tensor:
        """Compare each query with each place: (b, q, a), (b, p, a) -> (b, q, p)."""
        # Not by indexing with None and 0: the gradient of that copies all of it into zeros.
        compared = ops.tanh(ops.expand_dims(query, 2) + ops.expand_dims(keys, 1))  # (b, q, p, a)
        return ops.squeeze(self.to_weight(compared), -1)

    def look_each(self, query: Tensor, memory: Memory) -> Seen:
        """Look for captions side by side, k a picture: query (b * k, d), as is what is seen."""
        seen = self.look(by_picture(query, memory), memory)  # (b, k, ...)
        return Seen(by_caption(seen.context), by_caption(seen.weights))

    def nothing(self, features: Tensor, width: int) -> Tensor:
        """Zeros for each picture, (b, width): what a state begins with."""
        return ops.zeros((ops.shape(features)[0], width), self.compute_dtype)


def lstm(gates: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """One step of an LSTM: its gates before their functions, (b, 4d), and its cell state, (b, d).

    To the forget gate REMEMBER is added.

    Returns:
        The new hidden and cell state, (b, d) each.
    """
    return lstm_step(gates, cell, remember=REMEMBER)


def remembering(units: int) -> np.ndarray:
    """What `lstm` adds to its gates, (4d,), for loops that add it to all words at once."""
    return np.repeat(np.array([0, REMEMBER, 0, 0], "float32"), units)


def over_words(advance: Callable[[State, Tensor], State], state: State, words: Tensor) -> State:
    """Run a recurrence over the words of whole captions, in one compiled loop.

    Args:
        advance: state before a word and what is known of the word, (b, g) -> state after it.
        state: before the first word, (b, ...) each.
        words: what is known of each word beforehand, (b, t, g).

    Returns:
        The state after each word, (b, t, ...) each.
    """

    def step(before: State, word: Tensor) -> tuple[State, State]:
        after = advance(before, word)
        return after, after

    _, states = ops.scan(step, state, ops.swapaxes(words, 0, 1))
    return tuple(ops.swapaxes(part, 0, 1) for part in states)


def by_picture(rows: Tensor, memory: Memory) -> Tensor:
    """Put captions that lie side by side under their picture: (b * k, n) -> (b, k, n)."""
    pictures = ops.shape(memory[0])[0]
    return ops.reshape(rows, (pictures, ops.shape(rows)[0] // pictures, rows.shape[-1]))


def by_caption(groups: Tensor) -> Tensor:
    """Undo `by_picture`: (b, k, n) -> (b * k, n)."""
    return ops.reshape(groups, (-1, groups.shape[-1]))
