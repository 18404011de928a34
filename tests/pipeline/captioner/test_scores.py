"""The layers that score every word: what they say, and in how many bits their gradients are."""

import keras
import numpy as np
import pytest
from keras import ops

from pipeline.captioner.decoders.scores import IMPOSSIBLE, NEVER, Scoring, TiedScores

RNG = np.random.default_rng(9)
OUTPUTS = RNG.normal(size=(2, 3, 5)).astype("float32")
VECTORS = RNG.normal(size=(8, 5)).astype("float32")  # of eight words
POSSIBLE = [word for word in range(8) if word not in NEVER]


def numbers(values: object) -> np.ndarray:
    return ops.convert_to_numpy(ops.cast(values, "float32"))


def score(kind: type, back_in: str, outputs: object, training: bool) -> object:
    """Score by the same vectors, whichever layer has them."""
    if kind is TiedScores:
        words = keras.layers.Embedding(8, 5)
        words.build()
        words.embeddings.assign(VECTORS)
        return TiedScores(8, back_in)(outputs, words=words, training=training)
    columns = keras.layers.Dense(8)
    columns.build((None, 5))
    columns.kernel.assign(VECTORS.T)
    return Scoring(8, back_in)(outputs, columns=columns, training=training)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("kind", [Scoring, TiedScores])
def test_words_are_scored_by_their_vectors_and_marks_never(kind, training):
    logits = numbers(score(kind, "float32", OUTPUTS, training))
    expected = OUTPUTS @ VECTORS.T
    np.testing.assert_allclose(logits[..., POSSIBLE], expected[..., POSSIBLE], rtol=1e-5)
    assert (logits[..., list(NEVER)] <= IMPOSSIBLE / 2).all()


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="by TensorFlow's tape")
@pytest.mark.parametrize("kind", [Scoring, TiedScores])
def test_in_training_gradients_are_multiplied_in_the_bits_asked_for(kind):
    """And what is scored is float32, whatever comes in."""
    import tensorflow as tf

    found = {}
    for back_in in ("float32", "bfloat16"):
        outputs = tf.Variable(OUTPUTS)
        with tf.GradientTape() as tape:
            logits = score(kind, back_in, outputs, training=True)
            loss = tf.reduce_sum(tf.math.log_softmax(logits)[..., 2])
        assert logits.dtype == tf.float32
        found[back_in] = numbers(tape.gradient(loss, outputs))
    whole, half = found["float32"], found["bfloat16"]
    np.testing.assert_allclose(half, whole, atol=0.05)
    np.testing.assert_array_equal(half, numbers(ops.cast(half, "bfloat16")))
    assert (whole != half).any()
