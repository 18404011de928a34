"""`auto`: the fastest precision, of those whose features are as good."""

import logging

import keras
import numpy as np
import pytest

from pipeline.images import precision
from pipeline.images.encoder import Encoder
from pipeline.images.networks import NETWORKS
from pipeline.images.precision import (
    CHOICES,
    Probe,
    choose,
    chosen_for,
    fastest,
    keep_choice,
    known_choice,
    least_cosine,
)

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


def test_choices_are_kept_side_by_side(tmp_path, caplog):
    assert known_choice(tmp_path / "cache", "one") is None
    keep_choice(tmp_path / "cache", "one", "bfloat16")
    keep_choice(tmp_path / "cache", "other", "float32")
    with caplog.at_level(logging.INFO):
        assert known_choice(tmp_path / "cache", "one") == "bfloat16"
    assert "bfloat16, as was chosen before" in caplog.text
    assert known_choice(tmp_path / "cache", "other") == "float32"
    assert known_choice(tmp_path / "cache", "third") is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"one": "float64"}', '{"one": ["float32"]}'])
def test_choices_that_cannot_be_read_are_made_anew(tmp_path, content):
    (tmp_path / CHOICES).write_text(content)
    assert known_choice(tmp_path, "one") is None
    keep_choice(tmp_path, "one", "float16")
    assert known_choice(tmp_path, "one") == "float16"


def test_a_cache_that_may_only_be_read_stops_nothing(tmp_path, caplog):
    (tmp_path / "cache").write_text("a file where a folder should be")
    keep_choice(tmp_path / "cache", "one", "float16")
    assert "precision.json could not be written" in caplog.text


def test_a_choice_is_for_one_encoder_one_device_and_one_size(monkeypatch):
    asked = [("a", "average", 16), ("b", "average", 16), ("a", "grid", 16), ("a", "average", 128)]
    names = {chosen_for(*one) for one in asked}
    monkeypatch.setattr("pipeline.images.computing.kind_of_device", lambda: "NVIDIA H200")
    names.add(chosen_for("a", "average", 16))
    monkeypatch.setattr("keras.backend.backend", lambda: "jax")
    names.add(chosen_for("a", "average", 16))
    assert len(names) == 6
