"""A sheet of pictures with their captions, as one picture."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import matplotlib
from PIL import Image, ImageDraw, ImageFont, ImageOps

SIDE, GAP, LINE, LINES = 224, 16, 17, 4  # pixels; lines of text below each picture
TEXT = 12  # pixels
INK, FAINT, PAPER = "#1b1f24", "#59636e", "#ffffff"


@dataclass(frozen=True)
class Entry:
    """One picture of the sheet."""

    picture: Image.Image  # RGB
    caption: str  # the captioner's
    reference: str  # a person's


def draw_sheet(entries: Sequence[Entry], columns: int) -> Image.Image:
    """Draw entries in rows of `columns`: the picture, its caption, and below it a person's.

    Raises:
        ValueError: no entries.
    """
    if not entries:
        raise ValueError("expected pictures to draw. Received: none")
    columns = min(columns, len(entries))
    rows = -(-len(entries) // columns)
    cell = SIDE + GAP, SIDE + GAP + LINES * LINE
    sheet = Image.new("RGB", (columns * cell[0] + GAP, rows * cell[1] + GAP), PAPER)
    pen = ImageDraw.Draw(sheet)
    font = _font()
    for number, entry in enumerate(entries):
        row, column = divmod(number, columns)
        sheet.paste(
            ImageOps.fit(entry.picture, (SIDE, SIDE)),
            (GAP + column * cell[0], GAP + row * cell[1]),
        )
        _write(pen, font, entry, GAP + column * cell[0], GAP + row * cell[1] + SIDE + 4)
    return sheet


def _font() -> ImageFont.FreeTypeFont:
    """Load a font that comes with matplotlib: Pillow's own has no é, ñ, ü or dash."""
    return ImageFont.truetype(f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf", TEXT)


def _write(
    pen: ImageDraw.ImageDraw, font: ImageFont.FreeTypeFont, entry: Entry, x: int, y: int
) -> None:
    for text, ink in ((entry.caption, INK), (entry.reference, FAINT)):
        for line in _wrapped(text, font, lines=LINES // 2):
            pen.text((x, y), line, fill=ink, font=font)
            y += LINE


def _wrapped(text: str, font: ImageFont.FreeTypeFont, lines: int) -> list[str]:
    """Break a text into at most so many lines of the picture's width; the last may be cut."""
    broken = [""]
    for word in _words(text, font):
        longer = f"{broken[-1]} {word}".strip()
        if font.getlength(longer) <= SIDE:
            broken[-1] = longer
        else:
            broken.append(word)
    if len(broken) > lines:
        broken = broken[:lines]
        while font.getlength(f"{broken[-1]} …") > SIDE:
            shorter, space, _ = broken[-1].rpartition(" ")
            broken[-1] = shorter if space else broken[-1][:-1]
        broken[-1] += " …"
    return broken


def _words(text: str, font: ImageFont.FreeTypeFont) -> Iterator[str]:
    """Take a text apart at spaces, and inside words that are wider than the picture."""
    for word in text.split():
        start = 0
        for end in range(1, len(word) + 1):
            if font.getlength(word[start:end]) > SIDE:
                yield word[start : end - 1]
                start = end - 1
        yield word[start:]
