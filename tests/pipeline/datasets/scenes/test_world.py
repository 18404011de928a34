"""Random scenes keep to the rules of the picture book."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.datasets.scenes.scene import (
    BACKGROUNDS,
    COLOURS,
    KINDS,
    SIZES,
    SKY_KINDS,
    TIMES,
    Scene,
    Thing,
)
from pipeline.datasets.scenes.world import (
    BIG,
    COUNTS,
    SKY_ENDS,
    SMALL,
    SURFACE_KINDS,
    drawn_in_order,
    random_scene,
)

seeds = st.integers(0, 2**32)


def scene_of(seed: int) -> Scene:
    return random_scene(np.random.default_rng(seed))


@pytest.fixture(scope="module")
def many() -> list[Scene]:
    return [scene_of(seed) for seed in range(1500)]


def shared(a: Thing, b: Thing) -> float:
    (l1, t1, r1, b1), (l2, t2, r2, b2) = a.box, b.box
    return max(0.0, min(r1, r2) - max(l1, l2)) * max(0.0, min(b1, b2) - max(t1, t2))


def area(thing: Thing) -> float:
    left, top, right, bottom = thing.box
    return (right - left) * (bottom - top)


@given(seeds)
@settings(max_examples=150, deadline=None)
def test_things_are_whole_where_they_belong_and_can_be_seen(seed: int) -> None:
    scene = scene_of(seed)
    assert 1 <= len(scene.things) <= 4
    for thing in scene.things:
        left, top, right, bottom = thing.box
        assert 0 < left < right < 1
        assert 0 < top < bottom < 1
        assert thing.in_sky or thing.kind in SURFACE_KINDS[scene.background]
        assert bottom <= SKY_ENDS + 1e-4 if thing.in_sky else bottom >= 0.65
    order = sorted(scene.things, key=drawn_in_order)
    for number, covered in enumerate(order):
        for later in order[number + 1 :]:
            assert shared(covered, later) <= 0.23 * area(covered)


@given(seeds)
@settings(max_examples=20, deadline=None)
def test_a_scene_depends_on_its_seed_alone(seed: int) -> None:
    assert scene_of(seed) == scene_of(seed)


def test_big_and_small_are_clearly_apart(many: list[Scene]) -> None:
    assert BIG[0] >= 1.8 * SMALL[1]
    sizes = {
        size: [area(t) ** 0.5 for s in many for t in s.things if t.size == size] for size in SIZES
    }
    assert min(sizes["big"]) > 1.78 * max(sizes["small"])


def test_most_pictures_have_one_thing_or_two(many: list[Scene]) -> None:
    counts = Counter(len(scene.things) for scene in many)
    shares = [counts[n] / len(many) for n in (1, 2, 3, 4)]
    assert shares == pytest.approx(COUNTS, abs=0.05)


def test_everything_in_the_lists_occurs_and_chance_is_fair(many: list[Scene]) -> None:
    things = [thing for scene in many for thing in scene.things]
    kinds = Counter(thing.kind for thing in things)
    assert set(kinds) == set(KINDS) >= SKY_KINDS
    assert min(kinds.values()) > 40
    colours = Counter(thing.colour for thing in things)
    assert set(colours) == set(COLOURS)
    assert max(colours.values()) < 1.4 * min(colours.values())
    assert {scene.background for scene in many} == set(BACKGROUNDS)
    assert {scene.time for scene in many} == set(TIMES)


def test_no_two_scenes_are_alike(many: list[Scene]) -> None:
    assert len(set(many)) == len(many)


def test_there_are_groups_of_a_kind(many: list[Scene]) -> None:
    most = Counter(max(Counter(t.kind for t in scene.things).values()) for scene in many)
    assert most[2] > 150
    assert most[3] > 50
    assert most[4] > 5
