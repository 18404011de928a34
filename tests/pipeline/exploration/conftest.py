"""Small tables to explore."""

from collections.abc import Callable, Mapping, Sequence

import pyarrow as pa
import pytest

from pipeline.tables import CLEAN_CAPTIONS, IMAGES

Captions = Mapping[str, Sequence[str]]  # image id -> its captions, words divided by blanks


def make(splits: Mapping[str, Captions], size: tuple[int, int] = (640, 480)) -> tuple:
    """Make images.parquet and captions.parquet: split -> image id -> captions."""
    images, captions = [], []
    for split, pictures in splits.items():
        for image_id, texts in pictures.items():
            images.append(
                {
                    **{"image_id": image_id, "split": split, "path": f"{image_id}.png"},
                    **{"offset": 0, "bytes": 1, "sha256": "", "mode": "RGB", "dhash": ""},
                    **{"width": size[0], "height": size[1]},
                }
            )
            captions += [
                {
                    **{"image_id": image_id, "caption_id": f"{image_id}#{n}"},
                    **{"text": text.capitalize(), "tokens": text.split()},
                }
                for n, text in enumerate(texts)
            ]
    images.sort(key=lambda row: row["image_id"])
    captions.sort(key=lambda row: (row["image_id"], row["caption_id"]))
    return (
        pa.Table.from_pylist(images, schema=IMAGES),
        pa.Table.from_pylist(captions, schema=CLEAN_CAPTIONS),
    )


@pytest.fixture(scope="session")
def make_tables() -> Callable[..., tuple]:
    return make
