"""An encoder's network, made ready to run and no longer to be trained.

Batch normalisation is folded into the convolution before it, as at this point it is no more than a
factor and a sum for each channel (Jacob et al., "Quantization and Training of Neural Networks for
Efficient Integer-Arithmetic-Only Inference" (2018), section 3.2). That is an eighth to a sixth less
work on a CPU; and in bfloat16 and float16 Keras would compute it in float32.
"""

from typing import Any

import keras
import numpy as np
from keras import layers

from pipeline.backend import exact_float32, jit
from pipeline.images.networks import NETWORKS, before_pooling, build, layers_of, with_preprocessing
from pipeline.images.spec import Arithmetic, Pooling
from pipeline.images.views import in_views

# Of all here, in networks.py, views.py and compact.py that decides on the features of given
# weights: with every change of it, one more. Features that are kept for later runs are of one
# version.
ENCODING = 1
_CONVOLUTIONS = (layers.Conv2D, layers.SeparableConv2D, layers.DepthwiseConv2D)


def inference_model(
    body: keras.Model, network: str, side: int, pooling: Pooling, precision: Arithmetic
) -> keras.Model:
    """Build uint8 RGB (b, side, side, 3) -> float32 (b, *shape), with body's weights.

    The shape is (f,), (2 f,) of views, or (h, w, f) of a grid.

    Weights that change in `body` afterwards are not seen.
    """
    if precision == "float32":
        exact_float32()
    ready = fold(in_precision(body, network, side, precision))
    if pooling == "grid":
        ready = before_pooling(ready)
    put_before = in_views if pooling == "views" else with_preprocessing
    model = put_before(ready, NETWORKS[network], side)
    model.compile(jit_compile=jit())
    return model


def in_precision(body: keras.Model, network: str, side: int, precision: Arithmetic) -> keras.Model:
    """Build a body that has the same float32 weights and computes in `precision`."""
    if precision == "float32":
        return body
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(f"mixed_{precision}")
    try:
        other = build(network, side, layers_of(body))
    finally:
        keras.config.set_dtype_policy(before)
    other.set_weights(body.get_weights())
    return other


def fold(body: keras.Model) -> keras.Model:
    """Fold batch normalisation into the convolutions before it; `body` stays as it is.

    Where there is nothing to fold (`compact` has convolutions of its own), `body` is returned.
    """
    folded = _pairs(body)
    if not folded:
        return body
    normalisations = {one.name for one in folded.values()}

    def clone(layer: keras.Layer) -> keras.Layer:
        settings = layer.get_config()
        if layer.name in folded:
            settings["use_bias"] = True
        return type(layer).from_config(settings)

    def call(layer: keras.Layer, *inputs: Any, **options: Any) -> Any:
        return inputs[0] if layer.name in normalisations else layer(*inputs, **options)

    new = keras.models.clone_model(body, clone_function=clone, call_function=call)
    for layer in new.layers:
        if layer.weights:
            old = body.get_layer(layer.name)
            known = folded.get(layer.name)
            layer.set_weights(_folded(old, known) if known else old.get_weights())
    return new


def _pairs(body: keras.Model) -> dict[str, keras.Layer]:
    """Find the convolutions whose only reader is a batch normalisation: name -> that layer."""
    readers: dict[str, list[keras.Layer]] = {}
    for layer in body.layers:
        for source in _sources(layer):
            readers.setdefault(source.name, []).append(layer)
    found = {}
    for layer in body.layers:
        if isinstance(layer, _CONVOLUTIONS) and layer.activation is keras.activations.linear:
            after = readers.get(layer.name, [])
            if len(after) == 1 and isinstance(after[0], layers.BatchNormalization):
                found[layer.name] = after[0]
    return found


def _sources(layer: keras.Layer) -> list[keras.Layer]:
    """List the layers whose outputs a layer takes."""
    tensors = keras.tree.flatten(layer.input) if layer._inbound_nodes else []
    return [tensor._keras_history.operation for tensor in tensors]


def _folded(convolution: keras.Layer, normalisation: keras.Layer) -> list[np.ndarray]:
    """Give the kernels and the bias that do the work of both layers."""
    *first, kernel = (
        convolution.get_weights()[:-1] if convolution.use_bias else convolution.get_weights()
    )
    bias = convolution.get_weights()[-1] if convolution.use_bias else 0.0
    mean, variance = (
        np.asarray(value, "float64")
        for value in (normalisation.moving_mean, normalisation.moving_variance)
    )
    gamma = np.asarray(normalisation.gamma, "float64") if normalisation.scale else 1.0
    beta = np.asarray(normalisation.beta, "float64") if normalisation.center else 0.0
    factor = gamma / np.sqrt(variance + normalisation.epsilon)  # (channels,)
    # A depthwise kernel, (h, w, c, m), has its channels in the last two dimensions.
    depthwise = isinstance(convolution, layers.DepthwiseConv2D)
    scaled = kernel * (factor.reshape(kernel.shape[2:]) if depthwise else factor)
    shifted = (bias - mean) * factor + beta
    return [*first, scaled, shifted]
