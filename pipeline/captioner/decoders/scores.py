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


class _Scores(keras.layers.Layer):
    """What layers that score words have in common: marks that no caption contains are left out.

    Args:
        vocabulary_size: v.
        back_in: what gradients are multiplied in, see `products.affine`.
        name: of the layer.
    """

    def __init__(self, vocabulary_size: int, back_in: str, name: str) -> None:
        super().__init__(dtype="float32", name=name)
        self.back_in = back_in
        self.never = np.zeros(vocabulary_size, "float32")
        self.never[list(NEVER)] = IMPOSSIBLE

    def scored(self, outputs: Tensor, matrix: Any, bias: Any, training: bool) -> Tensor:
        """Outputs (..., n), matrix (n, v), bias (v,) -> logits, float32 (..., v).

        With a gradient by hand in training alone, so that what is exported is plain.
        """
        bias = bias + self.never
        if training:
            return affine(outputs, matrix, bias, self.back_in)
        return ops.matmul(outputs, matrix) + bias


class Scoring(_Scores):
    """Scores words by the columns of a layer's matrix.

    It has no weights of its own: they are those of a plain layer, as bundles always had them.
    """

    def __init__(self, vocabulary_size: int, back_in: str) -> None:
        super().__init__(vocabulary_size, back_in, name="scoring")

    def call(self, outputs: Tensor, columns: keras.layers.Dense, training: bool = False) -> Tensor:
        """(..., d) and the layer with the matrix, (d, v) -> logits, float32 (..., v)."""
        if not columns.built:
            columns.build((None, outputs.shape[-1]))
        return self.scored(outputs, columns.kernel, columns.bias, training)


class TiedScores(_Scores):
    """Scores words by their own vectors, so that a word is read and said by the same numbers.

    Press and Wolf, "Using the Output Embedding to Improve Language Models" (2017); Inan, Khosravi
    and Socher, "Tying Word Vectors and Word Classifiers" (2017).
    """

    def __init__(self, vocabulary_size: int, back_in: str) -> None:
        super().__init__(vocabulary_size, back_in, name="scores")
        self.bias = self.add_weight(shape=(vocabulary_size,), initializer="zeros", name="bias")

    def call(
        self, outputs: Tensor, words: keras.layers.Embedding, training: bool = False
    ) -> Tensor:
        """(..., e) and the layer of word vectors, (v, e) -> logits, float32 (..., v).

        The vectors are taken here, where nothing rounds them to the 16 bits in which the rest of a
        decoder may compute: `step`, which captions are searched with, takes them as they are.
        """
        return self.scored(outputs, ops.transpose(words.embeddings), self.bias, training)
