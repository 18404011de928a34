"""The names of picture files: ids from names, and the folder that holds the names of a list."""

import os
import posixpath
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from itertools import chain
from pathlib import Path

from pipeline.errors import InputError
from pipeline.tables import SPLITS

PICTURE_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".webp", ".bmp"),
    *(".tif", ".tiff", ".pgm", ".ppm", ".pbm"),
)
# Column names under which tables give a picture; the first that is there is taken.
PICTURE_COLUMNS = (
    *("path", "file_name", "filename", "file", "image", "image_name", "picture", "image_id"),
)
SPLIT_NAMES = {name: name for name in SPLITS} | {
    "training": "train",
    "valid": "val",
    "validation": "val",
    "dev": "val",
}
NORMALISED = (
    " Its name looks the same and is written otherwise, as macOS does (Unicode NFD, not NFC):"
    " rename the files, or take the names of the list from them."
)
CAPITALS = " Small and capital letters are not the same."
SAMPLE = 64  # names that are looked up to find the folder they are in


def id_of(name: str) -> str:
    """Take the picture suffix off: `a/b.jpg` -> `a/b`; `c.jpg.1`, which is no picture, stays."""
    stem, _, suffix = name.rpartition(".")
    if f".{suffix.lower()}" not in PICTURE_SUFFIXES:
        return name
    is_hidden = not stem.rpartition("/")[2].strip(".")  # `.jpg` is a name without a suffix
    return name if is_hidden else stem


def is_picture(cell: str) -> bool:
    """Tell whether a cell of a list, in quotes or not, is the name of a picture file."""
    name = cell.strip().strip('"').strip()
    return id_of(name) != name


def begins_with_picture(line: str, separator: str) -> bool:
    """Tell whether a line begins with the name of a picture file and the separator."""
    name, found, _ = line.partition(separator)
    return bool(found) and is_picture(name)


def find_folder(raw: Path, names: Collection[str], told_by: str, called: str = "") -> str:
    """Find the folder, two levels deep at most, that holds the pictures that a list names.

    Of folders that hold as many, such as one of smaller copies, the one called `called` is taken,
    else the outermost.

    Returns:
        Its path relative to `raw`, with /; "" for `raw` itself.

    Raises:
        InputError: no folder holds any of them, several side by side hold as many, or there are no
            names.
    """
    if not names:
        raise InputError(f"{told_by}: expected the names of pictures. Received: none")
    ordered = list(names)
    for wanted in (ordered[:: max(1, len(ordered) // SAMPLE)], ordered):
        fullest = _fullest(raw, wanted)
        if fullest:
            return _only_one(raw, fullest, told_by, called)
    looked_in = ", ".join(folder or "." for folder in _folders(raw))
    example, there = _shortened(repr(ordered[0])), _there(raw, ordered[0])
    raise InputError(
        f"{raw}: expected a folder with the pictures that {told_by} names, such as"
        f" {example}. None of the {len(ordered):,} is in: {_shortened(looked_in)}.{there}"
        " Names are written as the files are, with suffix, relative to one of these folders"
    )


def _there(raw: Path, wanted: str) -> str:
    """Show a picture file that is there; one whose name looks the same, if there is any."""
    there = [
        posixpath.join(folder, name) for folder in _folders(raw) for name in names_in(raw / folder)
    ]
    return look_alike([wanted], there) or (f" There is {there[0]!r}." if there else "")


def look_alike(wanted: Sequence[str], there: Sequence[str]) -> str:
    """Tell of a file whose name looks like one that is wanted; "" where there is none."""
    for same, told in ((_composed, NORMALISED), (str.casefold, CAPITALS)):
        names = {same(posixpath.basename(path)): path for path in reversed(there)}
        for path in wanted:
            found = names.get(same(posixpath.basename(path)))
            if found is not None:
                return f" There is {found!r}.{told}"
    return ""


def _composed(name: str) -> str:
    """Write a letter and its accent as one character, where there is one."""
    return unicodedata.normalize("NFC", name)


def names_in(folder: Path) -> list[str]:
    """List the picture files of a folder by name, sorted; folders below it are not looked at."""
    try:
        names = os.listdir(folder)  # noqa: PTH208 - Path objects cost more than all the rest
    except (OSError, ValueError):  # ValueError: a name that no file can have
        return []
    return sorted(name for name in names if id_of(name) != name)


def names_beside(folder: Path, paths: Collection[str]) -> Iterator[str]:
    """Yield the picture files that lie where those of `paths` do, themselves included.

    Args:
        folder: that the paths are relative to, with /; folders outside it are not looked into.
        paths: of pictures, be they there or not.
    """
    for beside in sorted({posixpath.dirname(path) for path in paths}):
        if beside.startswith("/") or ".." in beside.split("/") or "\0" in beside:
            continue
        yield from (posixpath.join(beside, name) for name in names_in(folder / beside))


def unlisted(raw: Path, paths: Collection[str]) -> Iterator[str]:
    """Yield the picture files that lie beside those of `paths`, and are not of them.

    Args:
        raw: The data set's folder.
        paths: Relative to it, with /. Folders outside it are not looked into.
    """
    listed = set(paths)
    return (path for path in names_beside(raw, listed) if path not in listed)


def _fullest(raw: Path, names: list[str]) -> list[str]:
    """Find the folders that hold most of the names, the outermost first."""
    held = {f: sum(_holds(raw / f, name) for name in names) for f in _folders(raw)}
    most = max(held.values())
    return [folder for folder, count in held.items() if most and count == most]


def _only_one(raw: Path, folders: list[str], told_by: str, called: str) -> str:
    """Choose of folders that hold as many of the pictures."""
    for folder in folders:
        if called and posixpath.basename(folder) == called:
            return folder
    first = folders[0]
    beside = [f for f in folders if f and f.count("/") == first.count("/")] if first else []
    if len({(raw / folder).resolve() for folder in beside}) > 1:
        raise InputError(
            f"{raw}: expected one folder with the pictures that {told_by} names. Received several,"
            f" with as many of them each: {_shortened(', '.join(beside))}. Take the others out of"
            f" {raw}, or write the folder before the names: {beside[0]}/..."
        )
    return first


def _holds(folder: Path, name: str) -> bool:
    if name.startswith("/") or ".." in name.split("/") or "\0" in name:
        return False
    return os.path.lexists(f"{folder}/{name}")


def _folders(raw: Path) -> Iterator[str]:
    """Yield `raw` itself (as ""), the folders in it, and the folders in those."""
    first = _folders_in(raw)
    second = (f"{name}/{below}" for name in first for below in _folders_in(raw / name))
    return chain([""], first, second)


def _folders_in(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(e.name for e in entries if e.is_dir() and not e.name.startswith("."))
    except OSError:
        return []


def _shortened(text: str, limit: int = 200) -> str:
    return text if len(text) <= limit else text[:limit] + " ..."
