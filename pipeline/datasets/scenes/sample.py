"""Draw the data set *scenes* and write it in the layout of the original Flickr8k.

Under the folder:
    images/scene_train_00001.jpg ...  RGB, `sample.size` pixels a side, about 9 kB each at 224
    Flickr8k.token.txt                scene_train_00001.jpg#0<TAB>caption; five a picture
    Flickr_8k.trainImages.txt         a file name a line; devImages is the split `val`
    Flickr_8k.devImages.txt
    Flickr_8k.testImages.txt
    facts.jsonl             {"facts": {...}, "image": "scene_train_00001.jpg"}; see scene.py

Each picture depends on the seed, its split and its number in the split alone: other counts or more
processes change nothing about it. Time: 4 to 5 ms a picture and core at 224 pixels.
"""

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from pipeline.datasets.scenes.captions import write_captions
from pipeline.datasets.scenes.drawing import draw_picture, jpeg
from pipeline.datasets.scenes.scene import to_facts
from pipeline.datasets.scenes.world import random_scene
from pipeline.files import folder_written_whole, write_json_lines, write_text
from pipeline.machine import cores
from pipeline.params import Settings
from pipeline.progress import Progress

SPLITS = ("train", "val", "test")  # their numbers are part of every picture's seed
SPLIT_FILES = {
    "train": "Flickr_8k.trainImages.txt",
    "val": "Flickr_8k.devImages.txt",
    "test": "Flickr_8k.testImages.txt",
}
SCENE, DRAWING, CAPTIONS = range(3)  # each has its own chance: a change in one leaves the others
AT_ONCE = 32  # pictures a process draws before it reports
FEW = 200  # so many are drawn sooner than other processes start


class SampleSettings(Settings):
    """Section `sample` of params.yaml."""

    seed: int = Field(ge=0)
    train: int = Field(ge=1, le=1_000_000)  # pictures
    val: int = Field(ge=1, le=1_000_000)
    test: int = Field(ge=1, le=1_000_000)
    size: int = Field(ge=48, le=1024)  # pixels a side


@dataclass(frozen=True)
class Drawn:
    """What is known of a picture once its file is written."""

    split: str
    image: str  # the file's name
    captions: list[str]
    facts: dict[str, Any]


def write_sample(out: Path, settings: SampleSettings, processes: int | None = None) -> None:
    """Draw all pictures into `out`, which then replaces what was there.

    Args:
        out: the data set's folder.
        settings: how many pictures, how large, and the seed.
        processes: how many draw at once; by default, all cores.
    """
    places = [(split, n) for split in SPLITS for n in range(1, getattr(settings, split) + 1)]
    with folder_written_whole(out) as folder:
        (folder / "images").mkdir()
        drawn: list[Drawn] = []
        with Progress("sample", total=len(places), unit="pictures") as progress:
            for part in _draw_all(folder / "images", places, settings, processes or cores()):
                drawn += part
                progress.advance(len(part))
        _write_lists(folder, drawn)


def _draw_all(
    images: Path, places: Sequence[tuple[str, int]], settings: SampleSettings, processes: int
) -> Iterator[list[Drawn]]:
    """Draw pictures in the order of `places`: here or, if they are many, in other processes."""
    parts = [places[start : start + AT_ONCE] for start in range(0, len(places), AT_ONCE)]
    draw_part = partial(_draw_part, images, settings)
    if processes == 1 or len(places) <= FEW:
        yield from map(draw_part, parts)
        return
    context = multiprocessing.get_context("spawn")  # works the same on every system
    with ProcessPoolExecutor(min(processes, len(parts)), mp_context=context) as pool:
        yield from pool.map(draw_part, parts)


def _draw_part(
    images: Path, settings: SampleSettings, places: Sequence[tuple[str, int]]
) -> list[Drawn]:
    return [_draw(images, settings, split, number) for split, number in places]


def _draw(images: Path, settings: SampleSettings, split: str, number: int) -> Drawn:
    def rng(purpose: int) -> np.random.Generator:
        return np.random.default_rng([settings.seed, SPLITS.index(split), number, purpose])

    scene = random_scene(rng(SCENE))
    name = f"scene_{split}_{number:05d}.jpg"
    (images / name).write_bytes(jpeg(draw_picture(scene, settings.size, rng(DRAWING))))
    return Drawn(split, name, write_captions(scene, rng(CAPTIONS)), to_facts(scene))


def _write_lists(folder: Path, drawn: Sequence[Drawn]) -> None:
    captions = (
        f"{picture.image}#{number}\t{caption}\n"
        for picture in drawn
        for number, caption in enumerate(picture.captions)
    )
    write_text(folder / "Flickr8k.token.txt", "".join(captions))
    for split, name in SPLIT_FILES.items():
        images = (f"{picture.image}\n" for picture in drawn if picture.split == split)
        write_text(folder / name, "".join(images))
    facts = [{"image": picture.image, "facts": picture.facts} for picture in drawn]
    write_json_lines(folder / "facts.jsonl", facts)
