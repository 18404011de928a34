"""Read pretrained word vectors from a file of any layout in `embedding_layout.py`.

A file, which gzip may have compressed, is read once from its beginning, and only the words asked
for are kept: memory does not grow with the file. Every line's shape is checked, but the numbers of
those words alone. What cannot be used is counted by its reason; a file that is cut off, or of which
much cannot be used, is an InputError.
"""

import gzip
import io
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Literal

import numpy as np
import numpy.typing as npt

from pipeline.errors import InputError
from pipeline.progress import Progress
from pipeline.text.embedding_layout import (
    BLANK,
    HEAD,
    Format,
    Layout,
    fields_of,
    find_layout,
    is_number,
    shown,
)

Vector = npt.NDArray[np.float32]  # (width,)
Skipped = Literal["broken", "duplicate", "not_finite", "not_utf8", "with_spaces"]

SKIPPED: tuple[Skipped, ...] = ("broken", "duplicate", "not_finite", "not_utf8", "with_spaces")
MAX_LINE = 1 << 20  # bytes of a line of text; 300 numbers take 3,000
MAX_WORD = 1 << 12  # bytes of a word in a binary file
MAX_BROKEN = 0.01  # share of broken lines above which a file is not taken
FEW_BROKEN = 10  # broken lines that are taken in any case
BLOCK = 1 << 20  # bytes read at once; more than a binary word and its numbers
TELL_EVERY = 10_000  # words between two looks at the clock


@dataclass(frozen=True)
class VectorFile:
    """What was read of a file.

    `rows` has the vectors that were asked for, float32 (width,), all finite. `words` is how many
    the file has, and `skipped` how many of its lines or words were of no use, by reason:

        broken       a line that is not a word and `width` numbers
        duplicate    a word asked for, and kept before: its first vector counts
        not_finite   a word asked for, with a NaN, an infinity or a number beyond float32
        not_utf8     a word that is not UTF-8
        with_spaces  a word with spaces, as some are in GloVe 840B: no token has any

    `first_broken` shows the first broken line with its number; it is empty where none is.
    """

    layout: Layout
    words: int
    rows: dict[str, Vector]
    skipped: dict[Skipped, int]
    first_broken: str


def read_vectors(
    path: Path, file_format: Format, wanted_for: Mapping[str, Sequence[str]]
) -> VectorFile:
    """Read the vectors of some words.

    Args:
        path: the file.
        file_format: one of `Format`; "auto" finds it by looking at the file.
        wanted_for: the spellings to look for, and for each the words that it could stand for. It
            is kept unless all of these have been found before it. A word that is wanted for its
            own sake stands for itself.

    Raises:
        InputError: there is no such file, or it is not a whole file of vectors.
    """
    try:
        with _opened(path) as (stream, file):
            layout = find_layout(path, file_format, stream.read(HEAD))
            stream.seek(layout.start)
            with (progress := _Progress(path, file)):
                kept = _Kept(path, layout, wanted_for, progress)
                (_read_binary if layout.binary else _read_text)(stream, kept)
                progress.look()
    except (OSError, EOFError, zlib.error) as error:
        raise _not_whole(path, error) from error
    return kept.result()


def layout_of(path: Path, file_format: Format) -> Layout:
    """Find the layout of a file, compressed or not, from its beginning alone.

    Args:
        path: the file.
        file_format: one of `Format`; "auto" finds it by looking at the file.

    Raises:
        InputError: there is no such file, or it does not begin as one of vectors.
    """
    try:
        with _opened(path) as (stream, _):
            return find_layout(path, file_format, stream.read(HEAD))
    except (OSError, EOFError, zlib.error) as error:
        raise _not_whole(path, error) from error


def _not_whole(path: Path, error: Exception) -> InputError:
    """The error of a file that cannot be read, or not be unpacked."""
    return InputError(
        f"{path}: expected a whole file of word vectors. Received: "
        f"{' '.join(str(error).split())}. Fetch it again"
    )


@contextmanager
def _opened(path: Path) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """Open a file, compressed or not: yield its content, and the file as it is on the disk."""
    with path.open("rb", BLOCK) as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        if packed:
            with gzip.GzipFile(fileobj=file) as unpacked:
                yield io.BufferedReader(unpacked, BLOCK), file
        else:
            yield file, file


