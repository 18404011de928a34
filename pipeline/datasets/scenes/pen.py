"""A pen that draws in the coordinates of one thing's box, whatever its place, size and mirroring.

Points are (x, y) in the box: 0 to 1 from left to right and from top to bottom. Radii and widths
of lines are in parts of the box's shorter side, so that circles are round.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
from PIL import ImageDraw

Colour = tuple[int, int, int]
Point = tuple[float, float]

SMOOTH_STEPS = 6  # points of a curve between two given ones


def blend(a: Colour, b: Colour, part: float) -> Colour:
    """Mix colours: a where `part` is 0, b where it is 1."""
    red, green, blue = (round(x + (y - x) * part) for x, y in zip(a, b, strict=True))
    return (red, green, blue)


@dataclass(frozen=True)
class Ink:
    """The shades of a thing's colour, and the light in which it stands."""

    main: Colour
    light: Colour
    dark: Colour
    line: Colour  # outlines
    night: bool

    def lit(self, colour: Colour) -> Colour:
        """Another colour, such as wood, in the same light."""
        return blend(colour, (18, 22, 60), 0.18) if self.night else colour


@dataclass(frozen=True)
class Pen:
    """Draws on the picture inside a box of pixels."""

    draw: ImageDraw.ImageDraw
    box: tuple[float, float, float, float]  # left, top, right, bottom in pixels
    mirrored: bool
    ink: Ink

    @property
    def unit(self) -> float:
        """The box's shorter side in pixels."""
        left, top, right, bottom = self.box
        return min(right - left, bottom - top)

    def polygon(self, points: Sequence[Point], fill: Colour, line: bool = True) -> None:
        """Fill a shape with straight sides."""
        self._shape(self._at(points), fill, line)

    def blob(self, points: Sequence[Point], fill: Colour, line: bool = True) -> None:
        """Fill a shape with a smooth outline through the points."""
        self._shape(self._at(_smooth(tuple(points), closed=True)), fill, line)

    def oval(
        self, centre: Point, radii: Point, fill: Colour, line: bool = True, tilt: float = 0.0
    ) -> None:
        """Fill an ellipse; `tilt` turns it, in degrees, clockwise where not mirrored."""
        (x, y), (across, down) = self._at([centre])[0], radii
        across, down = across * self.unit, down * self.unit
        if tilt:
            turn = np.deg2rad(-tilt if self.mirrored else tilt)
            shape = _circle() * (across, down)  # (points, 2)
            turned = shape @ [[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]
            self._shape([(x + dx, y + dy) for dx, dy in turned.tolist()], fill, line)
            return
        edge = self._line_width() if line else 0
        self.draw.ellipse(
            (x - across, y - down, x + across, y + down),
            fill=fill,
            outline=self.ink.line if line else None,
            width=edge,
        )

    def disc(self, centre: Point, radius: float, fill: Colour, line: bool = True) -> None:
        """Fill a circle."""
        self.oval(centre, (radius, radius), fill, line)

    def slab(
        self, corners: tuple[float, float, float, float], fill: Colour, radius: float = 0.05,
        line: bool = True,
    ) -> None:  # fmt: skip
        """Fill a rectangle, left, top, right, bottom, with round corners."""
        (left, top), (right, bottom) = self._at([corners[:2], corners[2:]])
        self.draw.rounded_rectangle(
            (min(left, right), top, max(left, right), bottom),
            radius=radius * self.unit,
            fill=fill,
            outline=self.ink.line if line else None,
            width=self._line_width() if line else 0,
        )

    def stroke(
        self, points: Sequence[Point], colour: Colour, width: float, smooth: bool = True
    ) -> None:
        """Draw an open line with round ends."""
        path = _smooth(tuple(points), closed=False) if smooth and len(points) > 2 else points
        pixels = self._at(path)
        wide = max(2, round(width * self.unit))
        self.draw.line(pixels, fill=colour, width=wide, joint="curve")
        for x, y in (pixels[0], pixels[-1]):
            r = wide / 2 - 0.5
            self.draw.ellipse((x - r, y - r, x + r, y + r), fill=colour)

    def outlined_stroke(self, points: Sequence[Point], colour: Colour, width: float) -> None:
        """Draw a limb: a thick line with the outline's colour at its edges."""
        self.stroke(points, self.ink.line, width + 2 * self._line_width() / self.unit)
        self.stroke(points, colour, width)

    def _shape(self, pixels: list[Point], fill: Colour, line: bool) -> None:
        self.draw.polygon(pixels, fill=fill)
        if line:
            closed = [*pixels, pixels[0], pixels[1]]
            self.draw.line(closed, fill=self.ink.line, width=self._line_width(), joint="curve")

    def _line_width(self) -> int:
        return max(3, round(0.028 * self.unit))

    def _at(self, points: Sequence[Point]) -> list[Point]:
        left, top, right, bottom = self.box
        wide, high = right - left, bottom - top
        if self.mirrored:
            return [(right - x * wide, top + y * high) for x, y in points]
        return [(left + x * wide, top + y * high) for x, y in points]


@cache
def _circle() -> np.ndarray:
    angles = np.linspace(0, 2 * np.pi, 28, endpoint=False)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


@lru_cache(maxsize=512)
def _smooth(points: tuple[Point, ...], closed: bool) -> list[Point]:
    """Points of the Catmull-Rom curve through the given ones."""
    given = np.array(points, dtype=float)
    ends = (given[-1:], given[:2]) if closed else (given[:1], given[-1:])
    padded = np.concatenate([ends[0], given, ends[1]])
    before, start, end, after = padded[:-3], padded[1:-2], padded[2:-1], padded[3:]
    t = np.linspace(0, 1, SMOOTH_STEPS, endpoint=False)[:, None, None]  # (steps, 1, 1)
    curve = 0.5 * (
        2 * start
        + (end - before) * t
        + (2 * before - 5 * start + 4 * end - after) * t**2
        + (3 * start - before - 3 * end + after) * t**3
    )  # (steps, pieces, 2)
    path = curve.transpose(1, 0, 2).reshape(-1, 2)
    if not closed:
        path = np.concatenate([path, given[-1:]])
    return [(x, y) for x, y in path.tolist()]
