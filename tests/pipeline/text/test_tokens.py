"""Captions by the split of their picture."""

import pyarrow as pa
import pytest

from pipeline.errors import InputError
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


@pytest.mark.parametrize(
    ("image_id", "split", "told"),
    [("c", "train", "a caption of 'd', in no split"), ("d", "odd", "a caption of 'd', in odd")],
)
def test_captions_of_unknown_pictures_are_one_line(image_id, split, told):
    images = pa.table({"image_id": [image_id], "split": [split]})
    captions = pa.table({"image_id": ["d"], "tokens": [["a", "dog"]]})
    with pytest.raises(InputError, match=told) as caught:
        tokens_by_split(images, captions)
    assert "\n" not in str(caught.value)
