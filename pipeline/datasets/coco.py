"""MS COCO's captions of 2014 or 2017, as they are published.

    annotations/captions_train2014.json     split `train`       or beside the pictures' folders
    annotations/captions_val2014.json       split `val`
    annotations/image_info_test2014.json    split `test`: pictures that have no public captions
    train2014/, val2014/, test2014/         the pictures        here or one folder down: images/...

    {"images": [{"id": 9, "file_name": "COCO_train2014_000000000009.jpg", ...}],
     "annotations": [{"id": 661611, "image_id": 9, "caption": "Closeup of bins of food ..."}]}

2017 likewise, and its file names are 000000000009.jpg. A picture's id is COCO's, a caption's is
`<image_id>#<annotation id>`.
Source: Lin et al., ECCV 2014; captions: Chen et al., arXiv 1504.00325. Its quirks, and what becomes
of them:
    2014 and 2017 are the same pictures in other splits      both at once are refused
    image_info_test-dev2017.json, a part of the test         not read where the whole is there;
        pictures, comes in one archive with the whole        by itself it is split `test`
    2015 has test pictures only, for the captions of 2014    read where there are none of 2014
    a list of val alone                                      has no splits; ingest makes them
    captions of pictures that the same list has not          dropped: no_split
    instances_*.json, person_keypoints_*.json                not read
Where a test list is absent, ingest takes that split from `train` by a hash, which has captions.
captions_train2017.json (92 MB, 118,287 pictures, 591,753 captions) takes 7 s and 0.7 GB to read.
"""

import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.datasets.json_files import (
    KnownPictures,
    as_found,
    entries_of,
    is_id,
    load,
    path_of,
    why_twice,
    why_unusable,
)
from pipeline.datasets.layout import (
    Layout,
    ListedCaption,
    ListedImage,
    Listing,
    Reason,
    is_storable,
)
from pipeline.datasets.pictures import find_folder, unlisted
from pipeline.errors import InputError

FOLDERS = ("", "annotations")
# By year and split the names of the list; the first that is there is read.
LISTS: dict[str, dict[str, tuple[str, ...]]] = {
    "2014": {
        "train": ("captions_train2014.json",),
        "val": ("captions_val2014.json",),
        "test": (
            "image_info_test2014.json",
            "image_info_test2015.json",
            "image_info_test-dev2015.json",
        ),
    },
    "2017": {
        "train": ("captions_train2017.json",),
        "val": ("captions_val2017.json",),
        "test": ("image_info_test2017.json", "image_info_test-dev2017.json"),
    },
}
FORM = '{"images": [...], "annotations": [...]} as COCO\'s captions_val2017.json has it'
TEST_FORM = '{"images": [...]} as COCO\'s image_info_test2017.json has it'


def recognises(raw: Path) -> bool:
    """Tell whether the folder, or `annotations` in it, holds captions called as COCO's are."""
    return any(lists.keys() & {"train", "val"} for lists in _lists_by_year(raw).values())


def read(raw: Path) -> Listing:
    """Read the lists of one year.

    Raises:
        InputError: there are lists of both years or a list stands there twice, a list is not of
            the form or names no pictures, or no folder holds its pictures.
    """
    listing = Listing()
    lists = _lists_of_one_year(raw)
    # By the list of val alone nothing could be trained: such a data set is one without splits.
    has_splits = "train" in lists
    listing.splits = {split for split in lists if has_splits or split == "test"}
    known = KnownPictures()
    named: set[str] = set()
    for split, path in lists.items():
        named |= _read_list(raw, path, split if split in listing.splits else None, known, listing)
    for beside in unlisted(raw, named):
        listing.drop("image", beside, beside, "not_listed", beside)
    return listing


def _lists_by_year(raw: Path) -> dict[str, dict[str, Path]]:
    """Find the lists, by year and split; the years and splits that have none are left out."""
    by_year = {
        year: {split: found for split, names in lists.items() if (found := _first(raw, names))}
        for year, lists in LISTS.items()
    }
    return {year: lists for year, lists in by_year.items() if lists}


def _first(raw: Path, names: Sequence[str]) -> Path | None:
    found = (raw / folder / name for name in names for folder in FOLDERS)
    return next((path for path in found if path.is_file()), None)


def _lists_of_one_year(raw: Path) -> dict[str, Path]:
    by_year = _lists_by_year(raw)
    if len(by_year) != 1:
        found = [path.name for lists in by_year.values() for path in lists.values()]
        raise InputError(
            f"{raw}: expected COCO's captions of one year. Received: {', '.join(found) or 'none'}."
            " Both years have the same pictures, in other splits: take the lists of one away"
        )
    (lists,) = by_year.values()
    for path in lists.values():
        places = [raw / folder / path.name for folder in FOLDERS]
        if all(place.is_file() for place in places):
            raise InputError(
                f"{raw}: expected {path.name} once. Received: {places[0]} and {places[1]}. Take"
                " one away"
            )
    return lists


