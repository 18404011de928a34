"""Captions read back into statements, phrase by phrase."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.datasets.scenes.reading import (
    AtSide,
    Background,
    Does,
    Exists,
    Located,
    Related,
    Statement,
    Time,
    Unclear,
    statements,
)


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        (
            "a big red house stands on the grass at night",
            [
                Exists(0, "house", "red", "big"),
                Does(0, "stand"),
                Located(0, in_sky=False),
                Background("grass"),
                Time("night"),
            ],
        ),
        (
            "two tiny dogs to the left of a kid in blue",
            [
                Exists(0, "dog", None, "small", least=2, most=2),
                Exists(1, "child", "blue"),
                Related(0, "left_of", 1),
            ],
        ),
        ("dogs", [Exists(0, "dog", least=2)]),
        ("several dogs", [Exists(0, "dog", least=3)]),
        ("a fish", [Exists(0, "fish")]),
        ("a single fish", [Exists(0, "fish", most=1)]),
        ("a group of three fish", [Exists(0, "fish", least=3, most=3)]),
        (
            "a red ball and a blue one",
            [Exists(0, "ball", "red"), Exists(1, "ball", "blue")],
        ),
        (
            "a house with a small tree beside it",
            [Exists(0, "house"), Exists(1, "tree", None, "small"), Related(1, "next_to", 0)],
        ),
        (
            "in the night sky fly two birds",
            [
                Exists(0, "bird", least=2, most=2),
                Located(0, in_sky=True),
                Does(0, "fly"),
                Time("night"),
            ],
        ),
        (
            "behind a house is a tree",
            [Exists(0, "house"), Exists(1, "tree"), Related(1, "behind", 0)],
        ),
        (
            "a dog on the left and a cat on the right side",
            [Exists(0, "dog"), Exists(1, "cat"), AtSide(0, "left"), AtSide(1, "right")],
        ),
        (  # what is said of a group is said of each
            "a dog a cow and a tree are standing in the snow",
            [
                *(Exists(n, kind) for n, kind in enumerate(("dog", "cow", "tree"))),
                *(Does(n, "stand") for n in range(3)),
                *(Located(n, in_sky=False) for n in range(3)),
                Background("snow"),
            ],
        ),
        (  # the verb is the subject's; the place that of the nearest that can be there
            "a bird above a house flies over the sea",
            [
                Exists(0, "bird"),
                Exists(1, "house"),
                Does(0, "fly"),
                Located(0, in_sky=True),
                Related(0, "above", 1),
                Background("water"),
            ],
        ),
        (  # "and" begins a new group after an object
            "a dog next to a cat and a bird in the sky",
            [
                Exists(0, "dog"),
                Exists(1, "cat"),
                Exists(2, "bird"),
                Located(2, in_sky=True),
                Related(0, "next_to", 1),
            ],
        ),
        (
            "a dog is next to a cat and to the left of a tree",
            [
                Exists(0, "dog"),
                Exists(1, "cat"),
                Exists(2, "tree"),
                Related(0, "next_to", 1),
                Related(0, "left_of", 2),
            ],
        ),
        (
            "a cat sits on the grass and in the sky there is a kite",
            [
                Exists(0, "cat"),
                Exists(1, "kite"),
                Does(0, "sit"),
                Located(0, in_sky=False),
                Located(1, in_sky=True),
                Background("grass"),
            ],
        ),
        ("a snowy night with a dog", [Exists(0, "dog"), Background("snow"), Time("night")]),
        ("a picture of a dog .", [Exists(0, "dog")]),
    ],
)
def test_what_a_caption_states(caption: str, expected: list[Statement]) -> None:
    assert statements(caption.split()) == expected


@pytest.mark.parametrize(
    ("caption", "words"),
    [
        ("a zebra on the grass", ["a", "zebra"]),
        ("a dog a", ["a"]),
        ("a red on the grass", ["a", "red"]),
        ("a big small dog", ["small"]),
        ("a red red dog", ["red"]),
        ("a a dog", ["a"]),
        ("a dog to the left of", ["to the left of"]),
        ("a dog to the left of on the grass", ["to the left of"]),
        ("next to a dog", ["next_to"]),
        ("a dog and", ["and"]),
        ("and a dog", ["and"]),
        ("a dog is", ["is"]),
        ("a dog is a cat", ["is"]),
        ("a dog is is standing", ["is"]),
        ("there is there is a dog", ["there is"]),
        ("a dog on", ["on"]),
        ("a dog above it", ["above", "it"]),
        ("a blue one", ["one"]),
        ("a house in red", ["in red"]),
        ("a red child in a blue coat", ["in a blue coat"]),
        ("a dog <unk>", ["<unk>"]),
    ],
)
def test_what_is_left_over_is_unclear(caption: str, words: list[str]) -> None:
    unclear = [s.word for s in statements(caption.split()) if isinstance(s, Unclear)]
    assert unclear == words


def test_punctuation_is_passed_over() -> None:
    plain = ["at", "night", "a", "dog"]
    assert statements(["at", "night", ",", "a", "dog", "."]) == statements(plain)


COMMON = """a an the red in on of to left is are and with it one sky night above behind two pair
there stands flies coat big next"""
known = [*COMMON.split(), "house", "dogs", "child", "kite", "tree", "fish"]


@given(st.lists(st.sampled_from(known) | st.text(max_size=5), max_size=30))
@settings(deadline=None)
def test_any_words_can_be_read(tokens: list[str]) -> None:
    said = statements(tokens)
    mentions = [s.mention for s in said if isinstance(s, Exists)]
    assert mentions == list(range(len(mentions)))
    for statement in said:
        match statement:
            case Related(mention, _, other):
                assert mention != other
                assert {mention, other} <= set(mentions)
            case Does(mention) | Located(mention) | AtSide(mention):
                assert mention in mentions
