"""Where a decoder looked: apart from the captioner, as who shows it needs no Keras."""

from typing import NamedTuple

import numpy as np


class Looks(NamedTuple):
    """Where a decoder looked for each word of a caption.

    Attributes:
        maps: float32 (words, h, w), weights of the grid's places.
        elsewhere: float32 (words,), the sentinel's weight: how far the word came without the
            picture; 0 for decoders without a sentinel. With its map it adds up to 1.
    """

    maps: np.ndarray
    elsewhere: np.ndarray
