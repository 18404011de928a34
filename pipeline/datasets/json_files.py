"""What the readers of data sets in JSON share: one large file, not a line an entry.

A file is parsed as a whole, so one that is cut off or nested too deeply cannot be read at all.
Whatever else is wrong with an entry costs that entry alone: bytes that are not UTF-8 become lone
surrogates, as in `lines.py`, and NaN or text where an id should be is found by `is_id`.
"""

import codecs
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, TypeGuard

from pipeline.datasets.layout import ListedImage, Reason, is_storable
from pipeline.errors import InputError

TOLD = 500  # characters of an entry that are written into dropped.parquet
KINDS = {list: "a list", str: "text", bool: "true or false", int: "a number", float: "a number"}


def load(path: Path, hook: Callable[[dict[str, Any]], Any] | None = None) -> Any:
    """Parse a JSON file.

    Args:
        path: The file.
        hook: Called with every object as soon as it is read, its return value taking the object's
            place; it can throw away what nobody needs before all of it is in memory.

    Raises:
        InputError: the file cannot be read, or is not JSON from its first byte to its last.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    text = content.removeprefix(codecs.BOM_UTF8).decode("utf-8", "surrogateescape")
    del content  # as large as the text
    try:
        return json.loads(text, object_hook=hook)
    except RecursionError as error:
        raise _not_json(path, "one nested too deeply") from error
    except ValueError as error:
        raise _not_json(path, str(error) if text.strip() else "an empty file") from error


def entries_of(path: Path, content: Any, key: str, form: str) -> list[Any]:
    """Take the list `key` out of a parsed file.

    Args:
        path: The file, for the error.
        content: What `load` returned.
        key: The list's name.
        form: What such a file looks like, told to people.

    Raises:
        InputError: the file is no object, or has no such list.
    """
    entries = content.get(key) if isinstance(content, dict) else None
    if isinstance(entries, list):
        return entries
    received = _kind_of(content)
    if isinstance(content, dict) and key in content:
        received = f'"{key}" as {_kind_of(entries)}'
    raise InputError(
        f"{path}: expected {form}. Received: {received}. Put the file as it was published there"
    )


def is_id(value: Any) -> TypeGuard[int]:
    """Tell a whole number from all else that JSON has; Python takes `true` for 1."""
    return isinstance(value, int) and not isinstance(value, bool)


def path_of(*parts: Any) -> str:
    """Put the parts of a picture's path together as they are written, without `//` and `./`.

    An absolute path and a `..` stay, for `ingest` to refuse them.

    Returns:
        "" where a part is no text, or the last, the name, is blank.
    """
    if not all(isinstance(part, str) for part in parts) or not parts[-1].strip():
        return ""
    return str(PurePosixPath(*parts))


def as_found(entry: Any) -> str:
    """Write an entry for dropped.parquet, cut to `TOLD` characters."""
    try:
        return json.dumps(entry, ensure_ascii=False)[:TOLD]
    except RecursionError:  # it could just be read, and takes more depth to be written
        return "..."


@dataclass(slots=True)
class KnownPictures:
    """The pictures that were read so far: none may come again, under its id or as its file."""

    by_id: dict[str, ListedImage] = field(default_factory=dict)
    by_path: dict[str, ListedImage] = field(default_factory=dict)

    def add(self, image: ListedImage) -> ListedImage | None:
        """Note a picture, or return the earlier one that has its id or its path."""
        known = self.by_id.get(image.image_id) or self.by_path.get(image.path)
        if known is None:
            self.by_id[image.image_id] = self.by_path[image.path] = image
        return known


def why_twice(known: ListedImage, image: ListedImage) -> Reason:
    """Say why a picture that is known already is dropped."""
    return "duplicate_id" if known.split == image.split else "two_splits"


def why_unusable(text: Any) -> Reason | None:
    """Say why a value is no caption; None where it is one."""
    if not isinstance(text, str):
        return "broken_line"
    if not is_storable(text):
        return "encoding"
    return None if text.strip() else "empty_caption"


def _not_json(path: Path, received: str) -> InputError:
    return InputError(
        f"{path}: expected JSON in UTF-8. Received: {received}. The file may be cut off or damaged:"
        " fetch it again"
    )


def _kind_of(value: Any) -> str:
    if isinstance(value, dict):
        keys = ", ".join(repr(key[:40]) for key in list(value)[:10])
        return f"an object with {keys}" if keys else "an empty object"
    return KINDS.get(type(value), "null")
