"""Write files so that a half-made one never has a final name, and equal content equal bytes."""

import errno
import hashlib
import json
import math
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from pipeline.errors import InputError

_OLD = "replaced"  # in the name of a folder whose place another is about to take
_UNFINISHED = re.compile(rf"\.(\d+)\.(?:partial|{_OLD})\.(.+)", re.DOTALL)  # see `_unfinished`
# What systems say to those who write: no room, a quota, a bound, no right to.
REFUSALS = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG),
    *(errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO),
)
SEAL = "sha256"
BLOCK = 1 << 20  # bytes read at once


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` when the block ends well.

    The temporary file has the suffix of `path`, as some writers choose their format by it. After
    an error it is removed, and what stood at `path` before is untouched. What killed processes
    left half written in the folder is removed the first time that a process writes there.

    Raises:
        OSError: it could not be written; its `filename` is `path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _clean_once(path.parent.absolute())
    temporary = _unfinished(path)
    try:
        with _named(path, temporary):
            yield temporary
            temporary.replace(path)
    finally:
        _remove(temporary)


@contextmanager
def folder_written_whole(path: Path) -> Iterator[Path]:
    """Yield an empty temporary folder beside `path`; it takes the place of `path` at the end.

    No system replaces a folder in one step: the old one is renamed first, and removed last. Who
    is killed in between leaves no folder of that name, but both whole; `restore_folder` gives the
    old one its name again.

    Raises:
        OSError: as for `written_whole`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    restore_folder(path)
    remove_unfinished(path.parent, path.name)
    temporary = _unfinished(path)
    try:
        with _named(path, temporary):
            temporary.mkdir()
            yield temporary
            _take_place(temporary, path)
    finally:
        _remove(temporary)


def restore_folder(path: Path) -> None:
    """Give a folder its name again that a process was about to replace when it was killed."""
    if path.exists() or not path.parent.is_dir():
        return
    for left in _left_in(path.parent, path.name):
        if left.path.name.startswith(f".{left.process}.{_OLD}.") and not _runs(left.process):
            with suppress(OSError):  # another process was faster
                left.path.rename(path)


def remove_unfinished(folder: Path, name: str = "") -> None:
    """Remove what killed processes left in `folder`: all of it, or what was to be `name`."""
    for left in _left_in(folder, name):
        if not _runs(left.process):
            _remove(left.path)


def put_right(folder: Path) -> list[Path]:
    """Restore and remove whatever killed processes left in `folder`; return what that was."""
    found = [left for left in _left_in(folder) if not _runs(left.process)]
    for left in found:
        restore_folder(folder / left.name)
    remove_unfinished(folder)
    return [left.path for left in found if not os.path.lexists(left.path)]


@contextmanager
def _named(path: Path, temporary: Path) -> Iterator[None]:
    """Let an error say which path could not be written, as people know it.

    Some libraries tell of a full disk by errors of their own kind, some without the file's name.
    """
    try:
        yield
    except InputError:  # which says where it is from
        raise
    except Exception as error:
        number = error.errno if isinstance(error, OSError) else None
        told = getattr(error, "filename", None)
        if told is not None and not str(told).startswith(str(temporary)):
            raise  # it is of another file
        number = number or next((one for one in REFUSALS if os.strerror(one) in str(error)), None)
        if number is None:
            raise
        raise OSError(number, os.strerror(number), str(path)) from error


def _take_place(new: Path, path: Path) -> None:
    """Put a whole folder where another may be, whoever else does the same at the same time."""
    old = path.with_name(f".{os.getpid()}.{_OLD}.{path.name}")
    while True:
        with suppress(FileNotFoundError):
            path.rename(old)
        try:
            new.rename(path)
            break
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                with suppress(FileNotFoundError):
                    old.rename(path)
                raise
            _remove(old)  # another process has put its own there meanwhile: that goes, too
    _remove(old)


@cache
def _clean_once(folder: Path) -> None:
    """Remove what others left; our own number may be that of a file being written right now."""
    for left in _left_in(folder):
        if left.process != os.getpid() and not _runs(left.process):
            _remove(left.path)


class _Left(NamedTuple):
    """A file or folder that is not whole yet, or not any more.

    Attributes:
        path: where it is.
        process: the number of the one that wrote it.
        name: that it was to have, or had.
    """

    path: Path
    process: int
    name: str


def _left_in(folder: Path, name: str = "") -> list[_Left]:
    """List what is left in a folder: all of it, or what was to be `name`."""
    try:
        names = sorted(path.name for path in folder.iterdir())
    except OSError:  # absent, or not ours to read: then there is nothing that we could remove
        return []
    found = [(_UNFINISHED.fullmatch(one), folder / one) for one in names]
    return [_Left(path, int(m[1]), m[2]) for m, path in found if m and name in ("", m[2])]


def _remove(path: Path) -> None:
    """Remove a file, a link or a folder, if it is there and can be removed."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


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


def write_sealed(path: Path, content: dict[str, Any]) -> None:
    """Write JSON as `write_json` does, with a hash of itself under the key `sha256`."""
    write_json(path, {**content, SEAL: _seal(json.loads(json.dumps(content)))})


def unsealed(data: bytes) -> bytes:
    """Take the hash off what `write_sealed` wrote; JSON that has none is given back as it is.

    Raises:
        ValueError: the hash is not that of the content.
    """
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        return data  # for who reads it to tell
    if not isinstance(content, dict) or SEAL not in content:
        return data
    if content.pop(SEAL) != _seal(content):
        raise ValueError("bytes that are not those that were written: the file is damaged")
    return json.dumps(content).encode()


def _seal(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


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


def is_plain(name: str) -> bool:
    """Whether a name stays in the folder on every system, and is spelt in one way only."""
    parts = name.split("/")
    return (
        name.isprintable()
        and not any(sign in name for sign in '\\:*?"<>|')
        and all(part.strip(" .") == part and part for part in parts)
        and str(PurePosixPath(name)) == name
    )
