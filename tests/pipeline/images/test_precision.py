"""`auto`: the fastest precision, of those whose features are as good."""

import logging

import keras
import numpy as np
import pytest

from pipeline.images import precision
from pipeline.images.encoder import Encoder
from pipeline.images.networks import NETWORKS
from pipeline.images.precision import Probe, choose, fastest, least_cosine

SIDE = 32


@pytest.mark.parametrize(
    ("bfloat16", "float16", "expected"),
    [
        ((0.5, 0.9999), (0.4, 0.9999), "float16"),
        ((0.5, 0.9999), (0.4, 0.998), "bfloat16"),  # faster, but not as good
        ((0.5, 0.9999), (0.4, np.nan), "bfloat16"),  # overflowed
        ((0.95, 0.9999), (2.0, 0.9999), "float32"),  # could be chance
        ((0.1, 0.99), (np.inf, np.nan), "float32"),
    ],
)
def test_the_fastest_that_is_good_enough_is_chosen(bfloat16, float16, expected):
    probes = [Probe("float32", 1.0, 1.0), Probe("bfloat16", *bfloat16), Probe("float16", *float16)]
    assert choose(probes) == expected


def test_the_least_cosine_is_that_of_the_worst_picture():
    one = np.array([[1.0, 0.0], [3.0, 4.0]])
    other = np.array([[2.0, 0.0], [4.0, 3.0]])
    assert least_cosine(one, other) == pytest.approx(24 / 25)
    assert least_cosine(one.reshape(2, 1, 2), other.reshape(2, 1, 2)) == pytest.approx(24 / 25)


def test_what_is_not_finite_is_not_good_enough():
    other = np.array([[np.inf, 1.0], [1.0, 1.0]])
    assert not least_cosine(np.ones((2, 2)), other) >= precision.MIN_COSINE


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    keras.utils.set_random_seed(1)
    return Encoder(NETWORKS["compact"].body(None, SIDE), "compact", SIDE, "train")


@pytest.mark.parametrize(("faster", "expected"), [("bfloat16", "bfloat16"), (None, "float32")])
def test_the_choice_is_told(encoder, faster, expected, monkeypatch, caplog):
    monkeypatch.setattr(
        precision, "_seconds", lambda encoder, *_: 0.1 if encoder.precision == faster else 1.0
    )
    pixels = np.random.default_rng(1).integers(0, 256, (4, SIDE, SIDE, 3), dtype=np.uint8)
    with caplog.at_level(logging.INFO):
        chosen = fastest(encoder, pixels)
    assert chosen.precision == expected
    assert f"precision {expected}, by 4 pictures" in caplog.text
    assert "float16 250 ms, cosine " in caplog.text


def test_what_cannot_be_run_is_not_chosen(encoder, monkeypatch, caplog):
    encode = Encoder.encode

    def refuse(self, pictures):
        if self.precision != "float32":
            raise RuntimeError("no such kernel")
        return encode(self, pictures)

    monkeypatch.setattr(Encoder, "encode", refuse)
    with caplog.at_level(logging.INFO):
        assert fastest(encoder, np.ones((2, SIDE, SIDE, 3), "uint8")).precision == "float32"
    assert "bfloat16 cannot be had: no such kernel" in caplog.text
