"""Names of encoders."""

import itertools
from typing import get_args

import pytest

from pipeline.images.spec import Arithmetic, Pooling, Spec, fingerprint_of, identity, pooling_of

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
    assert len(names) == len(ways) == 9
    assert {fingerprint_of(name) for name in names} == {FINGERPRINT}
    assert [pooling_of(identity(FINGERPRINT, *way)) for way in ways] == [one for one, _ in ways]


def test_people_are_told_the_network_and_its_earlier_layers():
    spec = Spec(network="ResNet50", side=224, features=9, source="x", fingerprint=FINGERPRINT)
    assert spec.layered == "ResNet50"
    assert spec.model_copy(update={"layers": ["a", "b"]}).layered == "ResNet50 + a + b"
