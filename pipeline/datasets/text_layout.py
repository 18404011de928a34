"""What data sets have in common that keep all captions in one text file, one caption a line.

A layout says how one line is to be read (`LineForm`); the rest is the same for all of them:
    the data set has lists of its splits   their pictures are listed, and no others: captions of
                                           others are dropped, no_split, or missing where there is
                                           no such file
    it has none                            every picture that a line names is listed, in no split;
                                           `ingest` splits by a hash, and finds files missing
Lines are read each for itself: a quote that is never closed costs no line but its own.
"""

import codecs
import posixpath
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pipeline.datasets.layout import ListedCaption, ListedImage, Listing, Reason, is_storable
from pipeline.datasets.lines import numbered_lines
from pipeline.datasets.pictures import find_folder, id_of, names_beside
from pipeline.datasets.split_lists import Patterns, find_lists, read_lists
from pipeline.errors import InputError

LOOKED_AT = 65_536  # bytes of a file that may be read to recognise it
ITEM_TOLD = 200  # characters of a broken line's beginning that stand for its picture


class NamedCaption(NamedTuple):
    """What a good line says."""

    name: str  # the picture's, as written
    number: str | None  # among the picture's captions; None where they are counted as they come
    text: str
    is_repaired: bool = False  # the line was not of the layout's form


@dataclass(frozen=True, slots=True)
class LineForm:
    """How a layout writes a caption."""

    separator: str  # what ends the picture's name
    is_header: Callable[[str], bool]  # asked of the first line alone
    parse: Callable[[str], NamedCaption | None]  # None where the line is broken


class _Line(NamedTuple):
    source: str
    raw: str
    said: NamedCaption | Reason  # or why it says nothing


def read_text_layout(raw: Path, captions: Path, form: LineForm, patterns: Patterns) -> Listing:
    """Read a file of captions, and the lists of splits where the data set has them.

    Raises:
        InputError: a file cannot be read, one of the lists is absent or stands there twice, no
            picture is named, or no folder holds the pictures.
    """
    listing = Listing()
    lists = find_lists(raw, captions, patterns)
    lines = list(_lines(raw, captions, form))
    named = _pictures(lines)
    if lists:
        read_lists(raw, lists, [image.path for image in named], listing)
    else:
        listing.images = named
    listed = {image.path: image.image_id for image in listing.images}
    folder = find_folder(raw, listed, ", ".join(map(str, lists.values())) or str(captions))
    files = list(names_beside(raw / folder, [image.path for image in named]))
    _take_captions(lines, form, listed, set(files), listing)
    # A path that is absolute stays so: it is refused, and not looked for in the folder.
    listing.images = [i._replace(path=posixpath.join(folder, i.path)) for i in listing.images]
    _note_unlisted(folder, files, listed, listing)
    return listing


def only_file(raw: Path, pattern: str, found: Sequence[Path]) -> Path:
    """Take the one file of captions that was found.

    Raises:
        InputError: there is none, or there are several.
    """
    if len(found) == 1:
        return found[0]
    received = ", ".join(path.name for path in found) or "none"
    raise InputError(f"{raw}: expected one file {pattern}. Received: {received}")


def first_line(path: Path) -> str:
    """Read the first line that is not blank, or its beginning; "" where there is none."""
    try:
        if not path.is_file():  # a pipe would not answer
            return ""
        with path.open("rb") as stream:
            start = stream.read(LOOKED_AT)
    except OSError:
        return ""
    text = start.removeprefix(codecs.BOM_UTF8).decode("utf-8", "surrogateescape")
    return next((line.removesuffix("\r") for line in text.split("\n") if line.strip()), "")


def _lines(raw: Path, captions: Path, form: LineForm) -> Iterator[_Line]:
    told = captions.relative_to(raw).as_posix()
    is_first, parse = True, form.parse
    for number, line in numbered_lines(captions):
        said: NamedCaption | Reason = parse(line) or "broken_line"
        if not is_storable(line):
            said = "encoding"
        elif is_first and form.is_header(line):
            said = "header"
        is_first = False
        yield _Line(f"{told}:{number}", line, said)


def _pictures(lines: Sequence[_Line]) -> list[ListedImage]:
    """List each picture that a line names, be it without words, at the first line that does."""
    first: dict[str, str] = {}  # the names, and where each was read
    for line in lines:
        if isinstance(line.said, NamedCaption):
            first.setdefault(line.said.name, line.source)
    return [ListedImage(id_of(name), name, None, source) for name, source in first.items()]


def _take_captions(
    lines: Sequence[_Line],
    form: LineForm,
    listed: Mapping[str, str],
    files: Collection[str],
    listing: Listing,
) -> None:
    """Keep the captions of the listed pictures, which come with their ids by name."""
    seen: set[str] = set()
    counts: dict[str, int] = {}
    for line in lines:
        said = line.said
        if not isinstance(said, NamedCaption):
            item = line.raw.partition(form.separator)[0].strip()[:ITEM_TOLD]
            listing.drop("caption", item, line.source, said, line.raw)
            continue
        name, number, text, _ = said
        image_id = listed.get(name)
        if number is None:
            number = str(counts.get(name, 0))
            counts[name] = int(number) + 1
        caption_id = f"{image_id or name}#{number}"
        reason = _why_dropped(said, image_id, caption_id, files, seen)
        if reason is not None:
            listing.drop("caption", caption_id, line.source, reason, line.raw)
        if image_id is None or reason not in (None, "repaired"):
            continue
        seen.add(caption_id)
        listing.captions.append(ListedCaption(image_id, caption_id, text, line.source))


def _why_dropped(
    said: NamedCaption,
    image_id: str | None,
    caption_id: str,
    files: Collection[str],
    seen: Collection[str],
) -> Reason | None:
    """Say why a caption is told as dropped; "repaired" where it is kept all the same."""
    if image_id is None:
        return "no_split" if said.name in files else "missing"
    if not said.text.strip():
        return "empty_caption"
    if caption_id in seen:
        return "duplicate_id"
    return "repaired" if said.is_repaired else None


def _note_unlisted(
    folder: str, files: Sequence[str], listed: Collection[str], listing: Listing
) -> None:
    for name in files:
        # A list may give a picture without captions by its id.
        if name not in listed and id_of(name) not in listed:
            path = posixpath.join(folder, name)
            listing.drop("image", path, path, "not_listed", name)
