"""Find a decoder by its name and build it, weights included."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import keras
import numpy as np

from pipeline.captioner.decoders.adaptive import Adaptive
from pipeline.captioner.decoders.attention import SoftAttention
from pipeline.captioner.decoders.base import Decoder, DecoderSettings
from pipeline.captioner.decoders.inject import Inject
from pipeline.captioner.decoders.inject_par import InjectPar
from pipeline.captioner.decoders.inject_pre import InjectPre
from pipeline.captioner.decoders.merge import Merge
from pipeline.captioner.decoders.top_down import TopDown
from pipeline.errors import InputError

Precision = Literal["float32", "mixed_bfloat16", "mixed_float16"]  # as Keras names them
DECODERS: dict[str, type[Decoder]] = {
    "inject": Inject,
    "inject_pre": InjectPre,
    "inject_par": InjectPar,
    "merge": Merge,
    "attention": SoftAttention,
    "adaptive": Adaptive,
    "top_down": TopDown,
}


def build(
    settings: DecoderSettings,
    vocabulary_size: int,
    feature_shape: tuple[int, ...],
    precision: Precision = "float32",
) -> Decoder:
    """Build a decoder with fresh weights.

    Args:
        settings: which one, and its shape.
        vocabulary_size: v, the four marks counted in.
        feature_shape: of one picture, (f,), or (h, w, f) for a grid.
        precision: that it computes in; its weights and its scores are float32 always.

    Raises:
        InputError: the decoder attends to a grid, and the features have none.
    """
    kind = DECODERS[settings.decoder]
    if kind.needs_grid and len(feature_shape) != 3:
        raise InputError(
            f"train.decoder: {settings.decoder} needs a grid. Received: features of shape "
            f"{feature_shape}. Set features.pooling: grid, or train.decoder: inject; of an "
            "experiment, add -S features.pooling=grid"
        )
    with _policy(precision):
        decoder = kind(settings, vocabulary_size)
    decoder.feature_shape = tuple(feature_shape)
    features = np.zeros((1, *feature_shape), "float32")
    decoder((features, np.ones((1, 2), "int32")))  # one call makes the weights
    return decoder


@contextmanager
def _policy(precision: Precision) -> Iterator[None]:
    """Let layers that are made meanwhile compute in a precision."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
