"""How each kind of thing is drawn. Its colour is that of its main body; the rest is neutral.

Every function fills its pen's box, looking to the right; the pen mirrors. `rng` varies details
that no caption speaks of.
"""

from collections.abc import Callable, Mapping

import numpy as np

from pipeline.datasets.scenes.pen import Colour, Pen, Point, blend

WOOD: Colour = (134, 92, 62)
TILES: Colour = (112, 84, 80)
DARK: Colour = (58, 54, 64)
STEEL: Colour = (190, 195, 205)
GLASS: Colour = (196, 226, 240)
LAMPLIGHT: Colour = (255, 226, 130)
LEAF: Colour = (88, 150, 70)
SKIN: tuple[Colour, ...] = ((250, 214, 182), (224, 172, 130), (176, 122, 88), (138, 94, 68))
HAIR: tuple[Colour, ...] = ((70, 46, 34), (40, 36, 38), (120, 78, 44))
BEAK: Colour = (240, 170, 60)
PAPER: Colour = (250, 250, 246)


def house(pen: Pen, rng: np.random.Generator) -> None:
    """Walls of the colour, a tiled roof, a door, windows that are lit at night."""
    ink = pen.ink
    tiles, glass = ink.lit(TILES), LAMPLIGHT if ink.night else GLASS
    if rng.random() < 0.7:
        x = float(rng.uniform(0.66, 0.74))
        pen.slab((x, 0.06, x + 0.11, 0.36), blend(tiles, (0, 0, 0), 0.15), 0.01)
    pen.slab((0.09, 0.40, 0.91, 0.995), ink.main, 0.01)
    pen.polygon([(0.10, 0.93), (0.90, 0.93), (0.90, 0.985), (0.10, 0.985)], ink.dark, line=False)
    pen.polygon([(0.0, 0.46), (0.5, 0.0), (1.0, 0.46)], tiles)
    pen.stroke([(0.13, 0.39), (0.87, 0.39)], blend(tiles, (255, 255, 255), 0.14), 0.012)
    pen.stroke([(0.26, 0.27), (0.74, 0.27)], blend(tiles, (255, 255, 255), 0.14), 0.012)
    pen.disc((0.5, 0.27), 0.07, glass)
    door = float(rng.uniform(0.43, 0.57))
    pen.slab((door - 0.09, 0.66, door + 0.09, 0.99), ink.lit(WOOD), 0.03)
    pen.disc((door + 0.05, 0.84), 0.018, ink.lit(BEAK), line=False)
    for x in (0.23, 0.77):
        pen.slab((x - 0.085, 0.55, x + 0.085, 0.74), glass, 0.01)
        pen.stroke([(x, 0.56), (x, 0.73)], ink.lit(PAPER), 0.022)
        pen.stroke([(x - 0.08, 0.645), (x + 0.08, 0.645)], ink.lit(PAPER), 0.022)


def tree(pen: Pen, rng: np.random.Generator) -> None:
    """A crown of the colour on a wooden trunk: a leafy tree, or a fir."""
    ink = pen.ink
    pen.polygon([(0.43, 0.55), (0.57, 0.55), (0.62, 0.99), (0.38, 0.99)], ink.lit(WOOD))
    if rng.random() < 0.35:
        for top, bottom, wide in ((0.42, 0.84, 0.50), (0.20, 0.62, 0.42), (0.0, 0.40, 0.32)):
            pen.polygon([(0.5, top), (0.5 + wide, bottom), (0.5 - wide, bottom)], ink.main)
            right = [(0.5, top + 0.04), (0.5 + wide - 0.06, bottom - 0.02), (0.55, bottom - 0.02)]
            pen.polygon(right, ink.dark, line=False)
        return
    pen.stroke([(0.5, 0.8), (0.5, 0.6), (0.66, 0.5)], ink.lit(WOOD), 0.07)
    crown = [(0.5, 0.0), (0.68, 0.05), (0.76, 0.15), (0.92, 0.22), (0.93, 0.36), (1.0, 0.48),
             (0.9, 0.62), (0.72, 0.62), (0.56, 0.69), (0.38, 0.63), (0.18, 0.66), (0.03, 0.57),
             (0.0, 0.44), (0.08, 0.35), (0.07, 0.22), (0.24, 0.15), (0.32, 0.04)]  # fmt: skip
    pen.blob(crown, ink.main)
    shade = [(0.9, 0.4), (0.93, 0.5), (0.85, 0.58), (0.7, 0.57), (0.56, 0.63), (0.42, 0.59),
             (0.62, 0.53), (0.78, 0.5)]  # fmt: skip
    pen.blob(shade, ink.dark, line=False)
    for x, y in ((0.3, 0.22), (0.52, 0.12), (0.2, 0.44), (0.48, 0.34), (0.7, 0.28)):
        x, y = x + float(rng.uniform(-0.05, 0.05)), y + float(rng.uniform(-0.03, 0.03))
        pen.stroke([(x - 0.06, y + 0.02), (x, y - 0.015), (x + 0.06, y + 0.02)], ink.light, 0.045)


