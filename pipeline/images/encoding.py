"""How batches are handed to an encoder, here or on a cluster."""

from collections.abc import Callable

import numpy as np

Encode = Callable[[np.ndarray], np.ndarray]  # uint8 (b, side, side, 3) -> float32 (b, *shape)


def encode_padded(encode: Encode, pixels: np.ndarray, batch_size: int) -> np.ndarray:
    """Encode a batch that may be the last, short one, at the full size.

    One shape means one compilation; and a picture's features then do not depend, in their last
    bits, on how many pictures came with it.
    """
    short = batch_size - len(pixels)
    if short:
        pixels = np.concatenate([pixels, np.zeros((short, *pixels.shape[1:]), pixels.dtype)])
    return encode(pixels)[: batch_size - short]
