"""Splits for data sets that have none of their own: by a hash of the picture's id.

Adding a picture moves no other, and all captions of a picture stay together, as it is the picture
that is split. The test pictures depend on `test_share` alone, so that trying another `val_share`
keeps them apart from training.
"""

import hashlib


def split_of(image_id: str, val_share: float, test_share: float) -> str:
    """Put a picture into train, val or test.

    fraction  0 ........ test_share ........ test_share + val_share ........ 1
    split         test                 val                           train
    """
    place = fraction(image_id)
    if place < test_share:
        return "test"
    return "val" if place < test_share + val_share else "train"


def fraction(image_id: str) -> float:
    """Spread ids evenly over [0, 1): the first 52 bits of their SHA-256, which a float holds."""
    digest = hashlib.sha256(image_id.encode("utf-8")).hexdigest()
    return int(digest[:13], 16) / 16**13
