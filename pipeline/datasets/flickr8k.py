"""The original layout of Flickr8k; *scenes* and many small data sets copy it.

    Flickr8k.token.txt          image.jpg#0<TAB>caption       any *.token.txt
    Flickr_8k.trainImages.txt   image.jpg                     any *.trainImages.txt
    Flickr_8k.devImages.txt     image.jpg                     ... becomes split `val`
    Flickr_8k.testImages.txt    image.jpg
    Flicker8k_Dataset/          the pictures                  a folder of any name

Source: Hodosh, Young and Hockenmaier, JAIR 2013. Its quirks, and what becomes of them:
    the captions of 2258277193_586949ec62.jpg.1, which does not exist   dropped: missing
    captions of pictures in no split list                               dropped: no_split
    Flickr8k.lemma.token.txt, the captions again, as lemmas             not read
A picture in two split lists stays in the first of train, dev, test and is dropped from the later:
to train and to test on the same picture would be worse than either.
"""

import posixpath
from collections.abc import Collection, Mapping
from pathlib import Path

from pipeline.datasets.layout import (
    Layout,
    ListedCaption,
    ListedImage,
    Listing,
    Reason,
    is_storable,
)
from pipeline.datasets.lines import numbered_lines
from pipeline.datasets.pictures import PICTURE_COLUMNS, find_folder, id_of, names_in
from pipeline.errors import InputError

LISTS = {"train": "trainImages.txt", "val": "devImages.txt", "test": "testImages.txt"}


def recognises(raw: Path) -> bool:
    """Tell whether the folder holds captions as Flickr8k has them."""
    return bool(_token_files(raw))


def read(raw: Path) -> Listing:
    """Read the captions and the split lists.

    Raises:
        InputError: one of the lists is absent or stands there twice, no picture is listed, or no
            folder holds the pictures.
    """
    listing = Listing()
    tokens = _only(raw, "*.token.txt", _token_files(raw))
    for split, ending in LISTS.items():
        path = _only(raw, f"*.{ending}", sorted(raw.glob(f"*.{ending}")))
        _read_split(path, split, listing)
    listed = {image.path: image.image_id for image in listing.images}
    folder = find_folder(raw, listed, f"{raw}/*.{{{','.join(LISTS.values())}}}")
    files = names_in(raw / folder)
    _read_captions(tokens, listed, set(files), listing)
    listing.images = [_in_folder(folder, image) for image in listing.images]
    _note_unlisted(folder, files, listed, listing)
    return listing


def _token_files(raw: Path) -> list[Path]:
    return sorted(p for p in raw.glob("*.token.txt") if not p.name.endswith(".lemma.token.txt"))


def _only(raw: Path, pattern: str, found: list[Path]) -> Path:
    if len(found) == 1:
        return found[0]
    received = ", ".join(path.name for path in found) or "none"
    raise InputError(f"{raw}: expected one file {pattern} (Flickr8k layout). Received: {received}")


def _read_split(path: Path, split: str, listing: Listing) -> None:
    """Read a list of names; the folder is put before `path` once it is found."""
    earlier = {image.path: image.split for image in listing.images}
    for number, line in numbered_lines(path):
        name, source = line.strip(), f"{path.name}:{number}"
        if not is_storable(name):
            listing.drop("image", name, source, "encoding", line)
        elif number == 1 and name.lower() in PICTURE_COLUMNS:
            listing.drop("image", name, source, "header", line)
        elif name in earlier:
            twice: Reason = "duplicate_id" if earlier[name] == split else "two_splits"
            listing.drop("image", name, source, twice, line)
        else:
            earlier[name] = split
            listing.images.append(ListedImage(id_of(name), name, split, source))


def _read_captions(
    path: Path, listed: Mapping[str, str], files: Collection[str], listing: Listing
) -> None:
    """Read the captions of the listed pictures, which come with their ids by name."""
    seen: set[str] = set()
    for number, line in numbered_lines(path):
        source = f"{path.name}:{number}"
        parsed = _parse(line)
        if parsed is None:
            first = line.partition("\t")[0]
            listing.drop("caption", first, source, _why_broken(number, line), line)
            continue
        name, index, text = parsed
        image_id = listed.get(name)
        caption_id = f"{image_id}#{index}"
        if image_id is None:
            reason: Reason = "no_split" if name in files else "missing"
            listing.drop("caption", f"{name}#{index}", source, reason, line)
        elif not text.strip():
            listing.drop("caption", caption_id, source, "empty_caption", line)
        elif caption_id in seen:
            listing.drop("caption", caption_id, source, "duplicate_id", line)
        else:
            seen.add(caption_id)
            listing.captions.append(ListedCaption(image_id, caption_id, text, source))


def _parse(line: str) -> tuple[str, str, str] | None:
    """Split a line: `a.jpg#0<TAB>A dog .` -> a.jpg, 0, `A dog .`; None where it is broken."""
    head, tab, text = line.partition("\t")
    name, _, index = head.strip().rpartition("#")
    is_whole = tab and name.strip() and index.isascii() and index.isdigit() and is_storable(line)
    return (name.strip(), index, text) if is_whole else None


def _why_broken(number: int, line: str) -> Reason:
    if not is_storable(line):
        return "encoding"
    column = line.partition("\t")[0].partition("#")[0].strip().lower()
    return "header" if number == 1 and column in PICTURE_COLUMNS else "broken_line"


def _in_folder(folder: str, image: ListedImage) -> ListedImage:
    path = posixpath.join(folder, image.path)
    return ListedImage(image.image_id, path, image.split, image.source)


def _note_unlisted(
    folder: str, files: list[str], listed: Collection[str], listing: Listing
) -> None:
    for name in files:
        if name not in listed:
            path = posixpath.join(folder, name)
            listing.drop("image", path, path, "not_listed", name)


FLICKR8K = Layout(
    name="flickr8k",
    looks_for="*.token.txt with *.trainImages.txt, *.devImages.txt and *.testImages.txt",
    recognises=recognises,
    read=read,
)
