"""The page behind the things: sky, sun or moon, clouds or stars, hills, and the ground."""

import numpy as np
from PIL import Image, ImageDraw

from pipeline.datasets.scenes.pen import Colour, Point, blend

SKY = {"day": ((112, 184, 240), (214, 238, 250)), "night": ((14, 20, 58), (62, 70, 122))}
GROUND: dict[tuple[str, str], tuple[Colour, Colour]] = {  # far, near
    ("grass", "day"): ((176, 216, 118), (128, 186, 86)),
    ("sand", "day"): ((246, 228, 180), (226, 196, 138)),
    ("snow", "day"): ((240, 246, 252), (212, 226, 243)),
    ("water", "day"): ((104, 190, 214), (40, 132, 178)),
    ("grass", "night"): ((84, 122, 96), (54, 94, 78)),
    ("sand", "night"): ((156, 140, 130), (126, 110, 112)),
    ("snow", "night"): ((154, 170, 208), (124, 144, 192)),
    ("water", "night"): ((48, 92, 138), (24, 58, 108)),
}
DISTANCE: dict[tuple[str, str], tuple[Colour, Colour]] = {  # hills, far and near; islands; the sea
    ("grass", "day"): ((140, 192, 150), (146, 200, 120)),
    ("sand", "day"): ((104, 190, 214), (104, 190, 214)),
    ("snow", "day"): ((190, 210, 234), (212, 226, 243)),
    ("water", "day"): ((150, 186, 196), (134, 178, 176)),
    ("grass", "night"): ((52, 80, 88), (62, 98, 88)),
    ("sand", "night"): ((48, 92, 138), (48, 92, 138)),
    ("snow", "night"): ((104, 120, 170), (128, 144, 190)),
    ("water", "night"): ((44, 62, 104), (44, 62, 104)),
}


def paint(side: int, background: str, time: str, rng: np.random.Generator) -> Image.Image:
    """Give an RGB picture of `side` x `side` pixels without things."""
    horizon = float(rng.uniform(0.50, 0.57)) * side
    top, bottom = (_varied(colour, rng) for colour in SKY[time])
    far, near = (_varied(colour, rng) for colour in GROUND[background, time])
    distance = [_varied(colour, rng) for colour in DISTANCE[background, time]]
    page = _gradients(side, round(horizon), (top, bottom), (far, near))
    draw = ImageDraw.Draw(page)
    _sky(draw, side, horizon, time, rng)
    _distance(draw, side, horizon, background, distance, rng)
    if background in ("grass", "snow"):
        _brow(draw, side, horizon, far, rng)
    MARKS[background](draw, side, horizon, near, time, rng)
    return page


def _varied(colour: Colour, rng: np.random.Generator) -> Colour:
    red, green, blue = (int(np.clip(c + rng.integers(-7, 8), 0, 255)) for c in colour)
    return (red, green, blue)


def _gradients(
    side: int, horizon: int, sky: tuple[Colour, Colour], ground: tuple[Colour, Colour]
) -> Image.Image:
    """Rows that go from one colour to the next, in the sky and below it."""
    rows = np.empty((side, 1, 3))
    for part, (start, end) in ((rows[:horizon], sky), (rows[horizon:], ground)):
        steps = np.linspace(0, 1, len(part))[:, None]  # (rows, 1)
        part[:, 0] = np.array(start) + (np.array(end) - np.array(start)) * steps
    column = Image.fromarray(rows.round().astype(np.uint8))
    return column.resize((side, side), Image.Resampling.NEAREST)


def _sky(
    draw: ImageDraw.ImageDraw, side: int, horizon: float, time: str, rng: np.random.Generator
) -> None:
    x, y, r = rng.uniform(0.1, 0.9) * side, rng.uniform(0.1, 0.24) * side, 0.055 * side
    if time == "night":
        for _ in range(int(rng.integers(28, 44))):
            star = (rng.uniform(0, side), rng.uniform(0, horizon * 0.92))
            _disc(draw, star, rng.uniform(0.0022, 0.006) * side, (236, 236, 214))
        _disc(draw, (x, y), r * 1.35, (40, 46, 92))
        _disc(draw, (x, y), r, (246, 240, 206))
        for dx, dy, part in ((-0.3, -0.2, 0.2), (0.25, 0.25, 0.26), (0.2, -0.4, 0.14)):
            _disc(draw, (x + dx * r, y + dy * r), r * part, (226, 218, 178))
        return
    _disc(draw, (x, y), r * 1.7, (186, 220, 242))
    _disc(draw, (x, y), r * 1.35, (222, 234, 226))
    _disc(draw, (x, y), r, (255, 240, 170))
    for _ in range(int(rng.integers(2, 5))):
        _cloud(draw, side, (rng.uniform(0, side), rng.uniform(0.06, 0.4) * side), rng)


def _cloud(draw: ImageDraw.ImageDraw, side: int, at: Point, rng: np.random.Generator) -> None:
    wide = rng.uniform(0.07, 0.13) * side
    for dx, dy, part in (
        (-0.7, 0.1, 0.4),
        (-0.15, -0.18, 0.58),
        (0.45, -0.02, 0.46),
        (0.9, 0.16, 0.3),
    ):
        _disc(draw, (at[0] + dx * wide, at[1] + dy * wide), part * wide, (247, 251, 254))
    left, right = at[0] - 1.05 * wide, at[0] + 1.15 * wide
    draw.rounded_rectangle(
        (left, at[1] + 0.06 * wide, right, at[1] + 0.48 * wide), 0.2 * wide, fill=(247, 251, 254)
    )


