"""A small data set's tables that keep every rule, to be broken in one place."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from pipeline.checks.settings import MinPictures, ValidateSettings
from pipeline.tables import CAPTIONS, DROPPED, IMAGES

SPLIT_SIZES = {"train": 8, "val": 2, "test": 2}
THINGS = ("cat", "dog", "car", "boat", "tree", "house", "bird", "ball", "cat", "dog", "car", "boat")
SETTINGS = ValidateSettings(
    min_pictures=MinPictures(train=4, val=2, test=2),
    min_train_share=0.5,
    max_left_out=0.1,
    min_side=32,
    max_aspect=4.0,
    modes=["RGB"],
    same_picture="warning",
    near_bits=8,
    min_captions=2,
    max_captions=3,
    min_words=3,
    max_words=12,
    max_characters=200,
    max_same_caption=0.2,
    max_unknown_words=0.1,
    max_non_ascii=0.0,
    max_spoiled=0.0,
    max_odd=0.0,
)


class Rows:
    """The rows of the three tables, to be changed."""

    def __init__(self) -> None:
        self.images: list[dict[str, Any]] = []
        self.captions: list[dict[str, Any]] = []
        self.dropped: list[dict[str, Any]] = []
        for split, size in SPLIT_SIZES.items():
            for _ in range(size):
                self._add(split, len(self.images))

    def _add(self, split: str, number: int) -> None:
        image_id, thing = f"{split}-{number:02d}", THINGS[number]
        self.images.append(
            {
                "image_id": image_id,
                "split": split,
                "path": f"{image_id}.png",
                "offset": 0,
                "bytes": 1000,
                "sha256": f"{number:064x}",
                "width": 64,
                "height": 48,
                "mode": "RGB",
                "dhash": f"{number:01x}" * 16 + "5a" * 24 if number % 2 else f"{number:01x}5" * 32,
            }
        )
        for n, text in enumerate((f"A {thing} on the grass .", f"There is one {thing} here .")):
            self.captions.append(
                {"image_id": image_id, "caption_id": f"{image_id}#{n}", "text": text}
            )

    def drop(self, kind: str, item: str, reason: str) -> None:
        self.dropped.append(
            {"kind": kind, "item": item, "source": "list:1", "reason": reason, "raw": item}
        )

    def tables(self) -> dict[str, pa.Table]:
        return {
            "images": pa.Table.from_pylist(self.images, schema=IMAGES),
            "captions": pa.Table.from_pylist(self.captions, schema=CAPTIONS),
            "dropped": pa.Table.from_pylist(self.dropped, schema=DROPPED),
        }


@pytest.fixture
def rows() -> Rows:
    return Rows()


@pytest.fixture(scope="session")
def make_rows() -> Callable[[], Rows]:
    return Rows


@pytest.fixture(scope="session")
def settings() -> ValidateSettings:
    return SETTINGS
