"""The layer that scores every word of the vocabulary: by a column of its own, or by its vector.

It has nearly half of the arithmetic of a training, and in 16 bits most of its time: what is scored,
and the loss, are float32 whatever a decoder computes in.

Letters as in `base`.
"""

from typing import Any

import keras
import numpy as np
from keras import ops

from pipeline.captioner.decoders.products import Tensor, affine
from pipeline.text.marks import PAD, START, UNKNOWN

NEVER = (PAD, START, UNKNOWN)  # ids that no caption contains
IMPOSSIBLE = -1e9  # a logit so low that its probability is 0 in every precision


class Scoring(keras.layers.Layer):
    """Scores words by the columns of a layer's matrix.

    It has no weights of its own: they are those of a plain layer, as bundles always had them.

    Args:
        vocabulary_size: v.
        back_in: what gradients are multiplied in, see `products.affine`.
    """

    def __init__(self, vocabulary_size: int, back_in: str) -> None:
        super().__init__(dtype="float32", name="scoring")
        self.back_in, self.never = back_in, never(vocabulary_size)

    def call(self, outputs: Tensor, columns: keras.layers.Dense, training: bool = False) -> Tensor:
        """(..., d) and the layer with the matrix, (d, v) -> logits, float32 (..., v)."""
        if not columns.built:
            columns.build((None, outputs.shape[-1]))
        bias = columns.bias + self.never
        return _scored(outputs, columns.kernel, bias, self.back_in, training)


class TiedScores(keras.layers.Layer):
    """Scores words by their own vectors, so that a word is read and said by the same numbers.

    Press and Wolf, "Using the Output Embedding to Improve Language Models" (2017); Inan, Khosravi
    and Socher, "Tying Word Vectors and Word Classifiers" (2017).

    Args:
        vocabulary_size: v.
        back_in: what gradients are multiplied in, see `products.affine`.
    """

    def __init__(self, vocabulary_size: int, back_in: str) -> None:
        super().__init__(dtype="float32", name="scores")
        self.back_in, self.never = back_in, never(vocabulary_size)
        self.bias = self.add_weight(shape=(vocabulary_size,), initializer="zeros", name="bias")

    def call(
        self, outputs: Tensor, words: keras.layers.Embedding, training: bool = False
    ) -> Tensor:
        """(..., e) and the layer of word vectors, (v, e) -> logits, float32 (..., v).

        The vectors are taken here, where nothing rounds them to the 16 bits in which the rest of a
        decoder may compute: `step`, which captions are searched with, takes them as they are.
        """
        matrix = ops.transpose(words.embeddings)
        return _scored(outputs, matrix, self.bias + self.never, self.back_in, training)


def never(vocabulary_size: int) -> np.ndarray:
    """What is added to the bias of every word: IMPOSSIBLE to those of NEVER, float32 (v,)."""
    added = np.zeros(vocabulary_size, "float32")
    added[list(NEVER)] = IMPOSSIBLE
    return added


def _scored(outputs: Tensor, matrix: Any, bias: Tensor, back_in: str, training: bool) -> Tensor:
    """The product; with a gradient by hand in training alone, so that what is exported is plain."""
    if training:
        return affine(outputs, matrix, bias, back_in)
    return ops.matmul(outputs, matrix) + bias