def car(pen: Pen, rng: np.random.Generator) -> None:
    """A small car from the side."""
    ink = pen.ink
    glass = blend(GLASS, LAMPLIGHT, 0.7) if ink.night else GLASS
    cabin = [(0.2, 0.46), (0.31, 0.03), (0.66, 0.03), (0.82, 0.46)]
    pen.polygon(cabin, ink.main)
    pen.polygon([(0.27, 0.43), (0.345, 0.13), (0.47, 0.13), (0.47, 0.43)], glass)
    pen.polygon([(0.52, 0.43), (0.52, 0.13), (0.635, 0.13), (0.745, 0.43)], glass)
    body = [(0.02, 0.46), (0.12, 0.41), (0.8, 0.41), (0.95, 0.5), (0.995, 0.62), (0.99, 0.82),
            (0.01, 0.82), (0.005, 0.6)]  # fmt: skip
    pen.blob(body, ink.main)
    pen.stroke([(0.06, 0.74), (0.95, 0.74)], ink.dark, 0.07, smooth=False)
    pen.stroke([(0.1, 0.48), (0.76, 0.48)], ink.light, 0.045, smooth=False)
    pen.stroke([(0.5, 0.46), (0.5, 0.72)], ink.line, 0.02)
    pen.oval((0.955, 0.58), (0.045, 0.07), LAMPLIGHT)
    _wheels(pen, (0.23, 0.77), 0.8, 0.195)


def bus(pen: Pen, rng: np.random.Generator) -> None:
    """A bus from the side, with a row of windows."""
    ink = pen.ink
    glass = LAMPLIGHT if ink.night else GLASS
    pen.slab((0.0, 0.02, 1.0, 0.87), ink.main, 0.13)
    pen.slab((0.03, 0.06, 0.97, 0.11), ink.light, 0.02, line=False)
    pen.slab((0.015, 0.7, 0.985, 0.78), ink.dark, 0.0, line=False)
    for left in (0.06, 0.225, 0.39, 0.555):
        pen.slab((left, 0.18, left + 0.135, 0.48), glass, 0.03)
    pen.slab((0.735, 0.18, 0.84, 0.84), glass, 0.02)
    pen.stroke([(0.7875, 0.2), (0.7875, 0.82)], ink.line, 0.02)
    pen.slab((0.885, 0.18, 0.985, 0.5), glass, 0.03)
    pen.oval((0.965, 0.68), (0.05, 0.05), LAMPLIGHT)
    _wheels(pen, (0.2, 0.63), 0.84, 0.155)


def _wheels(pen: Pen, places: tuple[float, ...], y: float, radius: float) -> None:
    for x in places:
        pen.disc((x, y), radius, pen.ink.lit(DARK), line=False)
        pen.disc((x, y), radius * 0.5, pen.ink.lit(STEEL), line=False)
        pen.disc((x, y), radius * 0.18, pen.ink.lit(DARK), line=False)


