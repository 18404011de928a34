"""The form in which Flickr8k and Flickr30k were first given out: `image.jpg#0<TAB>caption`."""

from pipeline.datasets.pictures import PICTURE_COLUMNS
from pipeline.datasets.text_layout import LineForm, NamedCaption


def parse(line: str) -> NamedCaption | None:
    """Split a line: `a.jpg#0<TAB>A dog .` -> a.jpg, 0, `A dog .`; None where it is broken."""
    head, tab, text = line.partition("\t")
    name, _, number = head.strip().rpartition("#")
    name = name.strip()
    is_whole = tab and name and number.isascii() and number.isdigit()
    return NamedCaption(name, number, text) if is_whole else None


def is_header(line: str) -> bool:
    """Tell whether a line names the columns: it is no caption, and begins as a header would."""
    column = line.partition("\t")[0].partition("#")[0].strip().lower()
    return column in PICTURE_COLUMNS and parse(line) is None


TOKENS = LineForm(separator="\t", is_header=is_header, parse=parse)