@dataclass(slots=True)
class _Pictures:
    """The ids of the pictures of one list."""

    kept: set[str] = field(default_factory=set)
    left_out: set[str] = field(default_factory=set)


def _read_list(
    raw: Path, path: Path, split: str | None, known: KnownPictures, listing: Listing
) -> set[str]:
    """Read one file; return the paths of the pictures that it names, dropped ones' included."""
    file = path.relative_to(raw).as_posix()
    content = load(path)
    is_test = split == "test"
    entries = entries_of(path, content, "images", TEST_FORM if is_test else FORM)
    has_captions = not is_test or "annotations" in content
    annotations = entries_of(path, content, "annotations", FORM) if has_captions else []
    parsed = [
        _parse_image(entry, split, f"{file}:images[{number}]")
        for number, entry in enumerate(entries)
    ]
    named = [image.path for image, reason in parsed if image.path and reason != "encoding"]
    folder = _folder(raw, path, named)
    pictures = _Pictures()
    for entry, (image, reason) in zip(entries, parsed, strict=True):
        placed = image._replace(path=posixpath.join(folder, image.path))
        _keep_or_drop(entry, placed, reason, known, pictures, listing)
    captioned = _read_annotations(file, annotations, pictures, listing)
    if is_test:
        listing.uncaptioned.update(pictures.kept - captioned)
    return {posixpath.join(folder, name) for name in named}


def _parse_image(entry: Any, split: str | None, source: str) -> tuple[ListedImage, Reason | None]:
    """Take an entry apart; where it is unusable, what is known of it comes with the reason."""
    if not isinstance(entry, dict):
        return ListedImage("", "", split, source), "broken_line"
    number = entry.get("id")
    path = path_of(entry.get("file_name"))
    image = ListedImage(str(number) if is_id(number) else "", path, split, source)
    if not is_storable(path):
        return image, "encoding"
    return image, None if path and image.image_id else "broken_line"


def _folder(raw: Path, path: Path, names: Sequence[str]) -> str:
    # Smaller copies often lie beside, in a folder of another name: resized2014.
    own = re.search(r"(train|val|test)(?:-dev)?(\d{4})", path.name)
    try:
        return find_folder(raw, names, str(path), "".join(own.groups()) if own else "")
    except InputError as error:
        raise InputError(f"{error}. Put the pictures there, or take {path.name} away") from error


def _keep_or_drop(
    entry: Any,
    image: ListedImage,
    reason: Reason | None,
    known: KnownPictures,
    pictures: _Pictures,
    listing: Listing,
) -> None:
    if reason is None and (earlier := known.add(image)) is not None:
        reason = why_twice(earlier, image)
    if reason is None:
        pictures.kept.add(image.image_id)
        listing.images.append(image)
        return
    pictures.left_out.add(image.image_id)
    listing.drop("image", image.image_id or image.source, image.source, reason, as_found(entry))


def _read_annotations(
    file: str, annotations: Sequence[Any], pictures: _Pictures, listing: Listing
) -> set[str]:
    """Read the captions of a list's pictures; return the ids of those that have any."""
    seen: set[str] = set()
    captioned: set[str] = set()
    for number, entry in enumerate(annotations):
        source = f"{file}:annotations[{number}]"
        caption, reason = _parse_annotation(entry, source, pictures)
        if reason is None and caption.caption_id in seen:
            reason = "duplicate_id"
        if reason is not None:
            item = caption.caption_id or source
            listing.drop("caption", item, source, reason, as_found(entry))
            continue
        seen.add(caption.caption_id)
        captioned.add(caption.image_id)
        listing.captions.append(caption)
    return captioned


def _parse_annotation(
    entry: Any, source: str, pictures: _Pictures
) -> tuple[ListedCaption, Reason | None]:
    """Take an entry apart; where it is unusable, what is known of it comes with the reason."""
    fields: dict[str, Any] = entry if isinstance(entry, dict) else {}
    number, picture = fields.get("id"), fields.get("image_id")
    if not is_id(number) or not is_id(picture):
        return ListedCaption("", "", "", source), "broken_line"
    image_id = str(picture)
    text: Any = fields.get("caption")  # not yet known to be text
    caption = ListedCaption(image_id, f"{image_id}#{number}", text, source)
    if image_id not in pictures.kept:
        return caption, "picture_dropped" if image_id in pictures.left_out else "no_split"
    return caption, why_unusable(text)


COCO = Layout(
    name="coco",
    looks_for="captions_train2014.json and captions_val2014.json, or those of 2017",
    recognises=recognises,
    read=read,
)