def boat(pen: Pen, rng: np.random.Generator) -> None:
    """A sailing boat: hull and mainsail of the colour."""
    ink = pen.ink
    pen.stroke([(0.47, 0.02), (0.47, 0.75)], ink.lit(WOOD), 0.035)
    pen.blob([(0.51, 0.04), (0.74, 0.25), (0.93, 0.63), (0.72, 0.65), (0.51, 0.64)], ink.main)
    pen.stroke([(0.55, 0.5), (0.83, 0.5)], ink.light, 0.04)
    pen.polygon([(0.43, 0.14), (0.43, 0.64), (0.08, 0.64)], ink.light)
    hull = [(0.0, 0.71), (1.0, 0.71), (0.93, 0.86), (0.82, 0.985), (0.18, 0.985), (0.07, 0.86)]
    pen.polygon(hull, ink.main)
    pen.polygon([(0.03, 0.735), (0.97, 0.735), (0.95, 0.79), (0.05, 0.79)], ink.light, line=False)
    pen.polygon([(0.12, 0.91), (0.88, 0.91), (0.815, 0.97), (0.185, 0.97)], ink.dark, line=False)


def fish(pen: Pen, rng: np.random.Generator) -> None:
    """A fish from the side, with a striped body and a forked tail."""
    ink = pen.ink
    pen.blob(
        [(0.3, 0.5), (0.06, 0.08), (0.0, 0.2), (0.08, 0.5), (0.0, 0.8), (0.06, 0.92)], ink.dark
    )
    pen.blob([(0.4, 0.2), (0.5, 0.0), (0.66, 0.02), (0.74, 0.2)], ink.dark)
    pen.blob([(0.5, 0.85), (0.48, 1.0), (0.62, 0.98), (0.66, 0.85)], ink.dark)
    body = [(0.2, 0.5), (0.36, 0.24), (0.6, 0.12), (0.84, 0.24), (0.995, 0.52), (0.84, 0.78),
            (0.6, 0.9), (0.36, 0.76)]  # fmt: skip
    pen.blob(body, ink.main)
    for x in (0.4, 0.53):
        pen.stroke([(x, 0.28), (x + 0.05, 0.5), (x, 0.73)], ink.light, 0.075)
    pen.stroke([(0.68, 0.26), (0.63, 0.5), (0.68, 0.76)], ink.line, 0.035)
    _eye(pen, (0.82, 0.42), 0.1)
    pen.stroke([(0.96, 0.6), (0.9, 0.66), (0.86, 0.64)], ink.line, 0.03)


def dog(pen: Pen, rng: np.random.Generator) -> None:
    """A standing dog from the side, tail up."""
    ink = pen.ink
    pen.outlined_stroke([(0.14, 0.5), (0.05, 0.36), (0.06, 0.16)], ink.main, 0.09)
    for x in (0.29, 0.62):
        pen.outlined_stroke([(x, 0.7), (x - 0.01, 0.94)], ink.dark, 0.11)
    body = [(0.1, 0.5), (0.2, 0.42), (0.45, 0.43), (0.62, 0.4), (0.72, 0.5), (0.7, 0.72),
            (0.5, 0.75), (0.34, 0.72), (0.2, 0.78), (0.09, 0.68)]  # fmt: skip
    pen.blob(body, ink.main)
    for x in (0.17, 0.69):
        pen.outlined_stroke([(x, 0.62), (x, 0.93)], ink.main, 0.12)
        pen.oval((x + 0.02, 0.955), (0.085, 0.04), ink.light)
    pen.stroke([(x, 0.6), (x, 0.7)], ink.main, 0.13)
    pen.stroke([(0.17, 0.58), (0.17, 0.7)], ink.main, 0.14)
    head = [(0.56, 0.2), (0.66, 0.06), (0.8, 0.08), (0.86, 0.2), (0.98, 0.26), (0.98, 0.38),
            (0.85, 0.45), (0.68, 0.47), (0.58, 0.38)]  # fmt: skip
    pen.blob(head, ink.main)
    pen.blob([(0.6, 0.06), (0.7, 0.1), (0.7, 0.34), (0.61, 0.44), (0.53, 0.32)], ink.dark)
    pen.oval((0.965, 0.265), (0.05, 0.045), DARK, line=False)
    pen.stroke([(0.97, 0.37), (0.9, 0.39), (0.85, 0.37)], ink.line, 0.025)
    _eye(pen, (0.8, 0.19), 0.05)
    pen.stroke([(0.6, 0.475), (0.69, 0.5), (0.75, 0.49)], ink.lit(TILES), 0.055)


