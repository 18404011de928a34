"""What is true of a scene: the predicates behind the words, and the facts as JSON."""

import json

import pytest

from pipeline.datasets.scenes.scene import (
    RELATIONS,
    Scene,
    Thing,
    from_facts,
    side,
    to_facts,
)
from pipeline.errors import InputError


def thing(kind: str, x: float, y: float, width: float = 0.2, height: float = 0.2) -> Thing:
    """A thing by its centre."""
    return Thing(
        kind, "red", "small", (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    )


def relations(a: Thing, b: Thing) -> set[str]:
    return {name for name, holds in RELATIONS.items() if holds(a, b)}


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (thing("dog", 0.2, 0.8), thing("cat", 0.5, 0.8), {"left_of", "next_to"}),
        (thing("dog", 0.2, 0.8), thing("cat", 0.8, 0.8), {"left_of"}),  # too far to be next to it
        (thing("dog", 0.8, 0.8), thing("cat", 0.2, 0.6), {"right_of"}),
        (thing("kite", 0.5, 0.2), thing("dog", 0.5, 0.8), {"above"}),
        (thing("dog", 0.5, 0.8), thing("kite", 0.5, 0.2), {"below"}),
        (thing("kite", 0.1, 0.2), thing("dog", 0.8, 0.8), {"left_of"}),  # too far aside
        (thing("dog", 0.5, 0.5), thing("cat", 0.5, 0.8), {"behind"}),  # not above: on the ground
        (thing("dog", 0.5, 0.85), thing("house", 0.45, 0.7, 0.4, 0.4), {"in_front_of"}),
        (thing("kite", 0.5, 0.4), thing("dog", 0.7, 0.5), {"left_of"}),  # never side by side
        (thing("dog", 0.50, 0.8), thing("cat", 0.60, 0.8), set()),  # nothing is clear
    ],
)
def test_relations_that_hold(a: Thing, b: Thing, expected: set[str]) -> None:
    assert relations(a, b) == expected


@pytest.mark.parametrize(
    ("name", "inverse"),
    [("left_of", "right_of"), ("above", "below"), ("in_front_of", "behind"), ("next_to",) * 2],
)
def test_a_relation_and_its_inverse_are_the_same_turned_round(name: str, inverse: str) -> None:
    places = [
        thing(kind, x / 10, y / 10)
        for kind in ("kite", "dog")
        for x in (1, 3, 5, 9)
        for y in (2, 5, 8)
    ]
    pairs = [(a, b) for a in places for b in places if a != b]
    assert any(RELATIONS[name](a, b) for a, b in pairs)
    assert all(RELATIONS[name](a, b) == RELATIONS[inverse](b, a) for a, b in pairs)


def test_sides_are_by_the_centre() -> None:
    assert [side(thing("dog", x, 0.5)) for x in (0.3, 0.5, 0.7)] == ["left", "middle", "right"]


def test_facts_survive_json() -> None:
    scene = Scene("sand", "night", (thing("dog", 0.3, 0.7), thing("kite", 0.25, 0.25)))
    assert from_facts(json.loads(json.dumps(to_facts(scene)))) == scene


@pytest.mark.parametrize(
    "facts",
    [{}, {"things": None}, {"things": [{"box": [1, 2]}]}, {"things": [], "time": "day"}, {"a": 1}],
)
def test_other_facts_are_refused_with_what_came(facts: dict[str, object]) -> None:
    with pytest.raises(InputError, match=r"facts: expected background.*Received: \{"):
        from_facts(facts)
