"""What a reader of a data set hands over, and what a layout is.

A reader reads lists, never pictures: it yields a `Listing` of what the files say. Every row that
it reads is either in `images` or `captions`, or in `dropped` with its reason; a row that had to be
repaired is in both, with reason "repaired". `ingest` then looks at the pictures. To add a layout,
write its reader and name it in `find.LAYOUTS`.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple, TypedDict

from pipeline.images.decode import PictureReason, Span

# Why something was left out. A bad picture's reason is in `PictureReason`.
ListReason = Literal[
    "header",  # a list's first line, naming its columns
    "broken_line",  # not of the form that the layout has
    "encoding",  # not UTF-8
    "empty_caption",  # a picture's name with no words beside it
    "duplicate_id",  # the same picture twice in one list, or the same caption id twice
    "two_splits",  # the picture stands in an earlier split already, and stays there
    "unknown_split",  # a split that is neither train nor val nor test
    "no_split",  # the caption's picture stands in no split list
    "not_listed",  # a picture file that no list names
    "no_captions",  # a listed picture without any caption
    "restval",  # a picture of Karpathy's fourth split, where ingest.restval leaves it out
    "repaired",  # not lost: a line that was not of the layout's form, and was read all the same
    "picture_dropped",  # the caption of a picture that was left out
]
Reason = ListReason | PictureReason
# No fault of the data: whoever wrote the lists chose so. These do not count for `max_dropped`.
BY_CHOICE: frozenset[Reason] = frozenset(
    {"header", "no_split", "not_listed", "restval", "repaired"}
)
RESTVAL = "restval"  # Karpathy's fourth split: pictures of COCO's val2014 in no other split


class DroppedRow(TypedDict):
    """One row of dropped.parquet (pipeline/tables.py)."""

    kind: Literal["image", "caption"]
    item: str  # the id, or the path where there is none
    source: str  # "file:line", or "file", relative to the raw folder
    reason: Reason
    raw: str  # the value as found


class ListedImage(NamedTuple):  # tuples, as there are hundreds of thousands
    """One picture that a list names; nobody has looked yet whether it exists."""

    image_id: str  # the name as listed, with / and without the picture suffix
    path: str  # relative to the raw folder, with /
    split: str | None  # of tables.SPLITS, or RESTVAL; None where the data set has no splits
    source: str  # "file:line" relative to the raw folder
    span: Span | None = None  # where in `path` the picture is; None where it is all of the file


class ListedCaption(NamedTuple):
    """One caption of a picture in the same listing."""

    image_id: str
    caption_id: str  # unique in the listing
    text: str  # as found
    source: str


@dataclass(slots=True)
class Listing:
    """All that the lists of a data set say, in the order in which they say it."""

    images: list[ListedImage] = field(default_factory=list)
    captions: list[ListedCaption] = field(default_factory=list)
    dropped: list[DroppedRow] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)  # image_id -> JSON, keys sorted
    # Splits that the data set has lists of, be they empty; those of `images` need not be here.
    splits: set[str] = field(default_factory=set)
    # Ids of pictures that are meant to have no captions, such as COCO's test pictures: they are
    # kept, captioned by `evaluate`, and not scored.
    uncaptioned: set[str] = field(default_factory=set)
    # Pictures and captions of which nobody has a row: how many are taken to stand behind the place
    # where a file of them cannot be read on.
    unseen: int = 0

    def drop(
        self, kind: Literal["image", "caption"], item: str, source: str, reason: Reason, raw: str
    ) -> None:
        """Record something that is left out."""
        self.dropped.append(dropped_row(kind, item, source, reason, raw))


@dataclass(frozen=True, slots=True)
class Layout:
    """A way to lay out a caption data set."""

    name: str  # as in ingest.format
    looks_for: str  # what a folder of this layout holds, told to people
    recognises: Callable[[Path], bool]  # from the names in the folder alone
    read: Callable[[Path], Listing]  # raises InputError where nothing can be read


def dropped_row(
    kind: Literal["image", "caption"], item: str, source: str, reason: Reason, raw: str
) -> DroppedRow:
    """Make a row of dropped.parquet; what is not UTF-8 is written as escapes."""
    return {
        "kind": kind,
        "item": printable(item),
        "source": printable(source),
        "reason": reason,
        "raw": printable(raw),
    }


def most_common_reasons(rows: Sequence[DroppedRow]) -> str:
    """Tell why rows were left out: the most common reasons, each with how many."""
    counts = Counter(row["reason"] for row in rows)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{reason} {count:,}" for reason, count in ordered[:5])


def printable(text: str) -> str:
    r"""Write lone surrogates (bytes that are not UTF-8) as escapes: Parquet holds UTF-8 only."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def is_storable(text: str) -> bool:
    """Tell whether a text is free of lone surrogates, and so can be written as UTF-8."""
    if text.isascii():
        return True
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