def cat(pen: Pen, rng: np.random.Generator) -> None:
    """A sitting cat that looks at us, with a long tail."""
    ink = pen.ink
    tail = [(0.66, 0.94), (0.88, 0.93), (0.95, 0.78), (0.86, 0.64), (0.92, 0.52)]
    pen.outlined_stroke(tail, ink.main, 0.1)
    body = [(0.42, 0.42), (0.62, 0.5), (0.72, 0.74), (0.72, 0.95), (0.42, 0.985), (0.12, 0.95),
            (0.12, 0.74), (0.22, 0.5)]  # fmt: skip
    pen.blob(body, ink.main)
    pen.oval((0.42, 0.68), (0.13, 0.17), ink.light, line=False)
    pen.stroke([(0.42, 0.82), (0.42, 0.97)], ink.line, 0.025)
    for x in (0.31, 0.53):
        pen.oval((x, 0.95), (0.11, 0.05), ink.light)
    for ear, inner in (
        ([(0.1, 0.24), (0.1, 0.0), (0.34, 0.12)], [(0.14, 0.17), (0.14, 0.07), (0.25, 0.12)]),
        ([(0.5, 0.12), (0.74, 0.0), (0.74, 0.24)], [(0.59, 0.12), (0.7, 0.07), (0.7, 0.17)]),
    ):
        pen.polygon(ear, ink.main)
        pen.polygon(inner, ink.dark, line=False)
    pen.oval((0.42, 0.29), (0.385, 0.24), ink.main)
    for x in (0.27, 0.57):
        pen.oval((x, 0.27), (0.065, 0.075), ink.lit(PAPER))
        pen.oval((x, 0.27), (0.028, 0.06), DARK, line=False)
    pen.oval((0.42, 0.41), (0.16, 0.075), ink.light, line=False)
    pen.polygon([(0.38, 0.355), (0.46, 0.355), (0.42, 0.395)], ink.lit(TILES), line=False)
    pen.stroke([(0.35, 0.42), (0.385, 0.435), (0.42, 0.41), (0.455, 0.435), (0.49, 0.42)],
               ink.line, 0.02)  # fmt: skip
    for way in (-1, 1):
        for rise in (0.37, 0.42):
            ends: list[Point] = [(0.42 + way * 0.14, 0.4), (0.42 + way * 0.41, rise)]
            pen.stroke(ends, ink.line, 0.012)


