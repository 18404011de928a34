"""The CNNs that can encode pictures: how each is built, what it expects, and how large it sees.

Who changes one that is here, its preprocessing say, raises `inference.ENCODING`, as features that
were made before are kept.

Every network here takes uint8 or float RGB pictures in [0, 255], (b, side, side, 3), and gives
pooled features, float32 (b, f): its preprocessing is part of it and cannot be mixed up.

    name                        side  f     preprocessing        source
    compact                       96  2048  [-1, 1], places      `compact.py`, trained here
    ResNet50, ResNet101          224  2048  BGR, mean off        He et al. 2016
    InceptionV3                  299  2048  [-1, 1]              Szegedy et al. 2016
    Xception                     299  2048  [-1, 1]              Chollet 2017
    MobileNetV2                  224  1280  [-1, 1]              Sandler et al. 2018
    EfficientNetV2B0 .. B3, S    224 .. 384  1280 .. 1536  its own  Tan and Le 2021

A body may have maps of earlier layers beside its last one (`beside`): the last layers of a network
tell best what it was trained to tell, which are ImageNet's classes, and those before them what
captions speak of as well (Yosinski et al., "How transferable are features in deep neural
networks?" (2014); combined as in Hariharan et al., "Hypercolumns" (2015)). It knows itself which
layers they are (`layers_of`).
"""

import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from pipeline.errors import InputError
from pipeline.images import compact

Tensor = Any
_applications = keras.applications
_BESIDE = "average_of_"  # before a layer's name: its map, averaged


@dataclass(frozen=True)
class Network:
    """How to build one network.

    Attributes:
        body: builds the network itself, without top and without preprocessing, from `weights`
            (None or "imagenet") and the side in pixels.
        preprocess: RGB in [0, 255] to what the body expects.
        side: of the pictures it was trained on, pixels.
        least: side that it can be built for.
    """

    body: Callable[[str | None, int], keras.Model]
    preprocess: Callable[[Tensor], Tensor]
    side: int
    least: int = 32


def _pretrained(
    constructor: Callable[..., keras.Model],
    preprocess: Callable[[Tensor], Tensor],
    side: int,
    least: int = 32,
) -> Network:
    def body(weights: str | None, side: int) -> keras.Model:
        return constructor(
            include_top=False, weights=weights, pooling="avg", input_shape=(side, side, 3)
        )

    return Network(body, preprocess, side, least)


def _compact(weights: str | None, side: int) -> keras.Model:
    del weights  # "imagenet" is refused before: there are none
    return compact.body(side)


def _unit(pictures: Tensor) -> Tensor:
    """[0, 255] to [-1, 1]."""
    return pictures / 127.5 - 1.0


def _as_is(pictures: Tensor) -> Tensor:
    """EfficientNetV2 has its preprocessing inside."""
    return pictures


_caffe = _applications.resnet.preprocess_input

NETWORKS: dict[str, Network] = {
    "compact": Network(_compact, _unit, 96),
    "ResNet50": _pretrained(_applications.ResNet50, _caffe, 224),
    "ResNet101": _pretrained(_applications.ResNet101, _caffe, 224),
    "InceptionV3": _pretrained(_applications.InceptionV3, _unit, 299, least=75),
    "Xception": _pretrained(_applications.Xception, _unit, 299, least=71),
    "MobileNetV2": _pretrained(_applications.MobileNetV2, _unit, 224),
    "EfficientNetV2B0": _pretrained(_applications.EfficientNetV2B0, _as_is, 224),
    "EfficientNetV2B1": _pretrained(_applications.EfficientNetV2B1, _as_is, 240),
    "EfficientNetV2B2": _pretrained(_applications.EfficientNetV2B2, _as_is, 260),
    "EfficientNetV2B3": _pretrained(_applications.EfficientNetV2B3, _as_is, 300),
    "EfficientNetV2S": _pretrained(_applications.EfficientNetV2S, _as_is, 384),
}


def build(network: str, side: int, earlier: Sequence[str] = ()) -> keras.Model:
    """Build a network's body with random weights, and `earlier` layers beside its own.

    Raises:
        InputError: see `beside`.
    """
    return beside(NETWORKS[network].body(None, side), earlier)


