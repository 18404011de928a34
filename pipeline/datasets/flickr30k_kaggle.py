"""Flickr30k as Kaggle gives it out.

    flickr30k_images/results.csv         image_name| comment_number| comment
    flickr30k_images/flickr30k_images/   the pictures; or a folder of any name

The folder that holds results.csv can be named, or the folder above it; train.txt, val.txt and
test.txt (see `flickr30k.py`) may lie in either. The header may be absent, and blanks around bars do
not count.
Source: Young, Lai, Hodosh and Hockenmaier, TACL 2014. Its quirks, and what becomes of them:
    `2199200615.jpg| 4   A dog runs across the grass .`   it lacks a bar: read, and told as repaired
    bars in a caption                                     stay
    no split lists                                        as in `flickr30k.py`
"""

import re
from pathlib import Path

from pipeline.datasets.layout import Layout, Listing
from pipeline.datasets.pictures import PICTURE_COLUMNS
from pipeline.datasets.split_lists import FLICKR30K_LISTS
from pipeline.datasets.text_layout import (
    LineForm,
    NamedCaption,
    begins_with_picture,
    first_line,
    only_file,
    read_text_layout,
)

PLACES = ("results.csv", "flickr30k_images/results.csv")  # the first that is there is read
NAME_COLUMNS = ("image_name", *PICTURE_COLUMNS)
WHOLE = re.compile(r"([0-9]+)\s*\|(.*)", re.DOTALL)
LACKS_BAR = re.compile(r"([0-9]+)\s+(.+)", re.DOTALL)


def recognises(raw: Path) -> bool:
    """Tell whether results.csv begins with columns, or a picture's name, that a bar ends."""
    return bool(_captions_files(raw))


def read(raw: Path) -> Listing:
    """Read the captions and, where there are any, the split lists.

    Raises:
        InputError: the file cannot be read, one of the lists is absent and others are not, or it
            stands there twice, no picture is named, or no folder holds the pictures.
    """
    captions = only_file(raw, " or ".join(PLACES), _captions_files(raw)[:1])
    return read_text_layout(raw, captions, BAR_LINES, FLICKR30K_LISTS)


def parse(line: str) -> NamedCaption | None:
    """Split a line: `a.jpg| 0| A dog .` -> a.jpg, 0, `A dog .`; None where it is broken."""
    name, _, rest = (part.strip() for part in line.partition("|"))
    found = WHOLE.fullmatch(rest) or LACKS_BAR.fullmatch(rest)
    if found is None or not name:
        return None
    number, text = found.groups()
    return NamedCaption(name, number, text.strip(), is_repaired=found.re is LACKS_BAR)


def is_header(line: str) -> bool:
    """Tell whether a line names the columns: it is no caption, and begins as a header would."""
    column, bar, _ = line.partition("|")
    return bool(bar) and column.strip().lower() in NAME_COLUMNS and parse(line) is None


def _captions_files(raw: Path) -> list[Path]:
    return [path for place in PLACES if _has_bars(path := raw / place)]


def _has_bars(path: Path) -> bool:
    line = first_line(path)
    return is_header(line) or begins_with_picture(line, "|")


BAR_LINES = LineForm(separator="|", is_header=is_header, parse=parse)
FLICKR30K_KAGGLE = Layout(
    name="flickr30k_kaggle",
    looks_for="results.csv with lines image.jpg| 0| caption",
    recognises=recognises,
    read=read,
)
