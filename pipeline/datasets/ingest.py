"""From a folder of pictures and lists to the tables that all other stages read.

1. The layout's reader says what the lists say (`layout.Listing`).
2. Pictures without captions are dropped, but for those that are meant to have none; the others
   are put into a split where they have none.
3. Every picture is opened, decoded and hashed, on all cores; bad ones are dropped, and their
   captions with them.
4. `problem` tells whether what is left is fit to be used.

Nothing is lost silently: pictures + captions + dropped rows that are not "repaired" are all that
the lists hold.
Time: 7,000 photographs of 224 x 224 take 1.7 s of processor time, shared by all cores.
"""

import gc
import multiprocessing
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from pipeline.datasets.facts_file import add_facts
from pipeline.datasets.find import find_layout
from pipeline.datasets.layout import (
    BY_CHOICE,
    RESTVAL,
    DroppedRow,
    ListedImage,
    Listing,
    Reason,
    dropped_row,
    is_storable,
    most_common_reasons,
    printable,
)
from pipeline.datasets.pictures import look_alike
from pipeline.datasets.splits import split_of
from pipeline.errors import InputError
from pipeline.images.decode import PictureError, PictureFacts, Span, inside, inspect
from pipeline.machine import cores
from pipeline.params import Settings
from pipeline.progress import Progress
from pipeline.tables import SPLITS

Place = tuple[str, Span | None]  # a path in the raw folder, and where in that file
CHUNK = 64  # pictures handed to a process at once
FEW = 256  # pictures up to which starting processes costs more than it saves


class IngestSettings(Settings):
    """Section `ingest` of params.yaml. Values live there; no defaults here."""

    # The data set's folder. Not read by the code: dvc.yaml hands ${ingest.folder} to the command.
    folder: str
    # The layout; auto looks at what is there. The same names as in find.LAYOUTS.
    format: Literal[
        "auto",
        "karpathy",
        "coco",
        "flickr8k",
        "flickr30k",
        "flickr30k_kaggle",
        "flickr8k_kaggle",
        "tfds",
        "webdataset",
        "table",
    ]
    val_share: float = Field(ge=0, lt=1)  # of the pictures, where the data set has no such split
    test_share: float = Field(ge=0, lt=1)
    restval: Literal["train", "leave_out"]  # what becomes of Karpathy's fourth split
    max_dropped: float = Field(ge=0, le=1)  # share of pictures and captions lost that stops the run
    max_pixels: int = Field(gt=0)  # width x height above which a picture is not decoded

    @model_validator(mode="after")
    def _check_shares(self) -> "IngestSettings":
        if self.val_share + self.test_share >= 1:
            raise ValueError(
                "val_share + test_share must be below 1, so that something is left to train on"
            )
        return self


@dataclass(frozen=True, slots=True)
class Ingested:
    """Rows of the four tables (schemas: pipeline/tables.py), and how they were read."""

    layout: str
    hashed_splits: list[str]  # those that the data set lacks, so that they were taken by hash
    images: list[dict[str, Any]]
    captions: list[dict[str, Any]]
    dropped: list[DroppedRow]
    facts: list[dict[str, Any]]
    unseen: int  # pictures and captions taken to be where files cannot be read on, see `Listing`


def ingest(raw: Path, settings: IngestSettings) -> Ingested:
    """Read the data set in the folder `raw` and look at all of its pictures.

    Raises:
        InputError: the layout is not recognised, a list is absent or unreadable, or two files
            would have the same id.
    """
    with _no_search_for_cycles():
        return _ingest(raw, settings)


