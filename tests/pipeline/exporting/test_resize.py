"""The resize inside a graph gives Pillow's bytes."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.exporting import resize

SIDE = 24


@pytest.fixture(scope="module")
def bilinear():
    signature = [tf.TensorSpec((None, None, 3), tf.uint8)]
    return tf.function(lambda pixels: resize.bilinear(pixels, SIDE), signature, autograph=False)


def by_pillow(pixels: np.ndarray, side: int) -> np.ndarray:
    return np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.BILINEAR))


@given(
    height=st.integers(1, 300),
    width=st.integers(3, 300),  # Pillow turns the order round where height > 100 * width
    seed=st.integers(0, 2**32 - 1),
    extreme=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_it_is_pillows_to_the_byte(bilinear, height, width, seed, extreme):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    if extreme:
        pixels = np.where(pixels > 127, 255, 0).astype(np.uint8)
    np.testing.assert_array_equal(bilinear(pixels), by_pillow(pixels, SIDE))


def test_weights_of_a_pixel_add_up_to_one():
    for length in (1, 2, 23, 24, 25, 1000):
        first, weights = resize.weights_of(tf.constant(length), SIDE)
        total = weights.numpy().sum(axis=1) / (1 << resize.PRECISION)
        np.testing.assert_allclose(total, 1.0, atol=1e-5)
        assert (first.numpy() >= 0).all()
        assert (first.numpy() < length).all()


def test_memory_does_not_grow_with_the_number_of_neighbours(bilinear):
    # 1,300 neighbours a row: all at once they would be 24 x 15,000 x 1,300 x 3 numbers of 4 bytes.
    pixels = np.zeros((15_600, 200, 3), np.uint8)
    pixels[:, ::2] = 255
    assert 120 <= bilinear(pixels).numpy().mean() <= 135
