"""Which captions are true of a scene, and which are not."""

from collections.abc import Callable
from itertools import chain

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pipeline.datasets.scenes import lexicon
from pipeline.datasets.scenes.captions import write_captions
from pipeline.datasets.scenes.facts import fact_accuracy, is_true, untrue
from pipeline.datasets.scenes.reading import (
    Background,
    Exists,
    Located,
    Related,
    Statement,
    Time,
    statements,
)
from pipeline.datasets.scenes.scene import BACKGROUNDS, COLOURS, KINDS, Scene, Thing, to_facts
from pipeline.datasets.scenes.world import random_scene

SCENE = to_facts(
    Scene(
        "grass",
        "night",
        (
            Thing("house", "blue", "big", (0.05, 0.4, 0.45, 0.8)),
            Thing("car", "red", "small", (0.6, 0.7, 0.9, 0.85)),
            Thing("kite", "pink", "small", (0.62, 0.1, 0.78, 0.3)),
        ),
    )
)
DOGS = to_facts(
    Scene(
        "snow",
        "day",
        (
            Thing("dog", "red", "big", (0.05, 0.5, 0.35, 0.8)),
            Thing("dog", "red", "small", (0.45, 0.7, 0.6, 0.8)),
            Thing("dog", "blue", "small", (0.8, 0.7, 0.95, 0.8)),
        ),
    )
)


def said(caption: str) -> list[Statement]:
    return statements(caption.split())


@pytest.mark.parametrize(
    "caption",
    [
        "a house",
        "a blue house and a red car",
        "a red car and a blue house",
        "a big blue house stands on the grass at night",
        "a red car to the right of a blue house",
        "a kite above a car in a field",
        "under a kite there is a car",
        "there is a single house",
        "the house",
        "a house on the left and a car on the right",
        "a house a car and a kite",
    ],
)
def test_true_captions(caption: str) -> None:
    assert is_true(caption.split(), SCENE)


@pytest.mark.parametrize(
    "caption",
    [
        "a red house and a blue car",  # the colours are bound to the wrong things
        "a red house",
        "a small house",
        "a dog",
        "a house and a house",  # there is one
        "a house a house a house",
        "two houses",
        "houses",
        "a house in the snow",
        "a house during the day",
        "a house in the blue sky",
        "a house flies",
        "a house and a kite in the sky",  # the house is not
        "a kite on the grass",
        "a red car to the left of a blue house",
        "a house above a car",
        "a car above a kite",
        "a house on the right",
        "a big blue zebra",
        "a house next to",
        "on the grass at night",  # of no thing
        "",
        "a a a a",
    ],
)
def test_untrue_captions(caption: str) -> None:
    assert not is_true(caption.split(), SCENE)


@pytest.mark.parametrize(
    ("caption", "true"),
    [
        ("three dogs", True),
        ("two dogs", False),  # there are three
        ("two red dogs", True),
        ("two small dogs", True),
        ("two blue dogs", False),
        ("a dog", True),
        ("a dog and another dog", True),
        ("a red dog and a blue one", True),
        ("a blue dog and another blue one", False),
        ("a single dog", False),
        ("a single blue dog", True),
        ("red dogs", True),
        ("some dogs", True),
        ("several dogs", True),
        ("several red dogs", False),
        ("a dog and two dogs", False),
        ("two dogs and a dog", False),
        ("two red dogs and a blue dog", True),
        ("two red dogs to the left of a blue dog", True),
        ("a red dog to the left of a red dog", True),
        ("three dogs on the left", False),  # not all of them
        ("two dog", False),
        ("three dog", True),
    ],
)
def test_numbers_count_what_fits_the_description(caption: str, true: bool) -> None:
    assert is_true(caption.split(), DOGS) == true


def test_the_untrue_statements_are_named() -> None:
    caption = "a blue house is to the right of a green car in the snow at night"
    assert untrue(said(caption), SCENE) == [
        Exists(1, "car", "green"),
        Located(1, in_sky=False),  # said of a car that is not there
        Related(0, "right_of", 1),
        Background("snow"),
    ]


def test_mentions_are_given_the_things_that_make_most_true() -> None:
    caption = "a dog to the right of a dog during the day"
    assert untrue(said(caption), DOGS) == []
    caption = "a dog to the right of a blue dog during the day"
    assert untrue(said(caption), DOGS) == [Related(0, "right_of", 1)]


@pytest.mark.parametrize("again", [5, 40, 3000])
def test_a_caption_that_repeats_itself_is_judged_soon(again: int) -> None:
    wrong = untrue(said("a red dog next to " * again), DOGS)
    assert len(wrong) > 2 * (again - 4)


