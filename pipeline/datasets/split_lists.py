"""Lists of the pictures of each split, one picture a line, as Flickr8k and Flickr30k have them.

A line is the name of a picture, or its id: the name without suffix, as Flickr30k Entities has it.
Lists of all three splits are needed or of none. A picture in two lists stays in the first of train,
val, test and is dropped from the later: to train and to test on the same picture would be worse
than either.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.datasets.layout import ListedImage, Listing, Reason, is_storable
from pipeline.datasets.lines import numbered_lines
from pipeline.datasets.pictures import PICTURE_COLUMNS, id_of
from pipeline.errors import InputError

Patterns = Mapping[str, tuple[str, ...]]  # split -> what its list may be called

FLICKR8K_LISTS: Patterns = {
    "train": ("*.trainImages.txt",),
    "val": ("*.devImages.txt",),
    "test": ("*.testImages.txt",),
}
FLICKR30K_LISTS: Patterns = {
    split: (f"{split}.txt", f"flickr30k_{split}.txt") for split in ("train", "val", "test")
}


def find_lists(raw: Path, captions: Path, patterns: Patterns) -> dict[str, Path]:
    """Find the list of each split in the data set's folder, or beside its file of captions.

    Returns:
        The lists by split; none where the data set has no lists at all.

    Raises:
        InputError: some of the lists are absent and others are not, or one is there twice.
    """
    folders = dict.fromkeys((raw, captions.parent))
    found = {
        split: [p for folder in folders for name in names for p in matching_files(folder, name)]
        for split, names in patterns.items()
    }
    if not any(found.values()):
        return {}
    for split, paths in found.items():
        if len(paths) != 1:
            received = ", ".join(path.name for path in paths) or "none"
            raise InputError(
                f"{raw}: expected one file {' or '.join(patterns[split])} beside the lists of the"
                f" other splits. Received: {received}. Leave one list of each split there; or none"
                " at all, to have pictures split by a hash"
            )
    return {split: paths[0] for split, paths in found.items()}


def matching_files(folder: Path, pattern: str) -> list[Path]:
    """List the files whose names match, but for hidden ones such as macOS lays beside others."""
    found = sorted(folder.glob(pattern))
    return [path for path in found if path.is_file() and not path.name.startswith(".")]


def read_lists(
    raw: Path, lists: Mapping[str, Path], names: Sequence[str], listing: Listing
) -> None:
    """Read the pictures of each split; the paths of `listing.images` are what the lists call them.

    `names` are the names that the captions give: an id in a list stands for the one it is of.

    Raises:
        InputError: a list cannot be read.
    """
    listing.splits = set(lists)
    name_of = {id_of(name): name for name in reversed(names)}
    name_of.update(zip(names, names, strict=True))
    splits: dict[str, str] = {}
    for split, path in lists.items():
        told = path.relative_to(raw).as_posix()
        for position, (number, line) in enumerate(numbered_lines(path)):
            written = line.strip()
            # With a suffix it is a name, even where another picture's id is spelt like it.
            image_id = id_of(written)
            name = written if image_id != written else name_of.get(written, written)
            reason = _why_dropped(written, name, split, splits, is_first=position == 0)
            if reason is not None:
                listing.drop("image", written, f"{told}:{number}", reason, line)
                continue
            splits[name] = split
            if name != written:
                image_id = id_of(name)
            listing.images.append(ListedImage(image_id, name, split, f"{told}:{number}"))


def _why_dropped(
    written: str, name: str, split: str, splits: Mapping[str, str], *, is_first: bool
) -> Reason | None:
    if not is_storable(written):
        return "encoding"
    if is_first and written.lower() in PICTURE_COLUMNS:
        return "header"
    if name in splits:
        return "duplicate_id" if splits[name] == split else "two_splits"
    return None
