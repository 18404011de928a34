"""Cross-entropy by hand, against numpy's and against what TensorFlow derives of the same."""

import numpy as np
import pytest
from keras import ops

from pipeline.captioner import crossentropy
from pipeline.captioner.crossentropy import nats_of

RNG = np.random.default_rng(5)
LOGITS = RNG.normal(0, 2, (3, 4, 7)).astype("float32")
LOGITS[..., 0] = -1e9  # of a mark that is never said
TARGETS = RNG.integers(1, 7, (3, 4)).astype("int32")
OTHERS = np.array([0, 0.1, 0.2, 0.3, 0.1, 0.1, 0.2], "float32")
WEIGHTS = RNG.normal(size=(2, 3, 4)).astype("float32")  # of plain and smoothed


def wanted(smoothing: float) -> np.ndarray:
    return (1.0 - smoothing) * np.eye(7)[TARGETS] + smoothing * OTHERS


def log_probs(logits: np.ndarray) -> np.ndarray:
    logits = logits.astype("float64")
    logits = logits - logits.max(-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
def test_nats_are_numpys(smoothing):
    found = nats_of(LOGITS, TARGETS, smoothing, OTHERS)
    for nats, share in zip(found, (0.0, smoothing), strict=True):
        expected = -(wanted(share) * log_probs(LOGITS)).sum(-1)
        np.testing.assert_allclose(ops.convert_to_numpy(nats), expected, rtol=1e-5)


def test_a_word_that_is_out_of_the_question_costs_what_its_logit_says():
    """Its share is 0 in float32, whose logarithm would be infinite."""
    logits = np.array([[[300.0, 0.0, -500.0, 290.0]]], "float32")
    for target, nats in enumerate([0.0, 300.0, 800.0, 10.0]):
        plain, _ = nats_of(logits, np.array([[target]], "int32"))
        np.testing.assert_allclose(ops.convert_to_numpy(plain), [[nats]], rtol=1e-5, atol=1e-4)


def test_smoothed_is_plain_where_nothing_is_mixed_in():
    plain, smoothed = nats_of(LOGITS, TARGETS)
    np.testing.assert_array_equal(ops.convert_to_numpy(plain), ops.convert_to_numpy(smoothed))


@pytest.mark.parametrize("on_gpu", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
def test_the_gradient_is_softmax_less_what_was_wanted(monkeypatch, smoothing, on_gpu):
    import tensorflow as tf

    monkeypatch.setattr(crossentropy, "has_gpu", lambda: on_gpu)
    logits = tf.convert_to_tensor(LOGITS)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        plain, smoothed = nats_of(logits, TARGETS, smoothing, OTHERS)
        loss = ops.sum(WEIGHTS[0] * plain + WEIGHTS[1] * smoothed)
    expected = sum(
        weights[..., None] * (np.exp(log_probs(LOGITS)) - wanted(share))
        for weights, share in zip(WEIGHTS, (0.0, smoothing), strict=True)
    )
    np.testing.assert_allclose(tape.gradient(loss, logits), expected, atol=1e-6)
