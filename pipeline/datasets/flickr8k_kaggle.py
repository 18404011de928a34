"""Flickr8k as Kaggle gives it out, and its many mirrors.

    captions.txt    image,caption     a header, which some leave out; then one caption a line
    Images/         the pictures      a folder of any name

Source: Hodosh, Young and Hockenmaier, JAIR 2013. Its quirks, and what becomes of them:
    `a.jpg,"A dog , running"`   as in RFC 4180: the quotes go, and "" becomes "
    `a.jpg,A dog , running`     as some mirrors have it: the first comma ends the picture's name,
                                and all others are the caption's
    `a.jpg,"Stop" says a sign`  quotes that enclose no field stay; told as repaired
    no split lists              split by `ingest`, unless the three lists of the original
                                (`flickr8k.py`; of Flickr30k, which comes in this form as well:
                                `flickr30k.py`) lie beside it, which then win
    a third column, of splits   refused: a caption may end so; what to do is told
    no numbers of captions      counted in order of appearance: `<image_id>#0` and on
"""

from pathlib import Path

from pipeline.datasets.layout import Layout, Listing
from pipeline.datasets.pictures import PICTURE_COLUMNS, SPLIT_NAMES, begins_with_picture
from pipeline.datasets.split_lists import FLICKR8K_LISTS, FLICKR30K_LISTS, find_lists
from pipeline.datasets.table import CAPTION_COLUMNS
from pipeline.datasets.text_layout import (
    LineForm,
    NamedCaption,
    first_line,
    read_text_layout,
)
from pipeline.errors import InputError

NAME = "captions.txt"


def recognises(raw: Path) -> bool:
    """Tell whether captions.txt begins with `image,caption`, or a picture's name and a comma."""
    line = first_line(raw / NAME)
    return is_header(line) or _has_splits(line) or begins_with_picture(line, ",")


def read(raw: Path) -> Listing:
    """Read the captions, and the split lists of the original where they lie beside.

    Raises:
        InputError: the file cannot be read or has a column of splits, one of the lists is absent
            and others are not, or it stands there twice, no picture is named, or no folder holds
            the pictures.
    """
    path = raw / NAME
    first = first_line(path)
    if _has_splits(first) or first.rpartition(",")[2].strip().lower() in SPLIT_NAMES:
        raise InputError(
            f"{path}: expected lines image.jpg,caption. Received a third column, of splits:"
            f" {first[:100]!r}. Call the file captions.csv, with a first line image,caption,split"
            " and with quotes around captions that have commas: it is read as `table` then"
        )
    lists = FLICKR8K_LISTS if find_lists(raw, path, FLICKR8K_LISTS) else FLICKR30K_LISTS
    return read_text_layout(raw, path, COMMA_LINES, lists)


def parse(line: str) -> NamedCaption | None:
    """Split a line: `a.jpg,"A dog , running"` -> a.jpg, `A dog , running`; None where broken."""
    written, comma, rest = line.partition(",")
    name, text = unquoted(written), unquoted(rest)
    if not comma or not name:
        return None
    if text is None:
        return NamedCaption(name, None, rest.strip(), is_repaired=True)
    return NamedCaption(name, None, text)


def is_header(line: str) -> bool:
    """Tell whether a line is the names of two columns, such as `image,caption`."""
    picture, _, caption = line.lower().partition(",")
    return unquoted(picture) in PICTURE_COLUMNS and unquoted(caption) in CAPTION_COLUMNS


def _has_splits(line: str) -> bool:
    """Tell whether a line is the names of three columns, the last of which is that of splits."""
    first_two, _, last = line.rpartition(",")
    return unquoted(last.lower()) == "split" and is_header(first_two)


def unquoted(cell: str) -> str | None:
    """Read a field of CSV, without blanks around it; None where a quote in it is out of place."""
    cell = cell.strip()
    if not cell.startswith('"'):
        return cell
    inner = cell[1:-1]
    is_closed = len(cell) > 1 and cell.endswith('"') and '"' not in inner.replace('""', "")
    return inner.replace('""', '"').strip() if is_closed else None


COMMA_LINES = LineForm(separator=",", is_header=is_header, parse=parse)
FLICKR8K_KAGGLE = Layout(
    name="flickr8k_kaggle",
    looks_for="captions.txt with lines image.jpg,caption",
    recognises=recognises,
    read=read,
)
