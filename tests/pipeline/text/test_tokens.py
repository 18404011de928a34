"""Captions by the split of their picture."""

import pyarrow as pa

from pipeline.tables import CLEAN_CAPTIONS, IMAGES
from pipeline.text.tokens import tokens_by_split


def test_captions_follow_their_picture_in_the_order_of_the_table():
    texts = dict.fromkeys(("path", "sha256", "mode", "dhash"), "")
    rest = texts | dict.fromkeys(("offset", "bytes", "width", "height"), 1)
    splits = {"a": "test", "b": "train", "c": "train"}
    images = [{"image_id": image_id, "split": split, **rest} for image_id, split in splits.items()]
    captions = [
        {"image_id": image_id, "caption_id": f"{image_id}{text}", "text": "", "tokens": [text]}
        for image_id, text in [("a", "1"), ("b", "2"), ("b", "3"), ("c", "4")]
    ]
    found = tokens_by_split(
        pa.Table.from_pylist(images, schema=IMAGES),
        pa.Table.from_pylist(captions, schema=CLEAN_CAPTIONS),
    )
    assert found == {"train": [["2"], ["3"], ["4"]], "val": [], "test": [["1"]]}
