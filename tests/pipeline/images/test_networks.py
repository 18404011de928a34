"""The networks: complete, and each with the preprocessing that it was trained with."""

from typing import get_args

import keras
import numpy as np
import pytest

from pipeline.images.compact import (
    EPSILON,
    MOMENTUM,
    Convolution,
    NormalisedPointwise,
    Places,
)
from pipeline.images.networks import NETWORKS, before_pooling, with_preprocessing
from pipeline.images.settle import EncoderSettings

PIXELS = np.random.default_rng(1).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
MODULES = {
    "ResNet50": keras.applications.resnet,
    "ResNet101": keras.applications.resnet,
    "InceptionV3": keras.applications.inception_v3,
    "Xception": keras.applications.xception,
    "MobileNetV2": keras.applications.mobilenet_v2,
    **{
        name: keras.applications.efficientnet_v2
        for name in NETWORKS
        if name.startswith("EfficientNetV2")
    },
}


def test_settings_name_every_network_and_no_other():
    assert set(get_args(EncoderSettings.model_fields["network"].annotation)) == set(NETWORKS)


@pytest.mark.parametrize("name", sorted(set(NETWORKS) - {"compact"}))
def test_preprocessing_is_that_of_keras_applications(name):
    expected = MODULES[name].preprocess_input(PIXELS.astype("float32"))
    ours = NETWORKS[name].preprocess(keras.ops.cast(PIXELS, "float32"))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(ours), expected, atol=1e-5)


@pytest.mark.parametrize(("name", "features"), [("compact", 2048), ("MobileNetV2", 1280)])
def test_a_network_turns_pictures_into_features(name, features):
    keras.utils.set_random_seed(1)
    body = NETWORKS[name].body(None, 32)
    model = with_preprocessing(body, NETWORKS[name], 32)
    assert model.output_shape == (None, features)
    got = model.predict_on_batch(PIXELS)
    assert got.dtype == np.float32
    expected = body.predict_on_batch(NETWORKS[name].preprocess(PIXELS.astype("float32")))
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)
    assert np.abs(got[0] - got[1]).max() > 0


@pytest.mark.parametrize(
    ("name", "side", "shape"),
    [
        ("compact", 96, (12, 12, 1024)),
        ("MobileNetV2", 96, (3, 3, 1280)),
        pytest.param("ResNet50", 224, (7, 7, 2048), marks=pytest.mark.slow),
        ("EfficientNetV2B0", 96, (3, 3, 1280)),  # which pools in its inside, too
    ],
)
def test_before_pooling_there_is_a_map(name, side, shape):
    body = NETWORKS[name].body(None, side)
    assert before_pooling(body).output_shape == (None, *shape)


@pytest.mark.slow
def test_inception_sees_299_pixels_and_gives_a_grid_of_8_by_8():
    network = NETWORKS["InceptionV3"]
    keras.utils.set_random_seed(1)
    body = network.body(None, network.side)
    grid = with_preprocessing(before_pooling(body), network, network.side)
    pixels = np.random.default_rng(1).integers(0, 256, (1, 299, 299, 3), dtype=np.uint8)
    found = grid.predict_on_batch(pixels)
    assert (found.shape, found.dtype) == ((1, 8, 8, 2048), np.float32)
    assert np.isfinite(found).all()
    assert found.std((1, 2)).max() > 0, "places differ"
    average = with_preprocessing(body, network, network.side).predict_on_batch(pixels)
    np.testing.assert_allclose(found.mean((1, 2)), average, rtol=1e-3, atol=1e-6)


def test_places_are_x_and_y_from_minus_one_to_one():
    values = keras.ops.convert_to_numpy(Places()(np.zeros((2, 3, 5, 3), "float32")))
    assert values.shape == (2, 3, 5, 5)
    assert values[1, 0, :, 3].tolist() == [-1, -0.5, 0, 0.5, 1]  # x, rightwards
    assert values[1, :, 0, 4].tolist() == [-1, 0, 1]  # y, downwards


def test_the_pointwise_layer_is_a_convolution_batch_normalisation_and_relu():
    keras.utils.set_random_seed(3)
    scales = np.random.default_rng(3).random(7)
    values = (np.random.default_rng(4).random((6, 5, 4, 7)) * scales).astype("float32")
    merged = NormalisedPointwise(9)
    merged.build(values.shape)
    separate = keras.Sequential(
        [
            keras.Input(values.shape[1:]),
            Convolution(9, 1, 1),
            keras.layers.BatchNormalization(momentum=MOMENTUM, epsilon=EPSILON),
            keras.layers.ReLU(),
        ]
    )
    convolution, normalisation, _ = separate.layers
    for one in (merged, normalisation):
        one.gamma.assign(np.linspace(0.5, 2, 9))
        one.beta.assign(np.linspace(-1, 1, 9))
    convolution.kernel.assign(merged.kernel)
    for training in (True, True, False):  # the last one with the moments that have run along
        found, expected = merged(values, training=training), separate(values, training=training)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(merged.mean, normalisation.moving_mean, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(merged.variance, normalisation.moving_variance, rtol=1e-4)
