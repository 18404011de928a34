"""Write files so that a half-made one never has a final name, and equal content equal bytes."""

import hashlib
import json
import math
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_UNFINISHED = re.compile(r"\.(\d+)\.partial\.")  # see `_unfinished`
BLOCK = 1 << 20  # bytes read at once


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` when the block ends well.

    The temporary file has the suffix of `path`, as some writers choose their format by it. After
    an error it is removed, and what stood at `path` before is untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _unfinished(path)
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def folder_written_whole(path: Path) -> Iterator[Path]:
    """Yield an empty temporary folder beside `path`; it takes the place of `path` at the end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _unfinished(path)
    try:
        shutil.rmtree(temporary, ignore_errors=True)  # of a killed process with the same number
        temporary.mkdir()
        yield temporary
        if path.exists():
            shutil.rmtree(path)
        temporary.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def remove_unfinished(folder: Path, name: str = "") -> None:
    """Remove what killed processes left half written in `folder`, under names ending in `name`."""
    for path in folder.glob(f".*.partial.*{name}"):
        found = _UNFINISHED.match(path.name)
        if found and not _runs(int(found[1])):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def _runs(process: int) -> bool:
    """Whether another process has that number; our own has nothing half written when it asks."""
    if process == os.getpid():
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _unfinished(path: Path) -> Path:
    """Name the file or folder that will be `path`: hidden, with the number of our process."""
    return path.with_name(f".{os.getpid()}.partial.{path.name}")


def write_json(path: Path, content: Any) -> None:
    """Write `content` as JSON with sorted keys, two spaces of indent and a final newline."""
    text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n")


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text; lines end with a line feed on every system."""
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write one JSON object a line, keys sorted."""
    lines = (json.dumps(row, sort_keys=True, ensure_ascii=False, allow_nan=False) for row in rows)
    write_text(path, "".join(line + "\n" for line in lines))


def sha256_of(path: Path, offset: int = 0, length: int | None = None) -> str:
    """Hash a file's bytes, or `length` of them from `offset` on, as 64 hexadecimal digits.

    Memory is constant. A file that ends before `length` gives the hash of what there is.
    """
    digest = hashlib.sha256()
    left = math.inf if length is None else length
    with path.open("rb") as stream:
        stream.seek(offset)
        while left > 0 and (block := stream.read(int(min(BLOCK, left)))):
            digest.update(block)
            left -= len(block)
    return digest.hexdigest()
