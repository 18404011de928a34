"""Give every word of a vocabulary a vector to start from, out of a file of pretrained vectors.

A word's vector is, in this order,

    exact      the file's own
    variant    that of another spelling: t-shirt for tshirt, Dog for dog
    neighbour  that of its stem or of an inflection: frisbee for frisbees
    parts      the mean of its parts, each found in one of these ways: t and shirt; fire and truck
    random     drawn at random, with the mean and the deviation of the vectors found

Inflections come before parts, as the vector of a plural is close to that of its singular, and a
mean of parts is a guess. Of the marks, padding is 0, `<unk>` is the mean of the vectors found (what
a model without that word knows of it: any), and the others are drawn at random.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from pipeline.errors import InputError
from pipeline.text.embedding_files import Vector, VectorFile, read_vectors
from pipeline.text.embedding_layout import Format
from pipeline.text.embedding_spellings import halves, neighbours, parts, variants
from pipeline.text.marks import MARKS, PAD, UNKNOWN
from pipeline.text.vocabulary import Vocabulary

How = Literal["exact", "variant", "neighbour", "parts", "random"]

HOW: tuple[How, ...] = ("exact", "variant", "neighbour", "parts", "random")


@dataclass(frozen=True)
class Source:
    """Where a word's vector comes from: the file's vectors that are averaged, often just one."""

    how: How
    spellings: tuple[str, ...]  # none for random


@dataclass(frozen=True)
class Matched:
    """Vectors of a vocabulary.

    `matrix` is float32 (v, e), row = word id; `sources` has every word but the marks, in the
    vocabulary's order; `file` tells what was read.
    """

    matrix: npt.NDArray[np.float32]
    sources: dict[str, Source]
    file: VectorFile


def match(vocabulary: Vocabulary, path: Path, file_format: Format, seed: int) -> Matched:
    """Read the vectors of a vocabulary's words from a file, and start the others.

    Args:
        vocabulary: the words.
        path: the file, of any layout in `embedding_layout.py`.
        file_format: its format, or "auto".
        seed: of what is drawn at random. A word's numbers depend on the seed and on the word alone.

    Raises:
        InputError: the file is absent or is no whole file of vectors, or it has none of the words.
    """
    words = vocabulary.words[len(MARKS) :]
    _check_present(path)
    file = read_vectors(path, file_format, _wanted_for(words))
    sources = find_sources(words, file.rows)
    if all(source.how == "random" for source in sources.values()):
        raise InputError(
            f"{path}: expected vectors of the vocabulary's words, such as {', '.join(words[:3])}. "
            f"Received: {file.words} words, none of them in the vocabulary. Use vectors of the "
            "captions' language"
        )
    return Matched(_matrix(words, sources, file, seed), sources, file)


def _check_present(path: Path) -> None:
    if path.is_file():
        return
    folder = path.parent
    names = (file.name for file in folder.glob("*") if file.is_file() and file.suffix != ".md")
    there = ", ".join(sorted(names)) or "nothing"
    raise InputError(
        f"{path}: no such file. vocabulary.embeddings.file must be null or the name of a file in "
        f"{folder}, where there is: {there}. Fetch glove.6B.zip from "
        "https://nlp.stanford.edu/projects/glove or crawl-300d-2M.vec.zip from "
        f"https://fasttext.cc, unpack it into {folder}, and name the .txt or .vec file"
    )


def _wanted_for(words: Sequence[str]) -> dict[str, list[str]]:
    """Every spelling that may be needed, and for each the words that it may stand for."""
    wanted: dict[str, list[str]] = {}
    for word in words:
        spellings = {word, *_near(word)}
        for part in parts(word):
            spellings.update((part, *_near(part)))
        for spelling in spellings:
            wanted.setdefault(spelling, []).append(word)
    return wanted


def _near(word: str) -> list[str]:
    return [*variants(word), *neighbours(word)]


def find_sources(words: Sequence[str], rows: Mapping[str, Vector]) -> dict[str, Source]:
    """Tell for each word from which of the file's vectors it starts.

    Args:
        words: the vocabulary's, without the marks.
        rows: the vectors of all spellings that the file has of what `words` could need.
    """
    exact = {word for word in words if word in rows}
    return {word: _source(word, rows, exact) for word in words}


def _source(word: str, rows: Mapping[str, Vector], exact: set[str]) -> Source:
    single = _single(word, rows)
    if single.spellings:
        return single
    found = [_single(part, rows).spellings for part in parts(word)]
    if found and all(found):
        return Source("parts", tuple(spelling for spellings in found for spelling in spellings))
    both = halves(word, exact)
    return Source("parts", tuple(both)) if both else single


def _single(word: str, rows: Mapping[str, Vector]) -> Source:
    """Find a word itself, a variant or a neighbour."""
    ways: tuple[tuple[How, Sequence[str]], ...] = (
        ("exact", [word]),
        ("variant", variants(word)),
        ("neighbour", neighbours(word)),
    )
    for how, spellings in ways:
        for spelling in spellings:
            if spelling in rows:
                return Source(how, (spelling,))
    return Source("random", ())


def _matrix(
    words: Sequence[str], sources: Mapping[str, Source], file: VectorFile, seed: int
) -> npt.NDArray[np.float32]:
    """Average the file's vectors of each word, and draw the others; float32 (v, e)."""
    found = {
        word: np.array([file.rows[name] for name in source.spellings]).mean(axis=0, dtype=float)
        for word, source in sources.items()
        if source.spellings
    }  # float64 (e,) each
    every = np.array(list(found.values()))  # (n, e)
    mean = every.mean(axis=0)  # (n, e) -> (e,)
    # Of each number by itself; a single word tells nothing but how far its numbers lie apart.
    deviation = every.std(axis=0) if len(every) > 1 else np.full_like(mean, every.std())

    def drawn(word: str) -> npt.NDArray[np.float64]:
        entropy = int.from_bytes(hashlib.sha256(word.encode()).digest())
        return np.random.default_rng([seed, entropy]).normal(mean, deviation)

    rows = [found[word] if word in found else drawn(word) for word in (*MARKS, *words)]
    rows[PAD], rows[UNKNOWN] = np.zeros_like(mean), mean
    most = np.finfo(np.float32).max  # a draw may lie beyond what float32 holds
    return np.clip(rows, -most, most).astype(np.float32)


def coverage(
    captions: Mapping[str, Iterable[Sequence[str]]], sources: Mapping[str, Source]
) -> dict[str, float]:
    """Tell what share of words has a vector out of the file, in any way but at random.

    Args:
        captions: tokens of each split's captions.
        sources: of every word of the vocabulary.

    Returns:
        `words`: of the vocabulary's words; `<split>`: of the words of its captions that are in
        the vocabulary, each as often as it comes. 1 where there is none.
    """
    found = {word for word, source in sources.items() if source.how != "random"}
    shares = {"words": len(found) / len(sources) if sources else 1.0}
    for split, rows in captions.items():
        counts = Counter(token for tokens in rows for token in tokens if token in sources)
        covered = sum(count for word, count in counts.items() if word in found)
        shares[split] = covered / counts.total() if counts else 1.0
    return shares


def count_sources(sources: Mapping[str, Source]) -> dict[How, int]:
    """Count words by how their vector was found."""
    counts = Counter(source.how for source in sources.values())
    return {how: counts[how] for how in HOW}
