"""Run the encoder over pictures: read, decode and encode at the same time, and never twice.

Pictures are read and decoded by threads while the encoder works on the batch before; what it gives
goes to the cache batch by batch. Shards are then written from the cache, so that an undisturbed
run, a continued one and one with a warm cache give the same bytes.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from pydantic import Field

from pipeline.images.cache import FeatureCache
from pipeline.images.reading import Picture, read_batches
from pipeline.images.shards import Format, Precision, Row
from pipeline.params import Settings
from pipeline.progress import Progress


class FeaturesSettings(Settings):
    """Section `features` of params.yaml."""

    format: Format
    dtype: Precision  # of the values in the shards
    rows_per_shard: int = Field(ge=1)
    batch_size: int = Field(ge=1)  # pictures the encoder sees at once


Encode = Callable[[np.ndarray], np.ndarray]  # uint8 (b, side, side, 3) -> float32 (b, f)


def compute(
    pictures: Sequence[Picture],
    raw: Path,
    encode: Encode,
    side: int,
    cache: FeatureCache,
    batch_size: int,
) -> int:
    """Encode the pictures that the cache does not have, each content once.

    Returns:
        How many pictures were encoded.

    Raises:
        InputError: a picture is gone, or is not the one that `ingest` saw.
    """
    wanted = {picture.sha256: picture for picture in pictures if picture.sha256 not in cache}
    todo = list(wanted.values())
    with Progress("features", len(todo), "pictures") as progress:
        for batch, pixels in read_batches(todo, raw, side, batch_size):
            keys = [picture.sha256 for picture in batch]
            cache.put(keys, _encode_padded(encode, pixels, batch_size))
            progress.advance(len(batch))
    return len(todo)


def rows(pictures: Sequence[Picture], cache: FeatureCache) -> Iterator[Row]:
    """Yield every picture's id and features, in order, from the cache."""
    for picture in pictures:
        yield picture.image_id, cache.get(picture.sha256)


def _encode_padded(encode: Encode, pixels: np.ndarray, batch_size: int) -> np.ndarray:
    """Encode a batch that may be the last, short one, at the full size.

    One shape means one compilation; and a picture's features then do not depend, in their last
    bits, on how many pictures came with it.
    """
    short = batch_size - len(pixels)
    if short:
        pixels = np.concatenate([pixels, np.zeros((short, *pixels.shape[1:]), pixels.dtype)])
    return encode(pixels)[: batch_size - short]
