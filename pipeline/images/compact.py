"""`compact`: a small CNN for machines without a GPU, trained by `train_encoder.py`."""

import keras
import numpy as np
from keras import layers, ops

FEATURES = 2048


class Places(layers.Layer):
    """Adds two channels, x and y in [-1, 1], so that places stay readable after pooling.

    Liu et al., "An Intriguing Failing of Convolutional Neural Networks and the CoordConv Solution"
    (2018), section 3.
    """

    def call(self, pictures: keras.KerasTensor) -> keras.KerasTensor:
        """(b, h, w, c) -> (b, h, w, c + 2)."""
        _, height, width, _ = pictures.shape
        y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
        places = np.stack([x, y], axis=-1).astype("float32")[None]  # (1, h, w, 2)
        places = ops.broadcast_to(places, (ops.shape(pictures)[0], height, width, 2))
        return ops.concatenate([pictures, ops.cast(places, pictures.dtype)], axis=-1)

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """See `call`."""
        return (*shape[:-1], shape[-1] + 2)  # type: ignore[operator]


def body(side: int) -> keras.Model:
    """Build the network: pictures in [-1, 1], (b, side, side, 3) -> features (b, 2048).

    Seven 3x3 convolutions, each with batch normalisation, and one 1x1 to the width of the
    features; 0.9 M parameters.
    """
    pictures = keras.Input((side, side, 3))
    values = Places()(pictures)
    for filters, stride in ((32, 2), (32, 1), (64, 2), (64, 1), (128, 2), (128, 1), (192, 2)):
        values = layers.Conv2D(filters, 3, stride, padding="same", use_bias=False)(values)
        values = layers.BatchNormalization(momentum=0.9)(values)
        values = layers.ReLU()(values)
    values = layers.Conv2D(FEATURES, 1, use_bias=False)(values)  # (b, side/16, side/16, 2048)
    values = layers.BatchNormalization(momentum=0.9)(values)
    values = layers.ReLU()(values)
    return keras.Model(pictures, layers.GlobalAveragePooling2D()(values), name="compact")