class _Progress(Progress):
    """Tells how far into a file reading is."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        super().__init__("word vectors", path.stat().st_size, "bytes")
        self.file = file

    def look(self) -> None:
        self.advance(self.file.tell() - self.done)


class _Kept:
    """The vectors that are wanted, gathered, and the count of what is skipped."""

    def __init__(
        self,
        path: Path,
        layout: Layout,
        wanted_for: Mapping[str, Sequence[str]],
        progress: _Progress,
    ) -> None:
        self.path, self.layout, self.progress = path, layout, progress
        self.wanted_for = {spelling.encode(): words for spelling, words in wanted_for.items()}
        self.words = 0
        self.rows: dict[str, Vector] = {}
        self.skipped: Counter[Skipped] = Counter()
        self.first_broken = ""

    def wants(self, word: bytes) -> bool:
        """Whether the vector of a word of `wanted_for` is to be kept."""
        if word.decode() in self.rows:
            self.skipped["duplicate"] += 1
            return False
        return any(other not in self.rows for other in self.wanted_for[word])

    def keep(self, word: bytes, vector: Vector) -> None:
        if np.isfinite(vector).all():
            self.rows[word.decode()] = vector
        else:
            self.skipped["not_finite"] += 1

    def broken(self, number: int, line: bytes) -> None:
        self.skipped["broken"] += 1
        if not self.first_broken:
            self.first_broken = f"line {number}: {shown(line)}"

    def count_word(self, word: bytes) -> None:
        self.words += 1
        if not word.isascii() and not _is_utf8(word):
            self.skipped["not_utf8"] += 1
        if not self.words % TELL_EVERY:
            self.progress.look()

    def result(self) -> VectorFile:
        """Tell what was read.

        Raises:
            InputError: much of the file is broken, or there is less of it than it says itself.
        """
        broken, width, count = self.skipped["broken"], self.layout.width, self.layout.count
        lines = self.words + broken
        if count and not lines:
            raise cut_off(self.path, count, lines)
        if not self.words or broken > max(FEW_BROKEN, MAX_BROKEN * lines):
            raise InputError(
                f"{self.path}: expected a word and {width} numbers a line. Received: {broken} of "
                f"{lines} lines that are not, the first {self.first_broken or 'of none'}. Use "
                "another file, or mend this one"
            )
        if count is not None and lines < count:
            raise cut_off(self.path, count, lines)
        skipped: dict[Skipped, int] = {reason: self.skipped[reason] for reason in SKIPPED}
        return VectorFile(self.layout, self.words, self.rows, skipped, self.first_broken)


def cut_off(path: Path, count: int, found: int) -> InputError:
    """The error of a file that ends too early."""
    return InputError(
        f"{path}: expected {count} words, as its first line says. Received: {found}, then the end "
        "of the file. Fetch it again, or, if you have cut it yourself, mend that line"
    )


def _is_utf8(word: bytes) -> bool:
    try:
        word.decode()
    except UnicodeDecodeError:
        return False
    return True


# --- text ---------------------------------------------------------------------------------------


def _read_text(stream: IO[bytes], kept: _Kept) -> None:
    """Read a word a line. Only line feeds end a line: words have other separators in them."""
    width, wanted_for = kept.layout.width, kept.wanted_for
    first = 1 if kept.layout.count is None else 2
    for number, line in enumerate(iter(partial(stream.readline, MAX_LINE), b""), first):
        if len(line) == MAX_LINE and not line.endswith(b"\n"):
            raise InputError(
                f"{kept.path}, line {number}: expected a word and {width} numbers. Received: a "
                f"line longer than {MAX_LINE} bytes, {shown(line)}"
            )
        line = line.rstrip(BLANK)
        plain = (
            line.count(b" ") == width
        )  # looking closer at every line would take ten times as long
        word = line[: line.index(b" ")] if plain else _word_of(line, width)
        if not word:
            if line:
                kept.broken(number, line)
            continue
        if word in wanted_for and kept.wants(word):
            vector = _vector(fields_of(line)[-width:])
            if vector is None:
                kept.broken(number, line)
                continue
            kept.keep(word, vector)
        elif b" " in word:
            kept.skipped["with_spaces"] += 1
        kept.count_word(word)


def _word_of(line: bytes, width: int) -> bytes:
    """The word of a line that is not plainly one; empty where the line is broken.

    Words with spaces in them have numbers from the right, and something else before these:
    `. . . 0.1 0.2 0.3`. A line of nothing but numbers after the word has too many of them.
    """
    fields = fields_of(line)
    if len(fields) <= width or not all(is_number(field) for field in fields[-width:]):
        return b""
    if len(fields) == width + 1:  # more than one space between two fields, or tabs
        return fields[0]
    word = fields[:-width]
    return b"" if all(is_number(field) for field in word[1:]) else b" ".join(word)


def _vector(fields: Sequence[bytes]) -> Vector | None:
    """Turn numbers into float32; None where one is no number."""
    try:
        numbers = [float(field) for field in fields]
    except ValueError:
        return None
    if b"_" in b"".join(fields):  # see `is_number`
        return None
    with np.errstate(over="ignore"):  # becomes an infinity, which is counted
        return np.array(numbers).astype(np.float32)


# --- binary -------------------------------------------------------------------------------------


def _read_binary(stream: IO[bytes], kept: _Kept) -> None:
    """Read as many words as the first line says."""
    size, count = 4 * kept.layout.width, kept.layout.count or 0
    buffer, at = b"", 0
    for number in range(count):
        end = buffer.find(b" ", at)
        if end < 0 or len(buffer) <= end + size:
            buffer, at = buffer[at:] + stream.read(BLOCK), 0
            end = buffer.find(b" ")
        if end - at > MAX_WORD or (end < 0 and len(buffer) > MAX_WORD):
            raise InputError(
                f"{kept.path}: expected a word, a space and {kept.layout.width} numbers in binary. "
                f"Received, after {number} words: {shown(buffer[at:])}. If it is a file of text, "
                "write vocabulary.embeddings.format: word2vec"
            )
        if end < 0 or len(buffer) <= end + size:
            raise cut_off(kept.path, count, number)
        word, at = buffer[at:end].lstrip(b"\r\n"), end + 1 + size
        if word in kept.wanted_for and kept.wants(word):
            kept.keep(word, np.frombuffer(buffer, "<f4", kept.layout.width, end + 1).copy())
        kept.count_word(word)
    rest = (buffer[at:] + stream.read(BLOCK)).strip(BLANK)
    if rest:
        raise InputError(
            f"{kept.path}: expected {count} words of {kept.layout.width} numbers in binary, as its "
            f"first line says. Received: more after these. Fetch the file again"
        )