def cow(pen: Pen, rng: np.random.Generator) -> None:
    """A standing cow with patches, horns and a pale muzzle."""
    ink = pen.ink
    patch = ink.lit((96, 84, 84)) if min(ink.main) > 150 else ink.lit(PAPER)
    muzzle, hoof = ink.lit((238, 205, 190)), ink.lit(DARK)
    pen.stroke([(0.06, 0.32), (0.015, 0.5), (0.03, 0.68)], ink.line, 0.035)
    pen.oval((0.03, 0.7), (0.03, 0.05), ink.dark)
    pen.oval((0.3, 0.72), (0.1, 0.07), muzzle)
    for x in (0.22, 0.58):
        pen.outlined_stroke([(x, 0.7), (x, 0.93)], ink.dark, 0.1)
    pen.slab((0.05, 0.24, 0.75, 0.76), ink.main, 0.16)
    for x in (0.12, 0.67):
        pen.outlined_stroke([(x, 0.7), (x, 0.93)], ink.main, 0.11)
        pen.slab((x - 0.045, 0.9, x + 0.045, 0.985), hoof, 0.02, line=False)
    pen.slab((0.09, 0.55, 0.72, 0.73), ink.main, 0.1, line=False)
    shift = float(rng.uniform(-0.04, 0.04))
    pen.blob([(0.14 + shift, 0.3), (0.3 + shift, 0.28), (0.33 + shift, 0.44), (0.2 + shift, 0.54),
              (0.11 + shift, 0.42)], patch, line=False)  # fmt: skip
    pen.blob([(0.46 + shift, 0.5), (0.58 + shift, 0.46), (0.62 + shift, 0.6), (0.5 + shift, 0.68)],
             patch, line=False)  # fmt: skip
    for x, lean in ((0.74, -0.03), (0.9, 0.03)):
        pen.stroke([(x, 0.12), (x + lean, 0.06), (x + lean * 0.6, 0.02)], ink.lit(STEEL), 0.055)
    pen.oval((0.68, 0.2), (0.08, 0.05), ink.dark, tilt=25)
    pen.oval((0.955, 0.2), (0.06, 0.05), ink.dark, tilt=-25)
    head = [(0.72, 0.12), (0.83, 0.08), (0.93, 0.13), (0.95, 0.34), (0.9, 0.52), (0.76, 0.52),
            (0.7, 0.34)]  # fmt: skip
    pen.blob(head, ink.main)
    pen.oval((0.83, 0.46), (0.17, 0.11), muzzle)
    for x in (0.79, 0.875):
        pen.disc((x, 0.46), 0.022, ink.line, line=False)
        _eye(pen, (x, 0.25), 0.045)


def child(pen: Pen, rng: np.random.Generator) -> None:
    """A waving, smiling child in a coat and a cap of the colour."""
    ink = pen.ink
    skin = ink.lit(SKIN[int(rng.integers(len(SKIN)))])
    hair = ink.lit(HAIR[int(rng.integers(len(HAIR)))])
    trousers = ink.lit((92, 92, 112))
    for x in (0.38, 0.6):
        pen.outlined_stroke([(x, 0.76), (x, 0.93)], trousers, 0.15)
        pen.oval((x + 0.03, 0.965), (0.13, 0.05), ink.lit(DARK), line=False)
    pen.outlined_stroke([(0.33, 0.47), (0.17, 0.58), (0.12, 0.68)], ink.main, 0.14)
    pen.disc((0.12, 0.7), 0.085, skin)
    pen.outlined_stroke([(0.66, 0.47), (0.83, 0.42), (0.9, 0.29)], ink.main, 0.14)
    pen.disc((0.91, 0.25), 0.085, skin)
    coat = [(0.34, 0.4), (0.64, 0.4), (0.72, 0.6), (0.78, 0.82), (0.2, 0.82), (0.26, 0.6)]
    pen.polygon(coat, ink.main)
    pen.polygon([(0.21, 0.77), (0.77, 0.77), (0.78, 0.81), (0.2, 0.81)], ink.dark, line=False)
    for y in (0.5, 0.59, 0.68):
        pen.disc((0.49, y), 0.03, ink.light)
    pen.oval((0.49, 0.25), (0.29, 0.27), hair)
    pen.oval((0.49, 0.27), (0.25, 0.22), skin)
    pen.blob([(0.2, 0.2), (0.28, 0.06), (0.49, 0.02), (0.7, 0.06), (0.78, 0.2), (0.49, 0.17)],
             ink.main)  # fmt: skip
    pen.disc((0.49, 0.03), 0.06, ink.light)
    for x in (0.4, 0.58):
        pen.oval((x, 0.265), (0.03, 0.04), DARK, line=False)
    pen.stroke([(0.41, 0.325), (0.49, 0.355), (0.57, 0.325)], ink.lit((150, 60, 60)), 0.03)


