"""What every decoder is: a language model of captions, given a picture.

Shapes: `b` pictures, `t` words a caption, `v` words of the vocabulary, `d` units, `e` width of a
word vector, `f` features, `p` places of a grid (h * w), `k` captions a picture while searching.

A decoder is used in two ways that must agree, and a test compares them:

    call((features, tokens))     all words at once, the true words before each given (teacher
                                 forcing); for training, with the fast LSTM kernel where it can
    start(features), memory(features), then step(tokens, state, memory) again and again
                                 one word at a time; for search

`state` belongs to a caption, and search picks rows of it; `memory` belongs to a picture, is worked
out once and never copied, however many captions of the picture are searched.
"""

from typing import Any, Literal, Self

import keras
import numpy as np
from keras import ops
from pydantic import Field

from pipeline.backend import has_gpu
from pipeline.captioner.decoders.products import Tensor as Tensor
from pipeline.captioner.decoders.products import affine
from pipeline.captioner.decoders.recurrence import lstm_words, words_first, words_second
from pipeline.captioner.decoders.scores import NEVER, Scoring, TiedScores
from pipeline.params import Settings

State = tuple[Tensor, ...]  # each (b, ...): search picks rows from all of them alike
Memory = tuple[Tensor, ...]  # each (b, ...), one row a picture


class DecoderSettings(Settings):
    """What the shape of a decoder depends on: needed to build it again from its weights."""

    decoder: Literal[
        "inject", "inject_pre", "inject_par", "merge", "attention", "adaptive", "top_down"
    ]
    units: int = Field(ge=1)  # of the LSTM, d
    embedding: int = Field(ge=1)  # width of a word vector
    dropout: float = Field(ge=0, lt=1)  # share of values dropped: picture, words, LSTM output
    tie_weights: bool  # score words by their own vectors
    layer_norm: bool  # normalise what the LSTM reads and what words are scored from
    variational_dropout: bool  # drop the same values at every word of a caption
    attention_width: int | None = Field(ge=1)  # a query and a place are compared in; None: its own

    @classmethod
    def plain(cls, **shape: Any) -> Self:
        """Make settings; what `shape` does not name is off, as in a bundle of version 1."""
        return cls(**{**PLAIN, **shape})


SINCE: dict[int, dict[str, Any]] = {  # version of a bundle -> what it says first, and what is off
    2: {"tie_weights": False, "layer_norm": False, "variational_dropout": False},
    3: {"attention_width": None},
}
PLAIN: dict[str, Any] = SINCE[2] | SINCE[3]


