"""A sheet of pictures with their captions, as one picture."""

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont, ImageOps

SIDE, GAP, LINE, LINES = 224, 16, 17, 4  # pixels; lines of text below each picture
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
    for number, entry in enumerate(entries):
        row, column = divmod(number, columns)
        _draw(sheet, pen, entry, GAP + column * cell[0], GAP + row * cell[1])
    return sheet


def _draw(sheet: Image.Image, pen: ImageDraw.ImageDraw, entry: Entry, x: int, y: int) -> None:
    sheet.paste(ImageOps.fit(entry.picture, (SIDE, SIDE)), (x, y))
    font = ImageFont.load_default(13)
    y += SIDE + 4
    for text, ink in ((entry.caption, INK), (entry.reference, FAINT)):
        for line in _wrapped(text, font, lines=LINES // 2):
            pen.text((x, y), line, fill=ink, font=font)
            y += LINE


def _wrapped(
    text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, lines: int
) -> list[str]:
    """Break a text into at most so many lines of the picture's width; the last may be cut."""
    broken = [""]
    for word in text.split():
        longer = f"{broken[-1]} {word}".strip()
        if font.getlength(longer) <= SIDE or not broken[-1]:
            broken[-1] = longer
        else:
            broken.append(word)
    if len(broken) > lines:
        broken = broken[:lines]
        while " " in broken[-1] and font.getlength(f"{broken[-1]} …") > SIDE:
            broken[-1] = broken[-1].rsplit(" ", 1)[0]
        broken[-1] += " …"
    return broken
