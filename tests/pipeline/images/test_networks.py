"""The networks: complete, and each with the preprocessing that it was trained with."""

from typing import get_args

import keras
import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.images.compact import (
    EPSILON,
    MOMENTUM,
    Convolution,
    NormalisedPointwise,
    Places,
)
from pipeline.images.networks import (
    NETWORKS,
    before_pooling,
    beside,
    build,
    layers_of,
    with_preprocessing,
)
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


EARLIER = ["block_13_expand_relu", "block_2_add"]  # of 6 x 6 and 24 x 24 places, the last of 3 x 3


@pytest.fixture(scope="module")
def network() -> keras.Model:
    keras.utils.set_random_seed(1)
    return NETWORKS["MobileNetV2"].body(None, 96)


def test_earlier_layers_stand_beside_the_last_averaged_and_in_order(network):
    pixels = np.random.default_rng(2).normal(size=(2, 96, 96, 3)).astype("float32")
    given = keras.Model(network.inputs, [network.get_layer(name).output for name in EARLIER])
    maps = [np.asarray(one) for one in given.predict_on_batch(pixels)]
    expected = [network.predict_on_batch(pixels), *(one.mean((1, 2)) for one in maps)]
    body = beside(network, EARLIER)
    found = body.predict_on_batch(pixels)
    np.testing.assert_allclose(found, np.concatenate(expected, axis=1), rtol=1e-4, atol=1e-5)
    assert layers_of(body) == EARLIER
    assert layers_of(beside(network, EARLIER[::-1])) == EARLIER[::-1]
    assert [w.path for w in body.weights] == [w.path for w in network.weights], "the same weights"


def test_a_grid_averages_larger_maps_to_the_places_of_the_last(network):
    pixels = np.random.default_rng(2).normal(size=(1, 96, 96, 3)).astype("float32")
    grid = before_pooling(beside(network, EARLIER)).predict_on_batch(pixels)
    last = before_pooling(network).predict_on_batch(pixels)
    assert grid.shape == (1, 3, 3, 1280 + 576 + 24)
    np.testing.assert_allclose(grid[..., :1280], last, rtol=1e-4, atol=1e-5)
    earlier = keras.Model(network.inputs, network.get_layer(EARLIER[0]).output)
    wanted = np.asarray(earlier.predict_on_batch(pixels)).reshape(1, 3, 2, 3, 2, 576).mean((2, 4))
    np.testing.assert_allclose(grid[..., 1280:-24], wanted, rtol=1e-4, atol=1e-5)
    average = beside(network, EARLIER).predict_on_batch(pixels)
    np.testing.assert_allclose(grid.mean((1, 2)), average, rtol=1e-3, atol=1e-5)


def test_without_earlier_layers_a_body_is_as_it_was(network):
    assert beside(network, []) is network
    assert layers_of(network) == []


def test_layers_that_keras_numbers_are_refused_as_their_names_change():
    values = pixels = keras.Input((8, 8, 3))
    numbered = [keras.layers.Conv2D(4, 3), keras.layers.BatchNormalization()]
    for layer in (keras.layers.Conv2D(4, 3, name="mine"), *numbered):
        values = layer(values)
    other = keras.Model(pixels, keras.layers.GlobalAveragePooling2D()(values))
    for layer in numbered:
        with pytest.raises(InputError, match=r"Nearest to it: mine$"):
            beside(other, [layer.name])
    assert layers_of(beside(other, ["mine"])) == ["mine"]


@pytest.mark.parametrize("name", ["block_13_expand_rel", "global_average_pooling2d", ""])
def test_a_layer_that_is_none_is_told_with_those_nearest_to_it(network, name):
    with pytest.raises(InputError, match=r"layers of mobilenet\S+ that give a map. Rec") as caught:
        beside(network, [name])
    assert repr(name) in str(caught.value)
    nearest = str(caught.value).rpartition(": ")[2].split(", ")
    assert layers_of(beside(network, nearest)) == nearest, "which would do"
    if name:
        assert ("block_13_expand_relu" in nearest) == name.startswith("block_13")


def test_a_map_of_one_place_is_none_that_features_are_made_of():
    body = NETWORKS["EfficientNetV2B0"].body(None, 96)
    assert body.get_layer("block5e_se_reshape").output.shape == (None, 1, 1, 672)
    with pytest.raises(InputError, match="that give a map"):
        beside(body, ["block5e_se_reshape"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "earlier"),
    [
        ("ResNet50", "conv4_block6_out"),
        ("ResNet50", "conv5_block2_out"),
        ("ResNet101", "conv4_block23_out"),
        ("InceptionV3", "mixed7"),
        ("InceptionV3", "mixed9"),
        ("Xception", "block13_sepconv2_bn"),
        ("EfficientNetV2B0", "block5e_add"),
    ],
)
def test_layers_that_docs_name_are_there(name, earlier):
    side = NETWORKS[name].side
    body = build(name, side, [earlier])
    own = NETWORKS[name].body(None, side)
    more = body.output_shape[-1] - own.output_shape[-1]
    assert more == own.get_layer(earlier).output.shape[-1]
    assert before_pooling(body).output_shape[1:3] == before_pooling(own).output_shape[1:3]


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
