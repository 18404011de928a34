"""Lines of text files made by anyone, on any system."""

import codecs
from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import InputError


def physical_lines(path: Path) -> list[str]:
    r"""Read a file as lines with their ends; bytes that are not UTF-8 become lone surrogates.

    Lines end with a line feed alone: `str.splitlines` would cut at characters that are part of a
    caption. A byte-order mark is taken off. `layout.is_storable` tells a line that is not UTF-8.

    Raises:
        InputError: the file cannot be read.
    """
    lines = _lines(path)
    return [line + "\n" for line in lines[:-1]] + lines[-1:]


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield each line that is not blank, without its end, and its number from 1.

    Raises:
        InputError: the file cannot be read.
    """
    for number, line in enumerate(_lines(path), start=1):
        if line and not line.isspace():
            yield number, line.removesuffix("\r")


def _lines(path: Path) -> list[str]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    content = content.removeprefix(codecs.BOM_UTF8)
    return content.decode("utf-8", "surrogateescape").split("\n")