# --- a true caption with one word changed is untrue ---


def changed(
    tokens: list[str], phrases: list[str], others: list[str], seed: int
) -> list[str] | None:
    """Put one of `others` where the caption has one of `phrases`; None where it has none."""
    text = f" {' '.join(tokens)} "
    found = [phrase for phrase in phrases if f" {phrase} " in text]
    if not found or not others:
        return None
    longest = max(found, key=len)
    others = [other for other in others if other != longest]
    return text.replace(f" {longest} ", f" {others[seed % len(others)]} ", 1).split()


def other_colour(scene: Scene, tokens: list[str], seed: int) -> list[str] | None:
    absent = sorted(set(COLOURS) - {thing.colour for thing in scene.things})
    return changed(tokens, list(COLOURS), absent, seed)


def other_kind(scene: Scene, tokens: list[str], seed: int) -> list[str] | None:
    nouns = [noun for forms in lexicon.NOUNS.values() for pair in forms for noun in pair]
    absent = sorted(set(KINDS) - {thing.kind for thing in scene.things})
    return changed(tokens, nouns, [lexicon.NOUNS[kind][0][0] for kind in absent], seed)


def other_size(scene: Scene, tokens: list[str], seed: int) -> list[str] | None:
    if len({thing.size for thing in scene.things}) > 1:
        return None
    said = scene.things[0].size
    other = "small" if said == "big" else "big"
    return changed(tokens, list(lexicon.SIZES[said]), list(lexicon.SIZES[other]), seed)


def other_time(scene: Scene, tokens: list[str], seed: int) -> list[str] | None:
    other = "night" if scene.time == "day" else "day"
    here, there = list(lexicon.HOURS[scene.time]), list(lexicon.HOURS[other])
    return changed(tokens, here, there, seed)


def other_background(scene: Scene, tokens: list[str], seed: int) -> list[str] | None:
    others = [b for b in BACKGROUNDS if b != scene.background]
    for table in (lexicon.SURFACES, lexicon.BELOW_SKY):
        there = list(chain.from_iterable(table[b] for b in others))
        result = changed(tokens, list(table[scene.background]), there, seed)
        if result:
            return result
    return None


def turned_round(scene: Scene, tokens: list[str], seed: int) -> list[str] | None:
    if len({thing.kind for thing in scene.things}) < len(scene.things):
        return None  # "a dog to the left of another dog" is as true the other way round
    for a, b in (("left_of", "right_of"), ("above", "below"), ("in_front_of", "behind")):
        for here, there in ((a, b), (b, a)):
            phrases = list(lexicon.RELATIONS[here])
            result = changed(tokens, phrases, list(lexicon.RELATIONS[there]), seed)
            if result:
                return result
    return None


CHANGES = [other_colour, other_kind, other_size, other_time, other_background, turned_round]


@pytest.mark.parametrize("change", CHANGES)
@given(seed=st.integers(0, 2**32))
@settings(max_examples=50, deadline=None)
def test_a_true_caption_with_something_changed_is_untrue(
    change: Callable[[Scene, list[str], int], list[str] | None], seed: int
) -> None:
    scene = random_scene(np.random.default_rng([seed, 0]))
    tried = 0
    for caption in write_captions(scene, np.random.default_rng([seed, 1])):
        tokens = [word for word in caption.lower().split() if word not in {".", ","}]
        tokens_changed = change(scene, tokens, seed)
        if tokens_changed is not None:
            tried += 1
            assert not is_true(tokens_changed, to_facts(scene)), (caption, tokens_changed)
    assume(tried)


@given(st.lists(st.text(max_size=8), max_size=20))
@settings(max_examples=40)
def test_garbage_is_not_true(tokens: list[str]) -> None:
    assert not is_true(tokens, SCENE)


def test_fact_accuracy_is_the_share_of_true_captions() -> None:
    captions = {"1": ["a", "house"], "2": ["a", "dog"], "3": ["a", "dog"], "4": ["dogs"]}
    facts = {"1": SCENE, "2": DOGS, "3": SCENE, "4": DOGS, "5": {}}
    assert fact_accuracy(captions, facts) == 0.75


def test_fact_accuracy_needs_captions_and_their_facts() -> None:
    with pytest.raises(ValueError, match="expected captions"):
        fact_accuracy({}, {})
    with pytest.raises(KeyError):
        fact_accuracy({"1": ["a", "house"]}, {})


def test_time_is_a_statement_wherever_it_stands() -> None:
    for caption in ("during the day a house", "a house under a blue sky"):
        assert untrue(said(caption), SCENE) == [Time("day")]