def _distance(
    draw: ImageDraw.ImageDraw,
    side: int,
    horizon: float,
    background: str,
    colours: list[Colour],
    rng: np.random.Generator,
) -> None:
    """What lies at the horizon: hills, far islands, or the sea behind a beach."""
    if background == "sand":
        shore = horizon + 0.055 * side
        draw.rectangle((0, horizon - 0.03 * side, side, shore), fill=colours[0])
        foam = blend(colours[0], (255, 255, 255), 0.6)
        _wave_line(draw, side, shore, foam, 0.012 * side, rng)
        return
    if background == "water":
        for _ in range(int(rng.integers(0, 3))):
            x, wide = rng.uniform(0, side), rng.uniform(0.1, 0.25) * side
            high = wide * rng.uniform(0.2, 0.4)
            draw.pieslice(
                (x - wide, horizon - high, x + wide, horizon + high), 180, 360, colours[0]
            )
        return
    for colour, rise in zip(colours, (0.10, 0.06), strict=True):
        _ridge(draw, side, horizon, colour, rise, rng)


def _ridge(
    draw: ImageDraw.ImageDraw,
    side: int,
    horizon: float,
    colour: Colour,
    rise: float,
    rng: np.random.Generator,
) -> None:
    xs = np.linspace(0, side, 40)
    a, b = rng.uniform(0, 2 * np.pi, 2)
    waves = np.sin(xs / side * rng.uniform(4, 8) + a) + 0.6 * np.sin(xs / side * 11 + b)
    ys = horizon - side * rise * (0.55 + 0.3 * waves)
    points = [*zip(xs.tolist(), ys.tolist(), strict=True), (side, horizon + 2), (0, horizon + 2)]
    draw.polygon(points, fill=colour)


def _brow(
    draw: ImageDraw.ImageDraw, side: int, horizon: float, far: Colour, rng: np.random.Generator
) -> None:
    """Bend the ground's upper edge a little."""
    bend = rng.uniform(0.0, 0.03) * side
    draw.ellipse((-side * 0.3, horizon - bend, side * 1.3, horizon + bend), fill=far)


def _wave_line(
    draw: ImageDraw.ImageDraw,
    side: int,
    y: float,
    colour: Colour,
    width: float,
    rng: np.random.Generator,
) -> None:
    xs = np.linspace(0, side, 50)
    ys = y + 0.006 * side * np.sin(xs / side * 26 + rng.uniform(0, 6))
    path = list(zip(xs.tolist(), ys.tolist(), strict=True))
    draw.line(path, fill=colour, width=round(width), joint="curve")


def _tufts(
    draw: ImageDraw.ImageDraw,
    side: int,
    horizon: float,
    near: Colour,
    time: str,
    rng: np.random.Generator,
) -> None:
    colour = blend(near, (30, 80, 40), 0.3)
    for _ in range(34):
        x, y = rng.uniform(0, side), rng.uniform(horizon + 0.04 * side, side)
        high = (0.010 + 0.016 * (y - horizon) / (side - horizon)) * side
        for lean in (-0.6, 0.0, 0.6):
            draw.line((x, y, x + lean * high, y - high), fill=colour, width=max(2, side // 220))


def _waves(
    draw: ImageDraw.ImageDraw,
    side: int,
    horizon: float,
    near: Colour,
    time: str,
    rng: np.random.Generator,
) -> None:
    for _ in range(30):
        y = rng.uniform(horizon + 0.02 * side, side)
        depth = (y - horizon) / (side - horizon)
        colour = blend(near, (255, 255, 255), 0.16 + 0.16 * depth)
        x, wide = rng.uniform(0, side), (0.02 + 0.03 * depth) * side
        for step in (-1, 0, 1):
            middle = x + step * wide * 1.7
            draw.arc(
                (middle - wide, y - wide * 0.35, middle + wide, y + wide * 0.35), 20, 160,
                fill=colour, width=max(2, side // 200),
            )  # fmt: skip


def _drifts(
    draw: ImageDraw.ImageDraw,
    side: int,
    horizon: float,
    near: Colour,
    time: str,
    rng: np.random.Generator,
) -> None:
    shade = blend(near, (120, 150, 200), 0.22)
    for _ in range(9):
        x, y = rng.uniform(0, side), rng.uniform(horizon + 0.06 * side, side)
        wide = rng.uniform(0.05, 0.12) * side
        draw.arc((x - wide, y, x + wide, y + wide * 0.4), 200, 340, shade, max(2, side // 150))
    flake = (255, 255, 255) if time == "day" else (214, 222, 240)
    for _ in range(40):
        at = (rng.uniform(0, side), rng.uniform(0, side))
        _disc(draw, at, rng.uniform(0.003, 0.0075) * side, flake)


def _grains(
    draw: ImageDraw.ImageDraw,
    side: int,
    horizon: float,
    near: Colour,
    time: str,
    rng: np.random.Generator,
) -> None:
    dark = blend(near, (120, 90, 50), 0.3)
    light = blend(near, (255, 255, 255), 0.3)
    for number in range(70):
        at = (rng.uniform(0, side), rng.uniform(horizon + 0.1 * side, side))
        _disc(draw, at, rng.uniform(0.002, 0.0045) * side, dark if number % 2 else light)


def _disc(draw: ImageDraw.ImageDraw, at: Point, radius: float, colour: Colour) -> None:
    x, y = at
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)


MARKS = {"grass": _tufts, "sand": _grains, "snow": _drifts, "water": _waves}
