"""Karpathy's splits of Flickr8k, Flickr30k and MS COCO, on which most papers report.

    dataset_coco.json           or dataset_flickr8k.json, dataset_flickr30k.json; one of them;
                                also in `annotations`, beside COCO's own lists
    flickr30k-images/           the pictures of a Flickr set: a folder of any name
    train2014/, val2014/        those of COCO: folders as `filepath` says, here or one folder down

    {"images": [{"filepath": "val2014", "filename": "COCO_val2014_000000391895.jpg",
                 "cocoid": 391895, "split": "test", "imgid": 0, "sentids": [770337],
                 "sentences": [{"raw": "A man on a moped.", "tokens": ["a", "man", ...],
                                "imgid": 0, "sentid": 770337}]}],
     "dataset": "coco"}         `filepath` and `cocoid` for COCO only

Source: Karpathy and Fei-Fei, CVPR 2015. A picture's id is its COCO id, or its name without the
suffix where there is none; a caption's is `<image_id>#<sentid>`. Quirks, and what becomes of them:
    split `restval`, the rest of val2014             handed on: ingest.restval
    a sentence without `raw`, the words as written   its tokens are joined; told as repaired
    a picture listed twice in one split              the second is dropped, duplicate_id; what
                                                     sentences it adds stay with the picture
    a picture in two splits                          stays in the first; dropped: two_splits
    the three files in one folder, as they are       refused: only people know which pictures
        packed together                              are there
dataset_coco.json (144 MB, 123,287 pictures, 616,767 sentences) takes 9 s and 0.7 GB to read.
"""

import posixpath
from collections.abc import Sequence
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
    RESTVAL,
    Layout,
    ListedCaption,
    ListedImage,
    Listing,
    Reason,
    is_storable,
)
from pipeline.datasets.pictures import SPLIT_NAMES, find_folder, id_of, unlisted
from pipeline.errors import InputError

PATTERN = "dataset_*.json"
FOLDERS = ("", "annotations")
# Files that Hugging Face and TensorFlow Datasets put beside their own data.
OTHERS = {"dataset_dict.json", "dataset_info.json", "dataset_infos.json"}
FORM = '{"images": [...]} as Karpathy\'s dataset_coco.json has it'
SPLITS = SPLIT_NAMES | {RESTVAL: RESTVAL}


def recognises(raw: Path) -> bool:
    """Tell whether the folder holds a file called as Karpathy calls his."""
    return bool(_files(raw))


def read(raw: Path) -> Listing:
    """Read the one file of the folder.

    Raises:
        InputError: there are several such files, the file is not of the form, it lists no
            pictures, or no folder holds them.
    """
    path = _only(raw)
    entries = entries_of(path, load(path, _without_tokens), "images", FORM)
    listing = Listing()
    named = _read_images(path.name, entries, listing)
    folder = find_folder(raw, named, str(path))
    listing.images = [
        image._replace(path=posixpath.join(folder, image.path)) for image in listing.images
    ]
    for beside in unlisted(raw, [posixpath.join(folder, name) for name in named]):
        listing.drop("image", beside, beside, "not_listed", beside)
    return listing


def _files(raw: Path) -> list[Path]:
    everywhere = [path for folder in FOLDERS for path in (raw / folder).glob(PATTERN)]
    return sorted(path for path in everywhere if path.name not in OTHERS and path.is_file())


def _only(raw: Path) -> Path:
    found = _files(raw)
    if len(found) == 1:
        return found[0]
    received = ", ".join(path.name for path in found) or "none"
    raise InputError(
        f"{raw}: expected one file {PATTERN} (Karpathy's layout). Received: {received}. Keep the"
        " one whose pictures are there"
    )


def _without_tokens(entry: dict[str, Any]) -> dict[str, Any]:
    """Throw away the tokens of a sentence that has its text: they are half of the memory."""
    if isinstance(entry.get("raw"), str):
        entry.pop("tokens", None)
    return entry


def _read_images(file: str, entries: Sequence[Any], listing: Listing) -> dict[str, None]:
    """Read all entries; return the paths that they name, dropped ones' included, in order."""
    named: dict[str, None] = {}
    known = KnownPictures()
    caption_ids: set[str] = set()
    for number, entry in enumerate(entries):
        source = f"{file}:images[{number}]"
        image, reason = _parse(entry, source)
        if image.path and reason != "encoding":
            named[image.path] = None
        belongs = reason is None
        if reason is None and (earlier := known.add(image)) is not None:
            reason = why_twice(earlier, image)
            belongs = earlier._replace(source=source) == image
        if reason is None:
            listing.images.append(image)
        else:
            listing.drop("image", image.image_id or source, source, reason, as_found(entry))
        _read_sentences(image, _sentences(entry), belongs, caption_ids, listing)
    return named


def _parse(entry: Any, source: str) -> tuple[ListedImage, Reason | None]:
    """Take an entry apart; where it is unusable, what is known of it comes with the reason."""
    if not isinstance(entry, dict):
        return ListedImage("", "", None, source), "broken_line"
    folder, number, written = entry.get("filepath"), entry.get("cocoid"), entry.get("split")
    path = path_of("" if folder is None else folder, entry.get("filename"))
    image_id = str(number) if is_id(number) else id_of(path)
    split = SPLITS.get(written.strip().lower()) if isinstance(written, str) else None
    image = ListedImage(image_id, path, split, source)
    if not is_storable(path):
        return image, "encoding"
    if not path or not (is_id(number) or number is None) or not _has_sentences(entry):
        return image, "broken_line"
    return image, None if split else "unknown_split"


def _has_sentences(entry: dict[str, Any]) -> bool:
    return isinstance(entry.get("sentences"), list)


def _sentences(entry: Any) -> list[Any]:
    return entry["sentences"] if isinstance(entry, dict) and _has_sentences(entry) else []


def _read_sentences(
    image: ListedImage,
    sentences: Sequence[Any],
    belongs: bool,
    caption_ids: set[str],
    listing: Listing,
) -> None:
    """Read the sentences of a picture; drop all of one that is left out."""
    for number, sentence in enumerate(sentences):
        source = f"{image.source}.sentences[{number}]"
        caption, reason = _parse_sentence(image.image_id, sentence, source)
        if not belongs:
            reason = "picture_dropped"
        elif reason is None and caption.caption_id in caption_ids:
            reason = "duplicate_id"
        if reason is not None:
            item = caption.caption_id or source
            listing.drop("caption", item, source, reason, as_found(sentence))
            continue
        if sentence.get("raw") is None:
            listing.drop("caption", caption.caption_id, source, "repaired", as_found(sentence))
        caption_ids.add(caption.caption_id)
        listing.captions.append(caption)


def _parse_sentence(
    image_id: str, sentence: Any, source: str
) -> tuple[ListedCaption, Reason | None]:
    """Take a sentence apart; where it is unusable, what is known of it comes with the reason."""
    number = sentence.get("sentid") if isinstance(sentence, dict) else None
    if not is_id(number):
        return ListedCaption(image_id, "", "", source), "broken_line"
    text = sentence.get("raw")
    if text is None:
        text = _joined(sentence.get("tokens"))
    caption_id = f"{image_id}#{number}" if image_id else ""
    return ListedCaption(image_id, caption_id, text, source), why_unusable(text)


def _joined(tokens: Any) -> str | None:
    """Join the words of a sentence; None where there are none to be joined."""
    if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
        return None
    return " ".join(tokens)


KARPATHY = Layout(
    name="karpathy",
    looks_for="dataset_flickr8k.json, dataset_flickr30k.json or dataset_coco.json",
    recognises=recognises,
    read=read,
)
