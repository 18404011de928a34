"""Flickr30k as Kaggle gives it out.

    flickr30k_images/results.csv         image_name| comment_number| comment
    flickr30k_images/flickr30k_images/   the pictures; or a folder of any name

or, in later copies,

    captions.txt                         image_name,comment_number,comment
    flickr30k_images/                    the pictures; or a folder of any name

The folder that holds the captions can be named, or the folder above it where it is called
flickr30k_images; train.txt, val.txt and test.txt (see `flickr30k.py`) may lie in either. The header
may be absent, and blanks around bars and commas do not count.
Source: Young, Lai, Hodosh and Hockenmaier, TACL 2014. Its quirks, and what becomes of them:
    `2199200615.jpg| 4   A dog runs across the grass .`   it lacks a bar: read, and told as repaired
    bars in a caption                                     stay, as do commas
    `1000092795.jpg,0,"Two young guys , outside ."`       quotes go, as in `flickr8k_kaggle.py`
    no split lists                                        as in `flickr30k.py`
"""

import re
from pathlib import Path

from pipeline.datasets.flickr8k_kaggle import parse as parse_named
from pipeline.datasets.flickr8k_kaggle import unquoted
from pipeline.datasets.layout import Layout, Listing
from pipeline.datasets.pictures import PICTURE_COLUMNS, begins_with_picture
from pipeline.datasets.split_lists import FLICKR30K_LISTS
from pipeline.datasets.table import CAPTION_COLUMNS
from pipeline.datasets.text_layout import (
    LineForm,
    NamedCaption,
    first_line,
    only_file,
    read_text_layout,
)

FOLDERS = ("", "flickr30k_images/")
WITH_BARS = "results.csv"
WITH_COMMAS = "captions.txt"
NUMBER_COLUMNS = ("comment_number", "caption_number", "number")
WHOLE = re.compile(r"([0-9]+)\s*\|(.*)", re.DOTALL)
NUMBER = re.compile(r"[0-9]+")
LACKS_BAR = re.compile(r"([0-9]+)\s+(.+)", re.DOTALL)


def recognises(raw: Path) -> bool:
    """Tell whether there is a file that begins with three columns, by bars or by commas."""
    return bool(_captions_files(raw))


def read(raw: Path) -> Listing:
    """Read the captions and, where there are any, the split lists.

    Raises:
        InputError: the file cannot be read, one of the lists is absent and others are not, or it
            stands there twice, no picture is named, or no folder holds the pictures.
    """
    places = f"{WITH_BARS} or {WITH_COMMAS}"
    captions = only_file(raw, places, _captions_files(raw)[:1])
    form = BAR_LINES if captions.name == WITH_BARS else COMMA_LINES
    return read_text_layout(raw, captions, form, FLICKR30K_LISTS)


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
    return bool(bar) and column.strip().lower() in PICTURE_COLUMNS and parse(line) is None


def parse_commas(line: str) -> NamedCaption | None:
    """Split a line: `a.jpg,0,"A dog , running"` -> a.jpg, 0, `A dog , running`; None if broken."""
    written, _, rest = line.partition(",")
    name, said = unquoted(written), parse_named(rest)
    if not name or said is None or not NUMBER.fullmatch(said.name):
        return None
    return said._replace(name=name, number=said.name)


def is_comma_header(line: str) -> bool:
    """Tell whether a line is `image_name,comment_number,comment`, or other names of the three."""
    columns = tuple(unquoted(column) for column in line.lower().split(","))
    known = PICTURE_COLUMNS, NUMBER_COLUMNS, CAPTION_COLUMNS
    return len(columns) == len(known) and all(
        column in names for column, names in zip(columns, known, strict=True)
    )


def _captions_files(raw: Path) -> list[Path]:
    """Find the files of captions; the first that is there is read."""
    with_bars = [path for folder in FOLDERS if _has_bars(path := raw / folder / WITH_BARS)]
    with_commas = [path for folder in FOLDERS if _has_commas(path := raw / folder / WITH_COMMAS)]
    return with_bars + with_commas


def _has_bars(path: Path) -> bool:
    line = first_line(path)
    return is_header(line) or begins_with_picture(line, "|")


def _has_commas(path: Path) -> bool:
    line = first_line(path)
    numbered = begins_with_picture(line, ",") and parse_commas(line) is not None
    return numbered or is_comma_header(line)


BAR_LINES = LineForm(separator="|", is_header=is_header, parse=parse)
COMMA_LINES = LineForm(separator=",", is_header=is_comma_header, parse=parse_commas)
FLICKR30K_KAGGLE = Layout(
    name="flickr30k_kaggle",
    looks_for="results.csv with lines image.jpg| 0| caption, or captions.txt with commas",
    recognises=recognises,
    read=read,
)
