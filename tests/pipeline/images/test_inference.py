"""What runs gives the same features as what was trained."""

import keras
import numpy as np
import pytest
from keras import layers

from pipeline.images import inference
from pipeline.images.inference import fold, in_precision, inference_model
from pipeline.images.networks import NETWORKS, beside, layers_of, with_preprocessing
from pipeline.images.precision import least_cosine

SIDE = 32
PIXELS = np.random.default_rng(1).integers(0, 256, (3, SIDE, SIDE, 3), dtype=np.uint8)


def unsettle(body: keras.Model) -> keras.Model:
    """Give batch normalisation values that a trained network might have."""
    rng = np.random.default_rng(2)
    for layer in body.layers:
        if isinstance(layer, layers.BatchNormalization):
            size = layer.moving_mean.shape
            layer.moving_mean.assign(rng.normal(size=size))
            layer.moving_variance.assign(rng.uniform(0.5, 2, size))
            if layer.scale:
                layer.gamma.assign(rng.uniform(0.5, 1.5, size))
            if layer.center:
                layer.beta.assign(rng.normal(size=size))
    return body


def normalisations(body: keras.Model) -> int:
    return sum(isinstance(layer, layers.BatchNormalization) for layer in body.layers)


def close(one: np.ndarray, other: np.ndarray) -> None:
    np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4 * np.abs(other).max())


@pytest.fixture(scope="module")
def mobilenet() -> keras.Model:
    keras.utils.set_random_seed(1)
    return unsettle(NETWORKS["MobileNetV2"].body(None, SIDE))


def test_a_folded_network_gives_the_same_features(mobilenet):
    before = [value.copy() for value in mobilenet.get_weights()]
    folded = fold(mobilenet)
    values = NETWORKS["MobileNetV2"].preprocess(PIXELS.astype("float32"))
    close(folded.predict_on_batch(values), mobilenet.predict_on_batch(values))
    assert (normalisations(mobilenet), normalisations(folded)) == (52, 0)
    assert all(map(np.array_equal, before, mobilenet.get_weights()))


# After an activation, after a normalisation that is folded, and between it and its convolution.
EARLIER = ["block_13_expand_relu", "block_12_project_BN", "block_5_expand"]


def test_a_folded_network_has_its_earlier_layers_still(mobilenet):
    body = beside(mobilenet, EARLIER)
    folded = fold(body)
    values = NETWORKS["MobileNetV2"].preprocess(PIXELS.astype("float32"))
    close(folded.predict_on_batch(values), body.predict_on_batch(values))
    assert normalisations(folded) == 1, "the one whose convolution somebody else reads"
    assert layers_of(folded) == layers_of(body) == EARLIER


@pytest.mark.parametrize("pooling", ["average", "grid"])
def test_earlier_layers_are_there_in_another_precision_and_before_pooling(mobilenet, pooling):
    body = beside(mobilenet, EARLIER)
    of_it = "MobileNetV2", SIDE, pooling
    exact = inference_model(body, *of_it, "float32").predict_on_batch(PIXELS)
    found = inference_model(body, *of_it, "bfloat16").predict_on_batch(PIXELS)
    assert found.shape == exact.shape
    assert exact.shape[-1] == body.output_shape[-1] == 1280 + 576 + 96 + 192
    assert not np.array_equal(found, exact)
    assert least_cosine(found, exact) > 0.99  # random weights


@pytest.fixture
def double_precision():
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_dtype_policy("float32")


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({*NETWORKS} - {"compact", "MobileNetV2"}))
def test_every_network_is_folded_whole(name, double_precision):
    """In float64: random weights make the deepest blow a change of 1e-12 up to 1e-3."""
    side = 75  # InceptionV3 takes no smaller
    keras.utils.set_random_seed(1)
    body = unsettle(NETWORKS[name].body(None, side))
    folded = fold(body)
    assert normalisations(folded) == 0
    pixels = np.random.default_rng(1).random((2, side, side, 3))
    found, expected = folded.predict_on_batch(pixels), body.predict_on_batch(pixels)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


def small(*after: keras.Layer, activation: str | None = None, twice: bool = False) -> keras.Model:
    """A convolution, batch normalisation, and what comes after."""
    pixels = keras.Input((6, 6, 2))
    convolved = layers.Conv2D(4, 3, activation=activation, name="convolution")(pixels)
    values = layers.BatchNormalization(name="normalisation")(convolved)
    for layer in after:
        values = layer(values)
    if twice:
        values = layers.Add()([values, convolved])
    return unsettle(keras.Model(pixels, values))


