"""How a file of pretrained word vectors is laid out: its format, its width, where words begin.

    GloVe             a line a word: the word and its numbers, `dog 0.11 -0.52 ...`
    word2vec, .vec    the same after a first line `words width`; fastText's .vec is such a file
    word2vec binary   that first line, then for each word `dog `, its numbers as little-endian
                      float32, and a line feed that some writers leave out

Only the beginning of a file is looked at. The formats' sources: Pennington et al. 2014 (GloVe),
Mikolov et al. 2013 (word2vec), Bojanowski et al. 2017 (fastText).
"""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline.errors import InputError

Format = Literal["auto", "glove", "word2vec", "word2vec_binary"]

HEAD = 1 << 20  # bytes that are looked at
MAX_WIDTH = 10_000  # numbers of a word; what is published has at most 1,024
SHOWN = 60  # characters of a line that an error quotes
BLANK = b" \t\r\n"

_HEADER = re.compile(rb"[ \t]*(\d{1,18})[ \t]+(\d{1,18})[ \t]*\r?\n")
_UTF8_MARK = b"\xef\xbb\xbf"
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_PICKLE = "a pickle. Save the vectors as word2vec text or binary"
_OTHER_FILES = {  # how files begin that are taken for vectors by mistake, and what to do
    b"\xba\x16\x4f\x2f": "a fastText model (.bin). Use the .vec file that is offered beside it",
    b"PK\x03\x04": "a zip archive. Unpack it, and name a file that was in it",
    b"BZh": "a file compressed by bzip2. Unpack it",
    b"\xfd7zXZ\x00": "a file compressed by xz. Unpack it",
    b"\x93NUMPY": "an array of NumPy, which has no words. Use the text or the binary file",
    b"\x80\x02": _PICKLE,
    b"\x80\x03": _PICKLE,
    b"\x80\x04": _PICKLE,
    b"\x80\x05": _PICKLE,
    b"\xff\xfe": "text in UTF-16. Save it as UTF-8",
    b"\xfe\xff": "text in UTF-16. Save it as UTF-8",
    b"version https://git-lfs": "a pointer of Git LFS. Fetch the file itself: git lfs pull",
}


@dataclass(frozen=True)
class Layout:
    """How a file is laid out."""

    binary: bool
    width: int  # numbers of a word, 1 to MAX_WIDTH
    count: int | None  # words, as the first line says; None without such a line
    start: int  # bytes before the first word


def find_layout(path: Path, file_format: Format, head: bytes) -> Layout:
    """Find the layout of a file from its first HEAD bytes, unpacked.

    Raises:
        InputError: it is another kind of file, or not of the format named.
    """
    for beginning, what in _OTHER_FILES.items():
        if head.startswith(beginning):
            raise InputError(f"{path}: expected a file of word vectors. Received: {what}")
    mark = len(_UTF8_MARK) if head.startswith(_UTF8_MARK) else 0
    if not head[mark:].strip():
        raise InputError(f"{path}: expected a file of word vectors. Received: no content")
    header = _HEADER.match(head, mark)
    if file_format == "glove":
        return _glove(path, head, mark, header)
    if header:
        return _with_header(path, file_format, head, header)
    if file_format == "auto":
        return _glove(path, head, mark, None)
    raise InputError(
        f"{path}, line 1: expected the number of words and the width, as in '400000 300'. "
        f"Received: {shown(head)}. Where there is no such line, write "
        "vocabulary.embeddings.format: glove"
    )


def _glove(path: Path, head: bytes, start: int, header: re.Match[bytes] | None) -> Layout:
    """Take the width from the lines; a first line of word2vec is stepped over."""
    if header and _width_of(_lines_of(head, header.end())) == int(header[2]):
        return _with_header(path, "word2vec", head, header)
    width = _width_of(_lines_of(head, start))
    if not width:
        raise InputError(
            f"{path}, line 1: expected a word and its numbers. Received: {shown(head[start:])}"
        )
    return Layout(binary=False, width=width, count=None, start=start)


def _with_header(path: Path, file_format: Format, head: bytes, header: re.Match[bytes]) -> Layout:
    """Read the first line; unless told, text is known from binary by what follows it."""
    count, width, start = int(header[1]), int(header[2]), header.end()
    if not (count and 1 <= width <= MAX_WIDTH):
        raise InputError(
            f"{path}, line 1: expected the number of words and a width of 1 to {MAX_WIDTH}. "
            f"Received: {shown(head)}"
        )
    vectors = any(_numbers_at_end(line) == width for line in _lines_of(head, start))
    binary = file_format == "word2vec_binary"
    if binary and vectors:
        raise InputError(
            f"{path}: expected words and {width} numbers each in binary. Received: lines of text. "
            "Write vocabulary.embeddings.format: word2vec"
        )
    if file_format == "auto":
        binary = not vectors and not _is_text(head[start:])
    return Layout(binary, width, count, start)


def _is_text(content: bytes) -> bool:
    """Whether bytes are UTF-8 without control characters, as numbers in float32 hardly ever are."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.end < len(content):  # more than a letter that the end of the head cuts in two
            return False
        text = content[: error.start].decode("utf-8")
    return not _CONTROLS.search(text)


def _lines_of(head: bytes, start: int) -> list[bytes]:
    """The whole lines from `start` on, 1,000 at most."""
    lines = head[start:].split(b"\n", 1000)
    cut = len(head) == HEAD or len(lines) > 1000
    return lines[:-1] if cut else lines


def _width_of(lines: list[bytes]) -> int:
    """How many numbers most lines end in, the fewest of equally many; 0 for none."""
    widths = Counter(_numbers_at_end(line) for line in lines)
    del widths[0]
    return min(widths, key=lambda width: (-widths[width], width), default=0)


def _numbers_at_end(line: bytes) -> int:
    """Count the numbers that a line ends in, its first word left out; 0 for too many."""
    number = 0
    for field in reversed(fields_of(line)[1:]):
        if not is_number(field):
            break
        number += 1
    return number if number <= MAX_WIDTH else 0


def fields_of(line: bytes) -> list[bytes]:
    """Split a line at its spaces and tabs. Words have other separators in them, as form feeds."""
    return [field for field in line.replace(b"\t", b" ").split(b" ") if field]


def is_number(field: bytes) -> bool:
    """Whether some bytes are a number, NaN and the infinities among them."""
    try:
        float(field)
    except ValueError:
        return False
    return b"_" not in field  # Python reads 1_000


def shown(content: bytes) -> str:
    """Quote the first line of some bytes, cut."""
    line = content[: 4 * SHOWN].split(b"\n")[0].decode("utf-8", errors="replace")
    return repr(line if len(line) <= SHOWN else line[:SHOWN] + "...")
