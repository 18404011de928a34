"""What is true of a picture of *scenes*: its things, its place, its time, and how they lie.

The world is closed: the lists below are all there is. A scene's facts are one JSON object:

    {"background": "grass", "time": "night", "things": [
        {"kind": "dog", "colour": "red", "size": "big", "box": [0.1, 0.5, 0.6, 0.9]}]}

`box` is left, top, right, bottom in parts of the picture's side, with 4 decimals; x grows to the
right and y downwards. Things stand in order of salience: big before small, near the middle before
far from it. There are 1 to 4.

Whether a thing is in the sky follows from its kind alone. The predicates at the end of this module
are the only meaning that words such as "behind" have, for those who write captions and for those
who check them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.errors import InputError

KINDS = (
    "ball",
    "balloon",
    "bird",
    "boat",
    "bus",
    "butterfly",
    "car",
    "cat",
    "child",
    "cow",
    "dog",
    "fish",
    "flower",
    "house",
    "kite",
    "tree",
)
SKY_KINDS = frozenset({"balloon", "bird", "butterfly", "kite"})
COLOURS = ("blue", "green", "orange", "pink", "purple", "red", "white", "yellow")
SIZES = ("big", "small")
BACKGROUNDS = ("grass", "sand", "snow", "water")
TIMES = ("day", "night")
SIDES = ("left", "middle", "right")
MOST_THINGS = 4

APART = 0.15  # least distance of two centres before "left of" or "above" may be said
ABOVE_REACH = 0.30  # most sideways distance of two centres for "above"
NEXT_GAP = 0.15  # widest gap between two things that are next to each other
NEXT_OVERLAP = 0.30  # most of the narrower thing's width that the other one may share with it
NEXT_RISE = 0.20  # most vertical distance of their centres
FRONT_STEP = 0.05  # least distance, down the picture, from one foot to the other
FRONT_OVERLAP = 0.50  # least part of the narrower thing's width that the other one shares
SIDE_BORDERS = (0.40, 0.60)  # x of a centre: left of the first, right of the second, else middle

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Thing:
    """One thing of a scene; see the module for units."""

    kind: str
    colour: str
    size: str
    box: Box

    @property
    def x(self) -> float:
        """Of the box's centre."""
        return (self.box[0] + self.box[2]) / 2

    @property
    def y(self) -> float:
        """Of the box's centre."""
        return (self.box[1] + self.box[3]) / 2

    @property
    def width(self) -> float:
        """Of the box."""
        return self.box[2] - self.box[0]

    @property
    def in_sky(self) -> bool:
        """Whether it flies or hangs in the air; else it is on the ground or in the water."""
        return self.kind in SKY_KINDS


@dataclass(frozen=True)
class Scene:
    """All that is known of a picture."""

    background: str
    time: str
    things: tuple[Thing, ...]


def to_facts(scene: Scene) -> dict[str, Any]:
    """Give the scene as plain JSON."""
    things = [
        {"kind": t.kind, "colour": t.colour, "size": t.size, "box": list(t.box)}
        for t in scene.things
    ]
    return {"background": scene.background, "time": scene.time, "things": things}


def from_facts(facts: Mapping[str, Any]) -> Scene:
    """Read what `to_facts` gave.

    Raises:
        InputError: it is something else.
    """
    try:
        things = tuple(_thing(entry) for entry in facts["things"])
        return Scene(str(facts["background"]), str(facts["time"]), things)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            "facts: expected background, time, and things with kind, colour, size and box, as in "
            f"pipeline/datasets/scenes/scene.py. Received: {str(facts)[:200]}"
        ) from error


def _thing(entry: Mapping[str, Any]) -> Thing:
    left, top, right, bottom = (float(value) for value in entry["box"])
    kind, colour, size = (str(entry[name]) for name in ("kind", "colour", "size"))
    return Thing(kind, colour, size, (left, top, right, bottom))


def left_of(a: Thing, b: Thing) -> bool:
    """Whether a's centre is clearly further to the left, however high."""
    return b.x - a.x >= APART


def above(a: Thing, b: Thing) -> bool:
    """Whether a, in the sky, is clearly higher than b and not far aside.

    Of two things on the ground none is above the other: the higher one is further away.
    """
    return a.in_sky and b.y - a.y >= APART and abs(a.x - b.x) <= ABOVE_REACH


def next_to(a: Thing, b: Thing) -> bool:
    """Whether a and b are side by side: both in the sky or both not, level, and close."""
    if a.in_sky != b.in_sky or abs(a.y - b.y) > NEXT_RISE:
        return False
    return -NEXT_OVERLAP * min(a.width, b.width) <= -_shared_width(a, b) <= NEXT_GAP


def in_front_of(a: Thing, b: Thing) -> bool:
    """Whether a, on the ground like b, is nearer to us and in the way of b."""
    if a.in_sky or b.in_sky or a.box[3] - b.box[3] < FRONT_STEP:
        return False
    return _shared_width(a, b) >= FRONT_OVERLAP * min(a.width, b.width)


def side(thing: Thing) -> str:
    """Which of SIDES of the picture the thing's centre is on."""
    if thing.x < SIDE_BORDERS[0]:
        return "left"
    return "right" if thing.x > SIDE_BORDERS[1] else "middle"


def _shared_width(a: Thing, b: Thing) -> float:
    """Width that both boxes span; below 0 it is the gap between them."""
    return min(a.box[2], b.box[2]) - max(a.box[0], b.box[0])


RELATIONS: Mapping[str, Callable[[Thing, Thing], bool]] = {
    "left_of": left_of,
    "right_of": lambda a, b: left_of(b, a),
    "above": above,
    "below": lambda a, b: above(b, a),
    "next_to": next_to,
    "in_front_of": in_front_of,
    "behind": lambda a, b: in_front_of(b, a),
}
