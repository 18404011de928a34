"""Captions of made-up pictures, better or worse, drawn by seed."""

import random

import pytest

from pipeline.evaluation.java import MetricUnavailable
from pipeline.evaluation.predictions import Candidate, Prediction

THINGS = ("dog", "cat", "boy", "girl", "horse", "bird", "man", "woman")
DOES = ("runs", "sits", "jumps", "sleeps", "swims")
PLACES = ("in the grass", "on the beach", "near a tree", "in the snow", "on a red chair")


@pytest.fixture(autouse=True)
def no_java(monkeypatch):
    """Words at spaces, and no METEOR: Java takes longer than all of these tests."""

    def unavailable(*_):
        raise MetricUnavailable("not in this test")

    monkeypatch.setattr(
        "pipeline.evaluation.tokenise.ptb_tokenize",
        lambda texts: [text.lower().split() for text in texts],
    )
    monkeypatch.setattr("pipeline.evaluation.meteor.meteor", unavailable)


@pytest.fixture(scope="session")
def predict():
    return predictions


def predictions(pictures, seed, quality, first=0):
    """Caption pictures, each rightly with probability `quality`; the pictures stay the same."""
    lot = random.Random(seed)
    found = []
    for number in range(first, first + pictures):
        truth = random.Random(f"picture {number}")
        facts = truth.choice(THINGS), truth.choice(DOES), truth.choice(PLACES)
        others = [lot.choice(group) for group in (THINGS, DOES, PLACES)]
        kept = [
            fact if lot.random() < quality else other
            for fact, other in zip(facts, others, strict=True)
        ]
        caption = _say(kept, lot)
        found.append(
            Prediction(
                image_id=f"p{number:04d}",
                path=f"pictures/p{number:04d}.png",
                caption=caption,
                candidates=(Candidate(caption, -4.5), Candidate("a dog", -6.25)),
                references=tuple(_say(facts, truth) for _ in range(4)),
                scores={"rouge_l": 0.5},
            )
        )
    return found


def _say(facts, lot):
    thing, does, place = facts
    return lot.choice([f"a {thing} {does} {place}", f"{place} a small {thing} {does}"])