@contextmanager
def _no_search_for_cycles() -> Iterator[None]:
    """Turn off Python's collector: a million rows, none in a cycle, take twice the time with it."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _ingest(raw: Path, settings: IngestSettings) -> Ingested:
    layout = find_layout(raw, settings.format)
    listing = layout.read(raw)
    _refuse_folders_of_no_text(raw, listing.images)
    _refuse_shared_ids(raw, listing.images)
    add_facts(raw, listing)
    dropped = listing.dropped
    asked = []
    captioned = {caption.image_id for caption in listing.captions} | listing.uncaptioned
    for image in assign_splits(listing, settings):
        if image.split == RESTVAL:
            dropped.append(_dropped_image(image, "restval"))
        elif image.image_id not in captioned:
            dropped.append(_dropped_image(image, "no_captions"))
        else:
            asked.append(image)

    images = []
    for image, found in zip(asked, _look_at(raw, asked, settings.max_pixels), strict=True):
        if isinstance(found, PictureFacts):
            images.append(_image_row(image, found))
        else:
            dropped.append(_dropped_image(image, found))
    kept = {row["image_id"] for row in images}
    return Ingested(
        layout=layout.name,
        hashed_splits=[split for split in SPLITS if split not in _own_splits(listing)],
        images=images,
        captions=_caption_rows(listing, kept),
        dropped=dropped,
        facts=[{"image_id": i, "facts": text} for i, text in listing.facts.items() if i in kept],
        unseen=listing.unseen,
    )


def _refuse_folders_of_no_text(raw: Path, images: Iterable[ListedImage]) -> None:
    """Refuse a folder whose name no table can hold: what a list names was looked at before."""
    for image in images:
        if not is_storable(image.path):
            raise InputError(
                f"{raw}: expected folders with names in UTF-8. Received: {printable(image.path)}. "
                "Rename the folder"
            )


def assign_splits(listing: Listing, settings: IngestSettings) -> list[ListedImage]:
    """Put every picture into a split; what the data set's own lists say is kept.

    Where they have no splits at all, or lack val or test, that split is taken from the rest
    (else from train) by a hash of the picture's id (`splits.py`).
    """
    images = listing.images
    if settings.restval == "train":
        images = [i._replace(split="train") if i.split == RESTVAL else i for i in images]
    there = _own_splits(listing)
    val = 0.0 if "val" in there else settings.val_share
    test = 0.0 if "test" in there else settings.test_share
    return [
        image._replace(split=split_of(image.image_id, val, test))
        if image.split in (None, "train") and (val or test or image.split is None)
        else image
        for image in images
    ]


def _own_splits(listing: Listing) -> set[str | None]:
    return {image.split for image in listing.images} | listing.splits


def problem(ingested: Ingested, settings: IngestSettings, told_in: Path) -> str | None:
    """Say in one line why these tables are not fit to be used; None if they are.

    `told_in` is where the dropped rows can be looked up.
    """
    lost = [row for row in ingested.dropped if row["reason"] not in BY_CHOICE]
    gone = len(lost) + ingested.unseen
    total = len(ingested.images) + len(ingested.captions) + gone
    if gone > settings.max_dropped * total:
        return (
            f"{gone:,} of {total:,} pictures and captions cannot be used"
            f" ({gone / total:.1%}); ingest.max_dropped allows {settings.max_dropped:.1%}."
            f"{_told_of_unseen(ingested.unseen)}"
            f" Reasons: {most_common_reasons(lost)}. For example {_examples(lost)}."
            f"{_look_alikes(ingested.dropped)}"
            f" Mend the data (docs/datasets.md has what each reason means), or raise"
            f" ingest.max_dropped; all are in {told_in}"
        )
    sizes = Counter(row["split"] for row in ingested.images)
    missing = [split for split in SPLITS if not sizes[split]]
    if missing:
        received = ", ".join(f"{split} {sizes[split]:,}" for split in SPLITS)
        return (
            f"expected pictures with captions in each of {', '.join(SPLITS)}: training, choosing"
            f" and scoring need one each. Received: {received}. Add to the lists of"
            f" {' and '.join(missing)}, or without lists raise ingest.val_share and"
            f" ingest.test_share; what was left out is in {told_in}"
        )
    return None


def _told_of_unseen(unseen: int) -> str:
    if not unseen:
        return ""
    return (
        f" About {unseen:,} of them are in files that cannot be read to their end, if those held as"
        " many as the fullest of the others."
    )


def _look_alikes(dropped: list[DroppedRow]) -> str:
    """Show a file that no list names, and that looks like one that is missed."""
    images = [row for row in dropped if row["kind"] == "image"]
    missed = [row["raw"] for row in images if row["reason"] == "missing"]
    return look_alike(missed, [row["item"] for row in images if row["reason"] == "not_listed"])


def _refuse_shared_ids(raw: Path, images: list[ListedImage]) -> None:
    """Make sure that a.jpg and a.png do not both become the picture `a`."""
    by_id: dict[str, ListedImage] = {}
    for image in images:
        other = by_id.setdefault(image.image_id, image)
        if other.path != image.path:
            raise InputError(
                f"{raw}: expected picture names that differ without their suffix. Received:"
                f" {other.path} ({other.source}) and {image.path} ({image.source}), both"
                f" {image.image_id!r}. Rename one"
            )


def _look_at(
    raw: Path, images: list[ListedImage], max_pixels: int
) -> Iterator[PictureFacts | Reason]:
    """Yield what is found of each picture, in the order given."""
    places = [(image.path, image.span) for image in images]
    chunks = [places[start : start + CHUNK] for start in range(0, len(places), CHUNK)]
    look = partial(_look_at_chunk, raw, max_pixels)
    with Progress("ingest", total=len(images), unit="pictures") as progress:
        for found in map(look, chunks) if len(images) <= FEW else _on_all_cores(look, chunks):
            progress.advance(len(found))
            yield from found


def _look_at_chunk(raw: Path, max_pixels: int, places: list[Place]) -> list[PictureFacts | Reason]:
    return [_look_at_one(raw, max_pixels, *place) for place in places]


def _look_at_one(raw: Path, max_pixels: int, path: str, span: Span | None) -> PictureFacts | Reason:
    try:
        return inspect(inside(raw, path), max_pixels, span)
    except PictureError as error:
        return error.reason


def _on_all_cores(
    look: Callable[[list[Place]], list[PictureFacts | Reason]], chunks: list[list[Place]]
) -> Iterator[list[PictureFacts | Reason]]:
    """Yield the results of the chunks in their order, worked out by one process a core."""
    # Forked processes start at once; others import everything again. Linux alone forks safely,
    # and not even there once TensorFlow, which the reader of its data sets loads, has its threads.
    forks = sys.platform == "linux" and "tensorflow" not in sys.modules
    context = multiprocessing.get_context("fork" if forks else "spawn")
    with ProcessPoolExecutor(cores(), mp_context=context, initializer=_begin_process) as pool:
        try:
            yield from pool.map(look, chunks)
        except BrokenProcessPool as error:
            raise InputError(
                "a process that decodes pictures was ended by the system, most likely for want of"
                " memory. Lower ingest.max_pixels, so that the largest pictures are left out"
            ) from error


def _begin_process() -> None:
    """Let a process collect its own garbage, and leave alone what it has of its parent's."""
    gc.freeze()
    gc.enable()


