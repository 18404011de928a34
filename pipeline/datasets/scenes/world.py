"""Draw lots for a scene: which things, how many, in which colours and sizes, and where.

What lies where keeps to a few rules of the picture book: the sky's things are in the sky, boats
are on water or on the beach, fish are in the water, nothing hides more than a part of another
thing. All else is chance, and each scene depends on its generator alone.
"""

import numpy as np

from pipeline.datasets.scenes.scene import (
    BACKGROUNDS,
    COLOURS,
    SKY_KINDS,
    TIMES,
    Box,
    Scene,
    Thing,
)

COUNTS = (0.50, 0.33, 0.12, 0.05)  # chance of 1, 2, 3 and 4 things
BIG = (0.44, 0.52)  # square root of a box's area; the least big thing is 1.8 times
SMALL = (0.225, 0.244)  # as wide as the greatest small one
BIG_CHANCE = (0.55, 0.50, 0.34, 0.22)  # by the number of things: many big ones find no room
ALIKE = (0.0, 0.40, 0.55, 0.60)  # chance that some things are of one kind, by their number
SAME_COLOUR, SAME_SIZE = 0.6, 0.8  # chance of either in things of one kind
NIGHT = 0.4  # share of the pictures
ASPECTS = {  # width by height
    "ball": 1.0,
    "balloon": 0.62,
    "bird": 1.3,
    "boat": 0.95,
    "bus": 1.9,
    "butterfly": 1.2,
    "car": 1.75,
    "cat": 0.85,
    "child": 0.62,
    "cow": 1.4,
    "dog": 1.25,
    "fish": 1.6,
    "flower": 0.62,
    "house": 1.0,
    "kite": 0.65,
    "tree": 0.78,
}
LAND_KINDS = ("ball", "bus", "car", "cat", "child", "cow", "dog", "flower", "house", "tree")
SURFACE_KINDS = {  # what may be on each background, apart from what is in the sky
    "grass": LAND_KINDS,
    "sand": (*LAND_KINDS, "boat"),
    "snow": LAND_KINDS,
    "water": ("ball", "boat", "boat", "fish", "fish"),  # twice: there is little else at sea
}
SKY_CHANCE = {"grass": 0.25, "sand": 0.25, "snow": 0.25, "water": 0.4}
MARGIN = 0.03  # of the picture that every box leaves free
FEET = 0.68  # highest place for the foot of a thing; the horizon is above it
SKY_ENDS = 0.62  # lowest place for the lower edge of a thing in the sky
MOST_HIDDEN = 0.22  # part of a thing that another may cover
MOST_TOUCHING = 0.06  # the same where one is in the sky or both have one colour: hard to tell apart
PLACES_TRIED, SCENES_TRIED = 40, 12


def random_scene(rng: np.random.Generator) -> Scene:
    """Draw lots for one scene of 1 to 4 things."""
    background = str(rng.choice(BACKGROUNDS))
    time = str(rng.choice(TIMES, p=(1 - NIGHT, NIGHT)))
    count = int(rng.choice(len(COUNTS), p=COUNTS)) + 1
    while True:
        for _ in range(SCENES_TRIED):
            things = _placed(_wanted(background, count, rng), rng)
            if things is not None:
                return Scene(background, time, _by_salience(things))
        count -= 1  # one thing always finds room


def _wanted(background: str, count: int, rng: np.random.Generator) -> list[Thing]:
    """Choose kinds, colours and sizes; the boxes have their size but no place yet."""
    kinds = _kinds(background, count, rng)
    one_colour, one_size = rng.random() < SAME_COLOUR, rng.random() < SAME_SIZE
    chosen: dict[str, tuple[str, str]] = {}
    things = []
    for kind in kinds:
        colour = str(rng.choice(COLOURS))
        size = "big" if rng.random() < BIG_CHANCE[count - 1] else "small"
        first_colour, first_size = chosen.setdefault(kind, (colour, size))
        colour = first_colour if one_colour else colour
        size = first_size if one_size else size
        things.append(Thing(kind, colour, size, _box_of(kind, size, rng)))
    return things


def _kinds(background: str, count: int, rng: np.random.Generator) -> list[str]:
    kinds = [_kind(background, rng) for _ in range(count)]
    if rng.random() < ALIKE[count - 1]:
        alike = int(rng.integers(2, count + 1))
        kinds[:alike] = [kinds[0]] * alike
    return kinds


def _kind(background: str, rng: np.random.Generator) -> str:
    if rng.random() < SKY_CHANCE[background]:
        return str(rng.choice(sorted(SKY_KINDS)))
    return str(rng.choice(SURFACE_KINDS[background]))


def _box_of(kind: str, size: str, rng: np.random.Generator) -> Box:
    scale = rng.uniform(*(BIG if size == "big" else SMALL))
    aspect = ASPECTS[kind] * rng.uniform(0.93, 1.07)
    if kind in SKY_KINDS:  # what is tall must still find room above the ground
        scale = min(scale, (SKY_ENDS - MARGIN) * aspect**0.5)
    return (0.0, 0.0, float(scale * aspect**0.5), float(scale / aspect**0.5))


def _placed(things: list[Thing], rng: np.random.Generator) -> list[Thing] | None:
    """Find a place for each thing, the big ones first; None where there is no room."""
    placed: list[Thing] = []
    for thing in sorted(things, key=lambda t: t.size):
        for _ in range(PLACES_TRIED):
            candidate = _at_random_place(thing, rng)
            if all(_leaves_seen(candidate, other) for other in placed):
                placed.append(candidate)
                break
        else:
            return None
    return placed


def _at_random_place(thing: Thing, rng: np.random.Generator) -> Thing:
    _, _, width, height = thing.box
    left = rng.uniform(MARGIN, 1 - MARGIN - width)
    if thing.in_sky:
        top = rng.uniform(MARGIN, max(MARGIN, SKY_ENDS - height))
    else:
        top = rng.uniform(max(MARGIN, FEET - height), 1 - MARGIN - height)
    left, top, right, bottom = (
        round(float(value), 4) for value in (left, top, left + width, top + height)
    )
    return Thing(thing.kind, thing.colour, thing.size, (left, top, right, bottom))


def _leaves_seen(a: Thing, b: Thing) -> bool:
    """Whether neither thing hides too much of the other: the one drawn first is covered."""
    covered = min((a, b), key=drawn_in_order)
    (l1, t1, r1, b1), (l2, t2, r2, b2) = a.box, b.box
    shared = max(0.0, min(r1, r2) - max(l1, l2)) * max(0.0, min(b1, b2) - max(t1, t2))
    left, top, right, bottom = covered.box
    most = MOST_TOUCHING if a.in_sky or b.in_sky or a.colour == b.colour else MOST_HIDDEN
    return shared <= most * (right - left) * (bottom - top)


def drawn_in_order(thing: Thing) -> tuple[bool, float]:
    """Sort key: the ground's things from far to near, then those in the sky."""
    return (thing.in_sky, thing.box[3])


def _by_salience(things: list[Thing]) -> tuple[Thing, ...]:
    return tuple(sorted(things, key=lambda t: (t.size, abs(t.x - 0.5), t.kind)))
