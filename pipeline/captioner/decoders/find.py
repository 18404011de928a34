"""Find a decoder by its name and build it, weights included."""

import numpy as np

from pipeline.captioner.decoders.base import Decoder, DecoderSettings
from pipeline.captioner.decoders.inject import Inject
from pipeline.captioner.decoders.merge import Merge

DECODERS: dict[str, type[Decoder]] = {"inject": Inject, "merge": Merge}


def build(
    settings: DecoderSettings, vocabulary_size: int, feature_shape: tuple[int, ...]
) -> Decoder:
    """Build a decoder with fresh weights.

    Args:
        settings: which one, and its shape.
        vocabulary_size: v, the four marks counted in.
        feature_shape: of one picture, (f,).
    """
    decoder = DECODERS[settings.decoder](settings, vocabulary_size)
    features = np.zeros((1, *feature_shape), "float32")
    decoder((features, np.ones((1, 2), "int32")))  # one call makes the weights
    return decoder