def _image_row(image: ListedImage, found: PictureFacts) -> dict[str, Any]:
    return {
        "image_id": image.image_id,
        "split": image.split,
        "path": image.path,
        "offset": image.span.offset if image.span else 0,
        "bytes": found.bytes,
        "sha256": found.sha256,
        "width": found.width,
        "height": found.height,
        "mode": found.mode,
        "dhash": found.dhash,
    }


def _dropped_image(image: ListedImage, reason: Reason) -> DroppedRow:
    return dropped_row("image", image.image_id, image.source, reason, image.path)


def _caption_rows(listing: Listing, kept: set[str]) -> list[dict[str, Any]]:
    """Make the rows of the kept pictures' captions; drop those of the others."""
    rows = []
    chosen = {row["item"] for row in listing.dropped if row["reason"] == "restval"}
    for caption in listing.captions:
        if caption.image_id in kept:
            rows.append(
                {
                    "image_id": caption.image_id,
                    "caption_id": caption.caption_id,
                    "text": caption.text,
                }
            )
        else:
            why: Reason = "restval" if caption.image_id in chosen else "picture_dropped"
            listing.drop("caption", caption.caption_id, caption.source, why, caption.text)
    return rows


def _examples(rows: list[DroppedRow]) -> str:
    """Show three rows, of three reasons where there are as many."""
    by_reason: dict[Reason, DroppedRow] = {}
    for row in rows:
        by_reason.setdefault(row["reason"], row)
    # A caption lost with its picture says nothing that the picture does not say.
    causes = [row for reason, row in by_reason.items() if reason != "picture_dropped"]
    shown = (causes + [row for row in rows if row not in causes])[:3]
    return "; ".join(f"{row['source']} {row['reason']} {row['raw'][:60]!r}" for row in shown)
