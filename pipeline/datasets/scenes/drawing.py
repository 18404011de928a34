"""Draw a scene as a picture: the backdrop, then its things from far to near."""

import io

import numpy as np
from PIL import Image, ImageDraw

from pipeline.datasets.scenes import backdrop
from pipeline.datasets.scenes.pen import Colour, Ink, Pen, blend
from pipeline.datasets.scenes.scene import Scene, Thing
from pipeline.datasets.scenes.things import DRAWN_BY
from pipeline.datasets.scenes.world import drawn_in_order

FINER = 3  # drawn so many times as large, then averaged, so that edges are smooth
JPEG_QUALITY = 90
PAINT: dict[str, Colour] = {
    "blue": (38, 92, 214),
    "green": (38, 148, 66),
    "orange": (248, 136, 28),
    "pink": (252, 142, 190),
    "purple": (136, 62, 184),
    "red": (222, 44, 44),
    "white": (246, 246, 244),
    "yellow": (255, 218, 44),
}


def draw_picture(scene: Scene, side: int, rng: np.random.Generator) -> Image.Image:
    """Draw `scene` as an RGB picture of `side` x `side` pixels; `rng` varies what no fact tells."""
    page = backdrop.paint(side * FINER, scene.background, scene.time, rng)
    for thing in sorted(scene.things, key=drawn_in_order):
        _draw_thing(page, thing, scene, rng)
    return page.reduce(FINER)


def jpeg(picture: Image.Image) -> bytes:
    """Encode a picture; the same pixels give the same bytes."""
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=JPEG_QUALITY)
    return stream.getvalue()


def _draw_thing(page: Image.Image, thing: Thing, scene: Scene, rng: np.random.Generator) -> None:
    draw = ImageDraw.Draw(page)
    left, top, right, bottom = (value * page.width for value in thing.box)
    ink = _ink(thing.colour, scene.time == "night", rng)
    pen = Pen(draw, (left, top, right, bottom), bool(rng.random() < 0.5), ink)
    stands = not thing.in_sky and scene.background != "water"
    if stands:
        _shadow(page, pen)
    DRAWN_BY[thing.kind](pen, rng)
    if not thing.in_sky and not stands:
        _ripples(page, pen)


def _shadow(page: Image.Image, pen: Pen) -> None:
    """Darken the ground under a thing's foot."""
    left, _, right, bottom = pen.box
    wide, high = right - left, 0.07 * pen.unit
    ground = _pixel(page, left, bottom)
    pen.draw.ellipse(
        (left - 0.02 * wide, bottom - high, right + 0.02 * wide, bottom + high * 0.7),
        fill=blend(ground, (30, 40, 80), 0.26),
    )


def _ripples(page: Image.Image, pen: Pen) -> None:
    """Let the water's surface close around what swims."""
    left, _, right, bottom = pen.box
    wide, wave = right - left, 0.10 * pen.unit
    water = _pixel(page, left - 0.06 * wide, bottom)
    crest = blend(water, (255, 255, 255), 0.4)
    edge = max(2, round(0.03 * pen.unit))
    for x in np.linspace(left + 0.06 * wide, right - 0.06 * wide, 5).tolist():
        spot = (x - 0.15 * wide, bottom - wave * 0.6, x + 0.15 * wide, bottom + wave)
        pen.draw.chord(spot, 180, 360, fill=water)
        pen.draw.arc(spot, 190, 350, fill=crest, width=edge)


def _pixel(page: Image.Image, x: float, y: float) -> Colour:
    last = page.width - 1
    pixel = page.getpixel((min(max(round(x), 0), last), min(round(y), last)))
    assert isinstance(pixel, tuple)  # of three, as the page is RGB
    return (int(pixel[0]), int(pixel[1]), int(pixel[2]))


def _ink(colour: str, night: bool, rng: np.random.Generator) -> Ink:
    main = blend(PAINT[colour], (0, 0, 0) if rng.random() < 0.5 else (255, 255, 255),
                 float(rng.uniform(0, 0.06)))  # fmt: skip
    if night:
        main = blend(main, (18, 22, 60), 0.06)
    white = colour == "white"
    return Ink(
        main=main,
        light=blend(main, (255, 255, 255), 0.35),
        dark=blend(main, (70, 80, 120) if white else (0, 0, 0), 0.22),
        line=blend(main, (30, 30, 60), 0.62 if white else 0.66),
        night=night,
    )
