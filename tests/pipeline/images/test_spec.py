"""Names of encoders."""

import itertools
from typing import get_args

import pytest

from pipeline.images.spec import Arithmetic, Pooling, fingerprint_of, identity

FINGERPRINT = "ab" * 32


@pytest.mark.parametrize(
    ("pooling", "precision", "suffix"),
    [
        ("average", "float32", ""),
        ("grid", "float32", "-grid"),
        ("average", "bfloat16", "-bfloat16"),
        ("grid", "float16", "-grid-float16"),
    ],
)
def test_an_identity_is_the_fingerprint_and_what_differs(pooling, precision, suffix):
    assert identity(FINGERPRINT, pooling, precision) == FINGERPRINT + suffix


def test_no_two_ways_share_an_identity():
    ways = list(itertools.product(get_args(Pooling), get_args(Arithmetic)))
    names = {identity(FINGERPRINT, *way) for way in ways}
    assert len(names) == len(ways) == 6
    assert {fingerprint_of(name) for name in names} == {FINGERPRINT}
