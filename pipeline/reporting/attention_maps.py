"""Where the decoder looked for each word, as pictures: bright where it looked, dark elsewhere.

After Xu et al. 2015, "Show, Attend and Tell", figure 2 onwards.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from pipeline.captioner.looks import Looks

DARKEST = 0.18  # of the picture's light that is left where the decoder did not look
ROWS = ("top", "middle", "bottom")
COLUMNS = ("left", "centre", "right")
ALL = 0.995  # share of the attention from which all of it was on the picture
EVEN = 1e-4  # relative difference up to which two parts of a map count as equal


@dataclass(frozen=True)
class WordMap:
    """Where the decoder looked for one word.

    Attributes:
        word: of the caption.
        picture: RGB, the picture under its map.
        place: where most of its attention was, in words: "top left"; "" where it was even.
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


def told(one: WordMap) -> str:
    """Say in words where the decoder looked."""
    where = f"most at the {one.place}" if one.place else "at no place more than at others"
    place = f"“{one.word}”: it looked {where}"
    if one.share > ALL:
        return f"{place}."
    return f"{place}; {1 - one.share:.0%} of the word came from the sentence and not the picture."


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
    """Say which ninth of a map has the most of it: "top left"; "centre" for the middle one.

    Not where its middle is: half to the left and half to the right is no look at the centre.

    Args:
        weights: float (h, w), of the grid's places.

    Returns:
        "" where no ninth has more than the others, as in a map of zeros.
    """
    height, width = weights.shape
    sums = _thirds(height) @ weights @ _thirds(width).T  # (3, 3)
    least, greatest = float(sums.min()), float(sums.max())
    if greatest - least <= EVEN * greatest:
        return ""
    row, column = (int(place) for place in np.argwhere(sums >= greatest * (1 - EVEN))[0])
    return "centre" if row == column == 1 else f"{ROWS[row]} {COLUMNS[column]}"


def _thirds(count: int) -> np.ndarray:
    """Share a row of places out among thirds: (3, count), each place's share in each of them."""
    third, place = np.arange(3)[:, None] * count / 3, np.arange(count)[None]
    shared = np.minimum(place + 1, third + count / 3) - np.maximum(place, third)
    return np.clip(shared, 0, 1)