class Decoder(keras.Model):
    """Base of the decoders: word vectors, what reads them, and the layer that scores every word.

    Args:
        settings: the shape.
        vocabulary_size: v, the four marks counted in.
    """

    needs_grid = False  # whether pooled features are not enough
    attends = False  # whether `attend_all` can tell where on a grid it looks
    feature_shape: tuple[int, ...] = ()  # of one picture: (f,) or (h, w, f); `build` sets it

    def __init__(self, settings: DecoderSettings, vocabulary_size: int) -> None:
        super().__init__(name=settings.decoder)
        self.settings = settings
        self.vocabulary_size = vocabulary_size
        self.embed = keras.layers.Embedding(vocabulary_size, settings.embedding, name="words")
        self.make_reader()
        if settings.tie_weights:
            self.to_vocabulary = TiedScores(vocabulary_size, self.compute_dtype)
            if settings.units != settings.embedding:
                self.to_word_vector = keras.layers.Dense(
                    settings.embedding, use_bias=False, name="word_vector"
                )
        else:
            self.to_vocabulary = keras.layers.Dense(vocabulary_size, dtype="float32", name="scores")
            self.score = Scoring(vocabulary_size, self.compute_dtype)
        self.dropout = keras.layers.Dropout(settings.dropout)
        if settings.variational_dropout:
            # Gal and Ghahramani, "A Theoretically Grounded Application of Dropout in Recurrent
            # Neural Networks" (2016), on what enters and leaves the LSTM. Their mask on its
            # recurrence is left out: it would turn cuDNN's kernel off.
            self.word_dropout = keras.layers.Dropout(
                settings.dropout, noise_shape=(None, 1, None), name="word_dropout"
            )
        if settings.layer_norm:
            # Ba, Kiros and Hinton, "Layer Normalization" (2016), but around the LSTM and not on
            # the gates inside it: that, too, would turn cuDNN's kernel off.
            # Fresh word vectors are small: Keras's own epsilon, 0.001, is more than their variance.
            self.normalise_words = keras.layers.LayerNormalization(
                epsilon=1e-5, name="words_normalised"
            )
            self.normalise_output = keras.layers.LayerNormalization(
                epsilon=1e-5, name="output_normalised"
            )

    def make_reader(self) -> None:
        """Make the layers that read the words: an LSTM, where a decoder has no other need."""
        # No recurrent dropout and no mask, as either would turn cuDNN's kernel off. Padding is at
        # the end, so it cannot change what comes before it.
        self.lstm = keras.layers.LSTM(
            self.settings.units, return_sequences=True, return_state=True, name="lstm"
        )

    def call(self, inputs: tuple[Tensor, Tensor], training: bool = False) -> Tensor:
        """Score each next word, the true words before it given.

        Args:
            inputs: features (b, f), or (b, h, w, f) for grids, and token ids (b, t) from START on.
            training: whether to drop values.

        Returns:
            Logits, float32 (b, t, v); those of padding, start and unknown are -1e9.
        """
        raise TypeError(f"{type(self).__name__} must define call")

    def start(self, features: Tensor) -> State:
        """Begin captions: features (b, f) or (b, h, w, f) -> the state before the first word."""
        raise TypeError(f"{type(self).__name__} must define start")

    def memory(self, features: Tensor) -> Memory:
        """Work out what every step looks at again: nothing, unless a decoder attends to a grid."""
        del features
        return ()

    def step(self, tokens: Tensor, state: State, memory: Memory = ()) -> tuple[Tensor, State]:
        """Go on by one word.

        Args:
            tokens: the last word of each caption, (b * k,): k captions a picture, side by side.
            state: of each caption, (b * k, ...).
            memory: of each picture, (b, ...).

        Returns:
            Log-probabilities of the next word, float32 (b * k, v), and the state after `tokens`.
        """
        raise TypeError(f"{type(self).__name__} must define step")

    def attend_all(
        self, inputs: tuple[Tensor, Tensor], training: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Read whole captions, the true words given, and tell where the decoder looks.

        Args:
            inputs: as for `call`; features (b, h, w, f).
            training: whether to drop values.

        Returns:
            What the next word is scored from, (b, t, d), and the weights of the places at each
            word, (b, t, p), or (b, t, p + 1) with a sentinel.
        """
        raise TypeError(f"{type(self).__name__} does not attend to a grid")

    def read_words(self, tokens: Tensor, training: bool = False) -> Tensor:
        """Turn token ids into what the LSTM reads: (b, t) -> (b, t, e), or (b,) -> (b, e)."""
        words = self.embed(tokens)
        if self.settings.layer_norm:
            words = self.normalise_words(words)
        return self.drop_over_words(words, training) if training else words

    def read_all(self, words: Tensor, state: State | None = None) -> Tensor:
        """Run the LSTM over whole captions, by the fastest kernel that there is.

        Keras has cuDNN's on a GPU; elsewhere its loop multiplies the words, and for the gradients
        of the weights, one word at a time.

        Args:
            words: what it reads, (b, t, n).
            state: hidden and cell state before the first, (b, d) each; none: zeros.

        Returns:
            Its hidden state after each word, (b, t, d).
        """
        if self.has_kernel():
            return self.lstm(words, initial_state=list(state) if state else None)[0]
        if not self.lstm.built:
            self.lstm.build((None, None, words.shape[-1]))
        if state is None:
            nothing = ops.zeros((ops.shape(words)[0], self.settings.units), words.dtype)
            state = nothing, nothing
        cell = self.lstm.cell
        gates = affine(words_first(words), cell.kernel, cell.bias)  # (b, t, n) -> (t, b, 4d)
        return words_second(lstm_words(gates, cell.recurrent_kernel, *state)[0])

    def has_kernel(self) -> bool:
        """Whether Keras can run cuDNN's LSTM: under JAX it can in float32 alone."""
        whole = self.compute_dtype == "float32"
        return has_gpu() and (whole or keras.backend.backend() != "jax")

    def drop_over_words(self, values: Tensor, training: bool) -> Tensor:
        """Drop values of (b, t, n) in training: other ones at every word, or the same at all."""
        layer = self.word_dropout if self.settings.variational_dropout else self.dropout
        return layer(values, training=training)

    def scores(self, outputs: Tensor, training: bool = False) -> Tensor:
        """Logits of the next word: (..., d) -> float32 (..., v); in training (b, t, d)."""
        if self.settings.layer_norm:
            outputs = self.normalise_output(outputs)
        if training:
            outputs = self.drop_over_words(outputs, training)
        if not self.settings.tie_weights:
            return self.score(outputs, columns=self.to_vocabulary, training=training)
        if self.settings.units != self.settings.embedding:
            outputs = self.to_word_vector(outputs)  # (..., d) -> (..., e)
        return self.to_vocabulary(outputs, words=self.embed, training=training)

    def log_probabilities(self, outputs: Tensor) -> Tensor:
        """Log-probabilities of the next word: (b, d) -> float32 (b, v)."""
        return ops.log_softmax(self.scores(outputs), axis=-1)

    def start_output_bias(self, counts: np.ndarray) -> None:
        """Set the output bias to log word frequencies, so that training begins at the unigrams.

        After Karpathy and Fei-Fei (2015), section 3.1.4 of the code's notes: it saves the first
        epochs, which would otherwise be spent on learning how frequent each word is.

        Args:
            counts: of each id in the training captions, (v,).
        """
        smoothed = np.maximum(counts.astype("float64"), 1.0)
        smoothed[list(NEVER)] = 1.0  # their logits are out anyway
        self.to_vocabulary.bias.assign(np.log(smoothed / smoothed.sum()).astype("float32"))

    def start_word_vectors(self, matrix: np.ndarray, trainable: bool) -> None:
        """Begin with word vectors that were learned elsewhere; to be called before `compile`.

        Args:
            matrix: of every id of the vocabulary, (v, e).
            trainable: whether training changes them.
        """
        self.embed.embeddings.assign(matrix.astype("float32"))
        self.embed.trainable = trainable


def pooled(features: Tensor) -> Tensor:
    """Average a grid over its places: (b, h, w, f) -> (b, f); pooled features stay as they are."""
    return features if len(features.shape) == 2 else ops.mean(features, axis=(1, 2))
