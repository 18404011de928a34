"""Pictures show their scenes: colour, place, day and night, and always the same bytes."""

import io

import numpy as np
import pytest
from PIL import Image

from pipeline.datasets.scenes.drawing import PAINT, draw_picture, jpeg
from pipeline.datasets.scenes.scene import BACKGROUNDS, COLOURS, KINDS, Scene, Thing
from pipeline.datasets.scenes.world import ASPECTS, random_scene

SIDE = 96


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def pixels(scene: Scene, seed: int = 0) -> np.ndarray:
    """Drawn as int (96, 96, 3)."""
    return np.asarray(draw_picture(scene, SIDE, rng(seed))).astype(int)


def one(kind: str, colour: str, scale: float = 0.4) -> Thing:
    wide, high = scale * ASPECTS[kind] ** 0.5, scale / ASPECTS[kind] ** 0.5
    return Thing(kind, colour, "big", (0.5 - wide / 2, 0.9 - high, 0.5 + wide / 2, 0.9))


def cut(picture: np.ndarray, thing: Thing) -> np.ndarray:
    left, top, right, bottom = (round(value * SIDE) for value in thing.box)
    return picture[top:bottom, left:right].reshape(-1, 3)


def empty(background: str, time: str) -> np.ndarray:
    return pixels(Scene(background, time, ()))


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_fills_its_box_and_nothing_far_outside(kind: str) -> None:
    thing = one(kind, "red")
    background = "water" if kind in ("boat", "fish") else "grass"
    changed = (
        np.abs(pixels(Scene(background, "day", (thing,))) - empty(background, "day")).max(axis=2)
        > 20
    )
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    left, top, right, bottom = (value * SIDE for value in thing.box)
    assert columns[0] == pytest.approx(left, abs=6)  # ripples and shadows are a little wider
    assert columns[-1] == pytest.approx(right, abs=6)
    assert rows[0] == pytest.approx(top, abs=4)
    assert rows[-1] == pytest.approx(bottom, abs=6)


@pytest.mark.parametrize("time", ["day", "night"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_commonest_paint_in_the_box_is_the_colour_that_was_asked_for(
    kind: str, time: str
) -> None:
    paints = np.array([PAINT[colour] for colour in COLOURS])
    background = "water" if kind in ("boat", "fish") else "snow"
    around = {tuple(c) for c in empty(background, time).reshape(-1, 3)}
    for colour in COLOURS:
        thing = one(kind, colour)
        seen = cut(pixels(Scene(background, time, (thing,))), thing)
        seen = np.array([pixel for pixel in seen if tuple(pixel) not in around])
        distance = np.abs(seen[:, None] - paints).sum(axis=2)  # (pixels, colours)
        close = np.bincount(distance.argmin(axis=1)[distance.min(axis=1) < 110], minlength=8)
        assert COLOURS[close.argmax()] == colour


@pytest.mark.parametrize("background", BACKGROUNDS)
def test_night_is_much_darker_than_day(background: str) -> None:
    assert empty(background, "night").mean() < 0.65 * empty(background, "day").mean()


def test_backgrounds_differ_below_the_horizon_by_day_and_by_night() -> None:
    for time in ("day", "night"):
        grounds = [empty(b, time)[70:].reshape(-1, 3).mean(axis=0) for b in BACKGROUNDS]
        gaps = [np.abs(a - b).sum() for i, a in enumerate(grounds) for b in grounds[:i]]
        assert min(gaps) > 60


def test_a_nearer_thing_covers_a_farther_one_whatever_their_order() -> None:
    far = Thing("ball", "red", "big", (0.3, 0.4, 0.7, 0.8))
    near = Thing("ball", "blue", "big", (0.3, 0.5, 0.7, 0.9))
    for things in ((far, near), (near, far)):
        middle = pixels(Scene("grass", "day", things))[69, 48]  # within both
        assert middle[2] > middle[0] + 50


def test_no_two_pictures_of_a_scene_are_alike_but_for_equal_seeds() -> None:
    scene = random_scene(rng(3))
    same = [jpeg(draw_picture(scene, SIDE, rng(seed))) for seed in (1, 1, 2)]
    assert same[0] == same[1] != same[2]


@pytest.mark.parametrize("side", [48, 97, 224])
def test_pictures_are_rgb_jpeg_of_the_side_asked_for(side: int) -> None:
    stored = Image.open(io.BytesIO(jpeg(draw_picture(random_scene(rng()), side, rng()))))
    assert (stored.format, stored.mode, stored.size) == ("JPEG", "RGB", (side, side))
