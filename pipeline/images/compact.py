"""`compact`: a small CNN for machines without a GPU, trained by `train_encoder.py`."""

import keras
import numpy as np
from keras import layers, ops

CHANNELS = 1024  # of the last map; its average and its maximum are the features
FEATURES = 2 * CHANNELS
MOMENTUM, EPSILON = 0.9, 1e-3  # of batch normalisation
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


class NormalisedPointwise(layers.Layer):
    """A 1x1 convolution, batch normalisation and ReLU in one, for a map with many channels.

    The mean and the variance of what a 1x1 convolution gives follow from the mean and the
    covariance of what it takes: W' m and diag(W' C W). So they are known before the convolution,
    go into its kernel, and the large map is neither measured nor scaled by itself. What comes out
    is the same (Ioffe and Szegedy, "Batch Normalization" (2015), algorithm 1).

    Args:
        filters: channels that come out.

    Attributes:
        measures: whether training goes by the batch's mean and variance, which the running ones
            follow; or by those that are there.
    """

    def __init__(self, filters: int) -> None:
        super().__init__()
        self.filters, self.measures = filters, True

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Make the kernel, (c, filters), and the vectors, (filters,)."""
        self.channels, size = int(shape[-1] or 0), (self.filters,)
        self.kernel = self.add_weight(
            shape=(self.channels, self.filters), initializer="he_normal", name="kernel"
        )
        self.gamma = self.add_weight(shape=size, initializer="ones", name="gamma")
        self.beta = self.add_weight(shape=size, initializer="zeros", name="beta")
        self.mean = self.add_weight(shape=size, initializer="zeros", trainable=False, name="mean")
        self.variance = self.add_weight(
            shape=size, initializer="ones", trainable=False, name="variance"
        )

    def call(self, values: keras.KerasTensor, training: bool = False) -> keras.KerasTensor:
        """(b, h, w, c) -> (b, h, w, filters)."""
        _, height, width, _ = values.shape
        rows = ops.reshape(values, (-1, self.channels))  # (b * h * w, c)
        measured = training and self.measures
        mean, variance = self._moments(rows) if measured else (self.mean, self.variance)
        scale = self.gamma * ops.rsqrt(variance + EPSILON)
        rows = ops.matmul(rows, self.kernel * scale) + (self.beta - mean * scale)
        return ops.relu(ops.reshape(rows, (-1, height, width, self.filters)))

    def _moments(self, rows: keras.KerasTensor) -> tuple[keras.KerasTensor, keras.KerasTensor]:
        """Mean and variance, (filters,), of the batch's outputs; the running ones follow them."""
        mean = ops.mean(rows, axis=0)  # (c,)
        products = ops.matmul(ops.transpose(rows), rows) / ops.cast(ops.shape(rows)[0], rows.dtype)
        covariance = products - ops.outer(mean, mean)  # (c, c)
        means = ops.matmul(mean, self.kernel)
        variances = ops.sum(self.kernel * ops.matmul(covariance, self.kernel), axis=0)
        variances = ops.maximum(variances, 0.0)  # rounding may leave it a little below
        for running, now in ((self.mean, means), (self.variance, variances)):
            running.assign(MOMENTUM * running + (1 - MOMENTUM) * now)
        return means, variances


def body(side: int) -> keras.Model:
    """Build the network: pictures in [-1, 1], (b, side, side, 3) -> features (b, 2048).

    Seven 3x3 convolutions and one 1x1, each with batch normalisation; 0.7 M parameters. The
    average of the last map says how much of something there is, the maximum whether there is any,
    however small.
    """
    pictures = keras.Input((side, side, 3))
    values = Places()(pictures)
    for filters, stride in BLOCKS:
        values = _block(values, filters, stride)
    values = NormalisedPointwise(CHANNELS)(values)  # (b, side / 8, side / 8, 1024)
    # As GlobalMaxPooling2D, but with a gradient that is one operation.
    greatest = layers.Flatten()(layers.MaxPooling2D(values.shape[1])(values))
    pooled = [layers.GlobalAveragePooling2D()(values), greatest]
    return keras.Model(pictures, layers.Concatenate()(pooled), name="compact")


def _block(values: keras.KerasTensor, filters: int, stride: int) -> keras.KerasTensor:
    values = Convolution(filters, 3, stride)(values)
    return layers.ReLU()(layers.BatchNormalization(momentum=MOMENTUM, epsilon=EPSILON)(values))
