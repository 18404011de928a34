"""Find a decoder by its name and build it, weights included."""

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
    settings: DecoderSettings, vocabulary_size: int, feature_shape: tuple[int, ...]
) -> Decoder:
    """Build a decoder with fresh weights.

    Args:
        settings: which one, and its shape.
        vocabulary_size: v, the four marks counted in.
        feature_shape: of one picture, (f,), or (h, w, f) for a grid.

    Raises:
        InputError: the decoder attends to a grid, and the features have none.
    """
    kind = DECODERS[settings.decoder]
    if kind.needs_grid and len(feature_shape) != 3:
        raise InputError(
            f"train.decoder: {settings.decoder} needs a grid. Received: features of shape "
            f"{feature_shape}. Set features.pooling: grid, or train.decoder: inject"
        )
    decoder = kind(settings, vocabulary_size)
    decoder.feature_shape = tuple(feature_shape)
    features = np.zeros((1, *feature_shape), "float32")
    decoder((features, np.ones((1, 2), "int32")))  # one call makes the weights
    return decoder