def ball(pen: Pen, rng: np.random.Generator) -> None:
    """A ball with two lighter bands and a star of light."""
    ink = pen.ink
    pen.disc((0.5, 0.5), 0.495, ink.main)
    tilt = float(rng.uniform(-0.08, 0.08))
    pen.blob([(0.12, 0.74), (0.5, 0.86), (0.88, 0.74), (0.74, 0.9), (0.5, 0.965), (0.26, 0.9)],
             ink.dark, line=False)  # fmt: skip
    for y in (0.36, 0.62):
        band = [(0.06, y), (0.3, y + 0.09 + tilt), (0.7, y + 0.09 - tilt), (0.94, y)]
        pen.stroke(band, ink.light, 0.065)
    pen.oval((0.33, 0.22), (0.1, 0.06), blend(ink.light, (255, 255, 255), 0.7), False, -35)


def flower(pen: Pen, rng: np.random.Generator) -> None:
    """Petals of the colour around a disc, on a leafy stem."""
    ink = pen.ink
    leaf, petals = ink.lit(LEAF), int(rng.integers(6, 9))
    pen.stroke([(0.5, 0.4), (0.47, 0.7), (0.5, 0.985)], blend(leaf, (0, 0, 0), 0.35), 0.09)
    pen.stroke([(0.5, 0.4), (0.47, 0.7), (0.5, 0.98)], leaf, 0.06)
    for way in (-1, 1):
        pen.blob([(0.5, 0.92), (0.5 + way * 0.2, 0.72), (0.5 + way * 0.44, 0.7),
                  (0.5 + way * 0.3, 0.86)], leaf)  # fmt: skip
    down = 0.62  # the box's width by its height: petals go round
    start = float(rng.uniform(0, 2 * np.pi))
    for angle in start + np.arange(petals) * 2 * np.pi / petals:
        at = (0.5 + 0.31 * float(np.cos(angle)), 0.31 + 0.31 * down * float(np.sin(angle)))
        pen.oval(at, (0.185, 0.15), ink.main, tilt=float(np.rad2deg(angle)))
    heart = (120, 84, 60) if ink.main[0] > 200 and ink.main[2] < 120 else (250, 205, 80)
    pen.disc((0.5, 0.31), 0.15, ink.lit(heart))


def bird(pen: Pen, rng: np.random.Generator) -> None:
    """A flying bird, wings up."""
    ink = pen.ink
    pen.blob([(0.42, 0.5), (0.3, 0.2), (0.38, 0.02), (0.54, 0.22), (0.62, 0.48)], ink.dark)
    pen.blob([(0.22, 0.64), (0.0, 0.55), (0.03, 0.72), (0.0, 0.86), (0.24, 0.78)], ink.dark)
    pen.polygon([(0.9, 0.43), (1.0, 0.52), (0.9, 0.57)], ink.lit(BEAK))
    body = [(0.15, 0.68), (0.36, 0.5), (0.6, 0.46), (0.74, 0.34), (0.88, 0.36), (0.94, 0.5),
            (0.86, 0.66), (0.7, 0.84), (0.46, 0.9), (0.26, 0.82)]  # fmt: skip
    pen.blob(body, ink.main)
    pen.blob([(0.4, 0.78), (0.6, 0.72), (0.78, 0.66), (0.66, 0.82), (0.48, 0.87)], ink.light, False)
    wing = [(0.62, 0.62), (0.42, 0.68), (0.26, 0.5), (0.12, 0.2), (0.1, 0.0), (0.34, 0.16),
            (0.52, 0.36)]  # fmt: skip
    pen.blob(wing, ink.main)
    pen.stroke([(0.2, 0.18), (0.34, 0.4), (0.5, 0.56)], ink.dark, 0.035)
    pen.stroke([(0.3, 0.2), (0.42, 0.36), (0.54, 0.5)], ink.dark, 0.035)
    _eye(pen, (0.84, 0.46), 0.055)