@pytest.mark.parametrize(
    ("options", "left"),
    [
        ({}, 0),
        ({"activation": "relu"}, 1),  # what lies between is no factor and sum
        ({"twice": True}, 1),  # somebody else reads what is not normalised
    ],
)
def test_only_what_may_be_folded_is(options, left):
    body = small(layers.ReLU(), **options)
    folded = fold(body)
    assert normalisations(folded) == left
    values = np.random.default_rng(1).normal(size=(2, 6, 6, 2)).astype("float32")
    close(folded.predict_on_batch(values), body.predict_on_batch(values))


@pytest.mark.parametrize(
    "convolution",
    [
        layers.Conv2D(4, 3, use_bias=False),
        layers.DepthwiseConv2D(3, depth_multiplier=2),
        layers.SeparableConv2D(5, 3, use_bias=False),
    ],
)
@pytest.mark.parametrize("given", [{}, {"scale": False}, {"center": False}])
def test_every_kind_of_convolution_is_folded(convolution, given):
    pixels = keras.Input((6, 6, 2))
    convolution = type(convolution).from_config(convolution.get_config())
    body = unsettle(keras.Model(pixels, layers.BatchNormalization(**given)(convolution(pixels))))
    values = np.random.default_rng(1).normal(size=(2, 6, 6, 2)).astype("float32")
    folded = fold(body)
    assert normalisations(folded) == 0
    close(folded.predict_on_batch(values), body.predict_on_batch(values))


def test_compact_is_as_it_was():
    body = NETWORKS["compact"].body(None, SIDE)
    assert fold(body) is body


def test_another_precision_has_the_same_weights_and_leaves_the_setting_as_it_was(mobilenet):
    other = in_precision(mobilenet, "MobileNetV2", SIDE, "bfloat16")
    assert keras.config.dtype_policy().name == "float32"
    assert {layer.compute_dtype for layer in other.layers} == {"bfloat16"}
    assert all(map(np.array_equal, other.get_weights(), mobilenet.get_weights()))
    assert in_precision(mobilenet, "MobileNetV2", SIDE, "float32") is mobilenet


@pytest.mark.parametrize("asked", ["auto", False])
@pytest.mark.parametrize("pooling", ["average", "grid"])
def test_whether_xla_compiles_is_asked_of_the_backend(monkeypatch, asked, pooling):
    """On a CPU TensorFlow's XLA takes ten times as long, on a GPU it is what is wanted."""
    compiled = []
    monkeypatch.setattr(inference, "jit", lambda: asked)
    monkeypatch.setattr(
        keras.Model, "compile", lambda self, **options: compiled.append((self.name, options))
    )
    body = NETWORKS["compact"].body(None, SIDE)
    inference_model(body, "compact", SIDE, pooling, "float32")
    assert compiled == [("encoder", {"jit_compile": asked})]


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_features_in_another_precision_are_float32_and_nearly_the_same(precision):
    keras.utils.set_random_seed(1)
    body = NETWORKS["compact"].body(None, SIDE)
    exact = with_preprocessing(body, NETWORKS["compact"], SIDE).predict_on_batch(PIXELS)
    model = inference_model(body, "compact", SIDE, "average", precision)
    found = model.predict_on_batch(PIXELS)
    assert found.dtype == np.float32
    assert not np.array_equal(found, exact)
    assert least_cosine(found, exact) > 0.999


def is_exact() -> bool:
    """Whether this process computes float32 in float32."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.config.jax_default_matmul_precision == "highest"
    import tensorflow as tf

    return not tf.config.experimental.tensor_float_32_execution_enabled()


@pytest.mark.skipif(keras.backend.backend() not in ("tensorflow", "jax"), reason="no GPU's")
def test_float32_is_float32_on_a_gpu_too():
    """GPUs would round what they multiply to TF32, which has ten bits."""
    if keras.backend.backend() == "jax":
        import jax

        jax.config.update("jax_default_matmul_precision", None)
    else:
        import tensorflow as tf

        tf.config.experimental.enable_tensor_float_32_execution(True)
    body = NETWORKS["compact"].body(None, 32)
    inference_model(body, "compact", 32, "average", "bfloat16")
    assert not is_exact()
    inference_model(body, "compact", 32, "average", "float32")
    assert is_exact()
