"""Products with gradients by hand, against what TensorFlow derives of the same, and numpy's."""

import keras
import numpy as np
import pytest
from keras import ops

from pipeline import backend
from pipeline.captioner.decoders.products import affine, in_loop, transposed

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="gradients are taken by TensorFlow's tape"
)

RNG = np.random.default_rng(7)
VALUES = RNG.normal(size=(3, 4, 5)).astype("float32")
MATRIX = RNG.normal(size=(5, 6)).astype("float32")
BIAS = RNG.normal(size=6).astype("float32")
WEIGHTS = RNG.normal(size=(3, 4, 6)).astype("float32")  # of what is found


def gradients(back_in: str | None, kind: str = "float32") -> tuple[np.ndarray, list[np.ndarray]]:
    """What is found, and the gradients of values, matrix and bias, float32 each."""
    import tensorflow as tf

    known = [tf.Variable(VALUES.astype(kind)), tf.Variable(MATRIX), tf.Variable(BIAS)]
    with tf.GradientTape() as tape:
        found = affine(*known, back_in)
        loss = tf.reduce_sum(tf.cast(found, "float32") * WEIGHTS)
    assert found.dtype == kind
    slopes = tape.gradient(loss, known)
    return numbers(found), [numbers(slope) for slope in slopes]


def numbers(values: object) -> np.ndarray:
    return ops.convert_to_numpy(ops.cast(values, "float32"))


def rounded(values: np.ndarray) -> np.ndarray:
    return numbers(ops.cast(values, "bfloat16"))


def expected(read: np.ndarray, matrix: np.ndarray, slopes: np.ndarray) -> list[np.ndarray]:
    rows = slopes.reshape(-1, 6)
    return [slopes @ matrix.T, read.reshape(-1, 5).T @ rows, rows.sum(axis=0)]


@pytest.mark.parametrize("transposes", [True, False])
def test_a_product_and_its_gradients_are_numpys(monkeypatch, transposes):
    monkeypatch.setattr(backend, "reads_transposed", lambda: transposes)
    found, slopes = gradients(None)
    np.testing.assert_allclose(found, VALUES @ MATRIX + BIAS, rtol=1e-5, atol=1e-6)
    for slope, wanted in zip(slopes, expected(VALUES, MATRIX, WEIGHTS), strict=True):
        np.testing.assert_allclose(slope, wanted, rtol=1e-5, atol=1e-5)


def test_backwards_products_may_have_16_bits_while_what_is_found_has_32():
    found, slopes = gradients("bfloat16")
    np.testing.assert_array_equal(found, gradients(None)[0])
    known = [rounded(values) for values in (VALUES, MATRIX, WEIGHTS)]
    for slope, wanted, whole in zip(slopes, expected(*known), gradients(None)[1], strict=True):
        np.testing.assert_allclose(slope, wanted, rtol=2**-7, atol=1e-3)
        assert (slope != whole).any()
        np.testing.assert_array_equal(slope, rounded(slope))  # so are what was multiplied


def test_weights_of_32_bits_are_multiplied_in_the_bits_of_the_values():
    found, slopes = gradients(None, "bfloat16")
    wanted = rounded(VALUES) @ rounded(MATRIX) + rounded(BIAS)
    np.testing.assert_allclose(found, wanted, rtol=2**-6, atol=2**-5)
    for slope, of_whole in zip(slopes, expected(VALUES, MATRIX, WEIGHTS), strict=True):
        np.testing.assert_allclose(slope, of_whole, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("transposes", [True, False])
@pytest.mark.parametrize("kind", ["float32", "bfloat16"])
def test_however_a_matrix_is_laid_it_says_the_same(monkeypatch, transposes, kind):
    monkeypatch.setattr(backend, "reads_transposed", lambda: transposes)
    matrix = ops.cast(MATRIX, kind)
    np.testing.assert_array_equal(numbers(transposed(matrix)), numbers(matrix).T)
    rows = ops.cast(VALUES[0], kind)
    product = numbers(ops.matmul(rows, matrix))
    np.testing.assert_allclose(numbers(in_loop(matrix)(rows)), product, rtol=2**-6, atol=2**-5)