def butterfly(pen: Pen, rng: np.random.Generator) -> None:
    """Four spotted wings around a dark body."""
    ink = pen.ink
    for way in (-1, 1):
        lower = [(0.5, 0.55), (0.5 + way * 0.3, 0.56), (0.5 + way * 0.4, 0.76),
                 (0.5 + way * 0.26, 0.985), (0.5 + way * 0.1, 0.86)]  # fmt: skip
        upper = [(0.5, 0.56), (0.5 + way * 0.16, 0.2), (0.5 + way * 0.4, 0.04),
                 (0.5 + way * 0.5, 0.2), (0.5 + way * 0.4, 0.52),
                 (0.5 + way * 0.2, 0.62)]  # fmt: skip
        pen.blob(lower, ink.main)
        pen.blob(upper, ink.main)
        pen.oval((0.5 + way * 0.35, 0.27), (0.09, 0.12), ink.light, line=False)
        pen.disc((0.5 + way * 0.25, 0.77), 0.07, ink.light, line=False)
        feeler = [(0.5, 0.3), (0.5 + way * 0.06, 0.12), (0.5 + way * 0.14, 0.06)]
        pen.stroke(feeler, ink.lit(DARK), 0.025)
    pen.oval((0.5, 0.56), (0.055, 0.32), ink.lit(DARK), line=False)


def kite(pen: Pen, rng: np.random.Generator) -> None:
    """A diamond on a string with bows."""
    ink = pen.ink
    bow = ink.lit(PAPER)
    sway = float(rng.uniform(-0.12, 0.12))
    tail = [(0.5, 0.6), (0.42 + sway, 0.72), (0.56 + sway, 0.86), (0.48, 0.99)]
    pen.stroke(tail, ink.line, 0.03)
    pen.polygon([(0.5, 0.0), (1.0, 0.27), (0.5, 0.66), (0.0, 0.27)], ink.main)
    pen.polygon([(0.5, 0.03), (0.95, 0.27), (0.5, 0.27)], ink.light, line=False)
    pen.polygon([(0.05, 0.27), (0.5, 0.27), (0.5, 0.63)], ink.dark, line=False)
    pen.stroke([(0.5, 0.01), (0.5, 0.65)], ink.line, 0.025)
    pen.stroke([(0.01, 0.27), (0.99, 0.27)], ink.line, 0.025)
    for x, y in tail[1:3]:
        pen.polygon([(x - 0.14, y - 0.035), (x - 0.14, y + 0.035), (x + 0.14, y - 0.035),
                     (x + 0.14, y + 0.035)], bow)  # fmt: skip


def balloon(pen: Pen, rng: np.random.Generator) -> None:
    """A round balloon on a string."""
    ink = pen.ink
    sway = float(rng.uniform(-0.1, 0.1))
    string = [(0.5, 0.72), (0.5 + sway, 0.8), (0.5 - sway, 0.9), (0.5, 0.99)]
    pen.stroke(string, ink.lit(DARK), 0.03)
    pen.polygon([(0.5, 0.68), (0.58, 0.755), (0.42, 0.755)], ink.dark)
    skin = [(0.5, 0.0), (0.82, 0.07), (1.0, 0.3), (0.88, 0.54), (0.62, 0.7), (0.38, 0.7),
            (0.12, 0.54), (0.0, 0.3), (0.18, 0.07)]  # fmt: skip
    pen.blob(skin, ink.main)
    pen.blob([(0.93, 0.28), (0.84, 0.5), (0.58, 0.66), (0.7, 0.5)], ink.dark, line=False)
    pen.oval((0.3, 0.2), (0.1, 0.16), blend(ink.light, (255, 255, 255), 0.6), False, 25)


def _eye(pen: Pen, centre: Point, radius: float) -> None:
    pen.disc(centre, radius, pen.ink.lit(PAPER), line=False)
    pen.disc((centre[0] + radius * 0.15, centre[1]), radius * 0.62, DARK, line=False)


DRAWN_BY: Mapping[str, Callable[[Pen, np.random.Generator], None]] = {
    "ball": ball,
    "balloon": balloon,
    "bird": bird,
    "boat": boat,
    "bus": bus,
    "butterfly": butterfly,
    "car": car,
    "cat": cat,
    "child": child,
    "cow": cow,
    "dog": dog,
    "fish": fish,
    "flower": flower,
    "house": house,
    "kite": kite,
    "tree": tree,
}
