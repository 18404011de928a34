"""Pictures to try the page with."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipeline.datasets.scenes.captions import write_captions
from pipeline.datasets.scenes.drawing import draw_picture, jpeg
from pipeline.datasets.scenes.world import random_scene
from pipeline.errors import InputError
from pipeline.images.decode import PictureError, SystemRefusedError, read_small
from pipeline.images.loose import SUFFIXES, find_pictures

SEED = 20_000_000  # far from any seed that training pictures are drawn with
SIDE = 224
THUMBNAIL = 640  # pixels of an example's longer side
# So many scenes have most words of the built-in data set in their captions.
SCENES_FOR_WORDS = 100


class Example(NamedTuple):
    """A picture file and what to call it."""

    path: Path
    name: str


def knows_scenes(words: Iterable[str]) -> bool:
    """Tell from a model's words whether it was trained on the built-in data set.

    A captioner of photographs knows thousands of words that scenes' captions never have, and one
    of scenes next to none.
    """
    known = set(words)
    drawn: set[str] = set()
    for number in range(SCENES_FOR_WORDS):
        rng = np.random.default_rng([SEED, number])
        for caption in write_captions(random_scene(rng), rng):
            drawn.update(caption.lower().replace(".", " ").replace(",", " ").split())
    return bool(known) and len(known & drawn) >= 0.8 * len(known)


def drawn_examples(folder: Path, count: int) -> list[Example]:
    """Draw pictures of the built-in data set that no model was trained on, into `folder`."""
    examples = []
    for number in range(count):
        rng = np.random.default_rng([SEED, number])
        scene = random_scene(rng)
        path = folder / f"scene-{number + 1}.jpg"
        path.write_bytes(jpeg(draw_picture(scene, SIDE, rng)))
        examples.append(Example(path, f"Drawn scene {number + 1}"))
    return examples


def examples_of(source: Path, folder: Path, count: int, max_pixels: int) -> list[Example]:
    """Copy the first pictures of one's own folder, by name, into `folder`, smaller and as JPEG.

    Copies carry nothing of the originals but their pixels: no place, no camera, no name.

    Raises:
        InputError: there is none that can be read.
    """
    if not source.is_dir():
        raise InputError(f"{source}: expected a folder with example pictures. Received: no folder")
    files = find_pictures([str(source)])
    examples: list[Example] = []
    for path in files:
        try:
            picture = read_small(path, THUMBNAIL, max_pixels)
        except (PictureError, SystemRefusedError):
            continue
        copy = folder / f"example-{len(examples) + 1}.jpg"
        picture.info.clear()  # a remark in a JPEG or GIF would go along
        picture.save(copy, quality=90)
        examples.append(Example(copy, f"Example {len(examples) + 1}"))
        if len(examples) == count:
            break
    if not examples:
        shown = ", ".join(path.name for path in files[:3])
        raise InputError(
            f"{source}: expected pictures that can be read ({', '.join(SUFFIXES)}). "
            f"Received: {shown}"
        )
    return examples
