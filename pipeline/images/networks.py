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
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from pipeline.images import compact

Tensor = Any
_applications = keras.applications


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


def before_pooling(body: keras.Model) -> keras.Model:
    """Cut a network's body before its pooling: it then gives its last map, (b, h, w, f)."""
    # The last one: EfficientNetV2 has more of them, inside.
    pooling = [one for one in body.layers if isinstance(one, layers.GlobalAveragePooling2D)][-1]
    return keras.Model(body.inputs, pooling.input, name=f"{body.name}_grid")


def with_preprocessing(body: keras.Model, network: Network, side: int) -> keras.Model:
    """Put a network's preprocessing before its body: RGB in [0, 255] -> float32 (b, ...)."""
    pictures = keras.Input((side, side, 3), dtype="uint8", name="pictures")
    values = keras.ops.cast(pictures, "float32")
    features = body(network.preprocess(values))
    if features.dtype != "float32":
        features = keras.ops.cast(features, "float32")
    return keras.Model(pictures, features, name="encoder")
