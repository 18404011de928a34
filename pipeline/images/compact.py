"""`compact`: a small CNN for machines without a GPU, trained by `train_encoder.py`."""

import keras
import numpy as np
from keras import layers, ops

CHANNELS = 1024  # of the last map; its average and its maximum are the features
FEATURES = 2 * CHANNELS
BLOCKS = ((24, 2), (48, 2), (64, 1), (96, 2), (128, 1), (128, 1), (192, 1))  # filters and stride


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


class Convolution(layers.Layer):
    """A convolution whose kernel is stored as a matrix.

    Muon, which trains it, works on matrices: Keras's own convolution has a kernel of four
    dimensions, which Keras's Muon would leave to Adam.

    Args:
        filters: channels that come out.
        size: side of the kernel.
        stride: pixels between two places of the kernel.
    """

    def __init__(self, filters: int, size: int, stride: int) -> None:
        super().__init__()
        self.filters, self.size, self.stride = filters, size, stride

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Make the kernel: (size * size * c, filters)."""
        self.channels = int(shape[-1] or 0)
        self.kernel = self.add_weight(
            shape=(self.size**2 * self.channels, self.filters),
            initializer="he_normal",
            name="kernel",
        )

    def call(self, values: keras.KerasTensor) -> keras.KerasTensor:
        """(b, h, w, c) -> (b, h / stride, w / stride, filters)."""
        kernel = ops.reshape(self.kernel, (self.size, self.size, self.channels, self.filters))
        return ops.conv(values, kernel, self.stride, padding="same")


def body(side: int) -> keras.Model:
    """Build the network: pictures in [-1, 1], (b, side, side, 3) -> features (b, 2048).

    Seven 3x3 convolutions and one 1x1, each with batch normalisation; 0.7 M parameters. The
    average of the last map says how much of something there is, the maximum whether there is any,
    however small.
    """
    pictures = keras.Input((side, side, 3))
    values = Places()(pictures)
    for filters, stride in BLOCKS:
        values = _block(values, filters, 3, stride)
    values = _block(values, CHANNELS, 1, 1)  # (b, side / 8, side / 8, 1024)
    pooled = [layers.GlobalAveragePooling2D()(values), layers.GlobalMaxPooling2D()(values)]
    return keras.Model(pictures, layers.Concatenate()(pooled), name="compact")


def _block(values: keras.KerasTensor, filters: int, size: int, stride: int) -> keras.KerasTensor:
    values = Convolution(filters, size, stride)(values)
    return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(values))