def beside(body: keras.Model, earlier: Sequence[str]) -> keras.Model:
    """Put the averages of earlier layers' maps beside a network's own features.

    Args:
        body: pictures -> (b, f).
        earlier: names of layers, in the order in which their averages follow; with none, `body` is
            given back. The layers and weights are those of `body`.

    Raises:
        InputError: the network has no such layer, or one that gives no map.
    """
    if not earlier:
        return body
    averages = [
        layers.GlobalAveragePooling2D(name=f"{_BESIDE}{name}")(_map_of(body, name))
        for name in earlier
    ]
    features = layers.Concatenate(name="beside")([body.output, *averages])
    return keras.Model(body.inputs, features, name=body.name)


def layers_of(body: keras.Model) -> list[str]:
    """List the earlier layers that a body has beside its own features, in order."""
    found = [one.name for one in body.layers if one.name.startswith(_BESIDE)]
    if not found:
        return []
    order = [tensor._keras_history.operation.name for tensor in body.get_layer("beside").input]
    return [name.removeprefix(_BESIDE) for name in order[1:]]


def _map_of(body: keras.Model, name: str) -> Tensor:
    """Find what a layer gives, (b, h, w, c)."""
    least = _last_map(body).shape[1]  # EfficientNetV2 has maps of one place, which weigh others
    maps = [
        one.name
        for one in body.layers
        if _is_named(one) and len(one.output.shape) == 4 and one.output.shape[1] >= least
    ]
    if name in maps:
        return body.get_layer(name).output
    alike = difflib.get_close_matches(name, maps, n=3) or maps[-1:]
    raise InputError(
        f"encoder.layers: expected layers of {body.name} that give a map. Received: {name!r}."
        f" Nearest to it: {', '.join(alike)}"
    )


def _is_named(layer: keras.Layer) -> bool:
    """Whether a layer has a name of its own: Keras's "conv2d_5" is "conv2d_99" in another model."""
    name = re.sub(r"_\d+$", "", layer.name).replace("_", "")
    return name != type(layer).__name__.lower() and not isinstance(layer, layers.InputLayer)


def before_pooling(body: keras.Model) -> keras.Model:
    """Cut a network's body before its pooling: it then gives its last map, (b, h, w, f).

    Maps of earlier layers, which are larger, are averaged to its size, and follow in their order.
    """
    grid = _last_map(body)
    if earlier := layers_of(body):
        maps = [_averaged(body.get_layer(f"{_BESIDE}{name}").input, grid) for name in earlier]
        grid = layers.Concatenate()([grid, *maps])
    return keras.Model(body.inputs, grid, name=f"{body.name}_grid")


def _last_map(body: keras.Model) -> Tensor:
    """Find the map that a network's own features are the averages of, (b, h, w, f)."""
    pooling = [
        one
        for one in body.layers
        if isinstance(one, layers.GlobalAveragePooling2D) and not one.name.startswith(_BESIDE)
    ]
    return pooling[-1].input  # the last one: EfficientNetV2 has more of them, inside


def _averaged(values: Tensor, grid: Tensor) -> Tensor:
    """Average a map, (b, h, w, c), to the places of a grid, (b, r, s, f)."""
    height, width = grid.shape[1:3]
    times = values.shape[1] // height, values.shape[2] // width
    if (height * times[0], width * times[1]) == tuple(values.shape[1:3]):
        return layers.AveragePooling2D(times)(values)
    # Parts that overlap, of sizes that differ by one: 17 places to 8 in InceptionV3.
    return layers.AdaptiveAveragePooling2D((height, width))(values)


def with_preprocessing(body: keras.Model, network: Network, side: int) -> keras.Model:
    """Put a network's preprocessing before its body: RGB in [0, 255] -> float32 (b, ...)."""
    pictures = keras.Input((side, side, 3), dtype="uint8", name="pictures")
    values = keras.ops.cast(pictures, "float32")
    features = body(network.preprocess(values))
    if features.dtype != "float32":
        features = keras.ops.cast(features, "float32")
    return keras.Model(pictures, features, name="encoder")
