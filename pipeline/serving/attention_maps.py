"""Where the decoder looked for each word, as pictures: bright where it looked, dark elsewhere.

After Xu et al. 2015, "Show, Attend and Tell", figure 2 onwards.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from pipeline.captioner.captioner import Looks

DARKEST = 0.18  # of the picture's light that is left where the decoder did not look
ROWS = ("top", "middle", "bottom")
COLUMNS = ("left", "centre", "right")


@dataclass(frozen=True)
class WordMap:
    """Where the decoder looked for one word.

    Attributes:
        word: of the caption.
        picture: RGB, the picture under its map.
        place: where most of its attention was, in words: "top left".
        share: of the attention that was on the picture, 0 to 1; less than 1 with a sentinel.
        peak: the greatest weight of a place: how pointed the look was.
    """

    word: str
    picture: Image.Image
    place: str
    share: float
    peak: float


def draw(picture: Image.Image, words: Sequence[str], looks: Looks) -> list[WordMap]:
    """Lay each word's map over the picture.

    Args:
        picture: RGB.
        words: n.
        looks: maps (n, h, w), elsewhere (n,).
    """
    return [
        WordMap(
            word=word,
            picture=overlay(picture, weights),
            place=place_of(weights),
            share=float(1 - elsewhere),
            peak=float(weights.max()),
        )
        for word, weights, elsewhere in zip(words, looks.maps, looks.elsewhere, strict=True)
    ]


def overlay(picture: Image.Image, weights: np.ndarray) -> Image.Image:
    """Darken a picture where a map is low.

    The map is stretched to its own least and greatest weight: it tells where and not how much.

    Args:
        picture: RGB, of any shape.
        weights: float (h, w), of the grid's places, top to bottom and left to right.
    """
    low, high = float(weights.min()), float(weights.max())
    even = high - low < 1e-9
    scaled = np.ones_like(weights) if even else (weights - low) / (high - low)
    small = Image.fromarray((scaled * 255).astype("uint8"))
    # Smooth between the middles of the grid's places; the grid itself is too coarse to look at.
    smooth = small.resize(picture.size, Image.Resampling.BICUBIC)
    light = DARKEST + (1 - DARKEST) * np.asarray(smooth, "float32")[..., None] / 255  # (h, w, 1)
    return Image.fromarray((np.asarray(picture, "float32") * light).round().astype("uint8"))


def place_of(weights: np.ndarray) -> str:
    """Say where the middle of a map is, by thirds: "top left"; "centre" for the middle third."""
    height, width = weights.shape
    total = float(weights.sum())
    if total <= 0:
        return "nowhere"
    y = float(((np.arange(height) + 0.5) @ weights.sum(axis=1)) / (total * height))
    x = float(((np.arange(width) + 0.5) @ weights.sum(axis=0)) / (total * width))
    row, column = ROWS[min(2, int(y * 3))], COLUMNS[min(2, int(x * 3))]
    return "centre" if (row, column) == ("middle", "centre") else f"{row} {column}"
