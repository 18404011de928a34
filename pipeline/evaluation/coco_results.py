"""The results file that COCO's evaluation server takes: a JSON list of one caption a picture.

    [{"caption": "a dog runs", "image_id": 391895}, ...]

COCO's own ids are numbers. Where the ids of a split are not, or would clash as numbers ("1" and
"01"), they stay text, which the server does not take, but `pycocotools` does.
"""

from collections.abc import Mapping
from typing import Any


def coco_results(captions: Mapping[str, str]) -> list[dict[str, Any]]:
    """Give the results of a split, in the order of `captions`.

    Args:
        captions: image id -> caption.
    """
    numbers = {int(image_id) for image_id in captions if _is_number(image_id)}
    numeric = len(numbers) == len(captions)
    return [
        {"image_id": int(image_id) if numeric else image_id, "caption": caption}
        for image_id, caption in captions.items()
    ]


def _is_number(image_id: str) -> bool:
    return image_id.isascii() and image_id.isdigit()
