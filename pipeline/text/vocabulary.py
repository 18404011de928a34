"""The vocabulary: which words the captioner knows, and their ids.

vocabulary.json
    words   the four marks, then words by falling count, ties by spelling; a word's place is its id
    counts  of each word in the training captions; of the marks: 0, captions, captions, and how
            many words fell below the threshold
    sha256  of the two, so that a flipped byte is noticed; vocabularies of old bundles have none
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from unicodedata import category

from pipeline.errors import InputError
from pipeline.files import unsealed, write_sealed
from pipeline.text.marks import END, MARKS, PAD, START, UNKNOWN
from pipeline.text.nltk_parts import FreqDist


@dataclass(frozen=True)
class Vocabulary:
    """Words of the training captions and their counts, in the order of their ids.

    encode(["a", "dog"]) -> [START, 4, 17, END]; a word not listed becomes UNKNOWN.
    decode(ids) stops at the first END and leaves out the other marks.
    """

    words: tuple[str, ...]
    counts: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.words)

    @cached_property
    def ids(self) -> dict[str, int]:
        """The id of each word."""
        return {word: number for number, word in enumerate(self.words)}

    def encode(self, tokens: Iterable[str]) -> list[int]:
        """Turn tokens into ids between START and END."""
        return [START, *(self.ids.get(token, UNKNOWN) for token in tokens), END]

    def decode(self, ids: Iterable[int]) -> list[str]:
        """Turn ids into words, up to the first END; ids out of range become the unknown mark."""
        words = []
        for number in ids:
            if number == END:
                break
            if number not in (PAD, START):
                known = 0 <= number < len(self.words)
                words.append(self.words[number] if known else MARKS[UNKNOWN])
        return words

    @classmethod
    def build(cls, captions: Iterable[Sequence[str]], min_count: int) -> "Vocabulary":
        """Count the words of training captions and keep those at or above `min_count`.

        Raises:
            InputError: no caption, or no word is frequent enough.
        """
        captions = list(captions)
        frequencies = FreqDist(token for tokens in captions for token in tokens)
        kept = sorted(
            ((word, count) for word, count in frequencies.items() if count >= min_count),
            key=lambda pair: (-pair[1], pair[0]),
        )
        if not kept:
            raise InputError(
                f"vocabulary: expected words seen at least vocabulary.min_count = {min_count} "
                f"times in training captions. Received: {len(captions)} captions with "
                f"{len(frequencies)} different words, none as frequent. Lower vocabulary.min_count"
            )
        rare = frequencies.N() - sum(count for _, count in kept)
        marks = (0, len(captions), len(captions), rare)
        return cls(
            words=(*MARKS, *(word for word, _ in kept)),
            counts=(*marks, *(count for _, count in kept)),
        )

    def write(self, path: Path) -> None:
        """Write the contract named in this module's head."""
        write_sealed(path, {"words": self.words, "counts": self.counts})

    @classmethod
    def read(cls, path: Path) -> "Vocabulary":
        """Read what `write` wrote.

        Raises:
            InputError: the file is absent or is not a vocabulary.
        """
        try:
            content = json.loads(unsealed(path.read_bytes()))
            if unknown := set(content) - {"words", "counts"}:
                raise ValueError(f"besides these {', '.join(sorted(unknown))}")
            words, counts = tuple(content["words"]), tuple(content["counts"])
        except FileNotFoundError as error:
            raise InputError(f"{path}: no such file. Run `dvc repro vocabulary`") from error
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{path}: expected a vocabulary, JSON with `words` and `counts`. Received: {error}"
            ) from error
        typed = all(type(word) is str for word in words) and all(type(n) is int for n in counts)
        if unsaid := [word for word in words if typed and not _can_be_said(word)]:
            raise InputError(
                f"{path}: expected words without blanks and control characters. Received: "
                f"{unsaid[0]!r}. If the bundle is somebody else's, do not trust it"
            )
        whole = typed and len(words) == len(counts) == len(set(words))
        if not whole or words[: len(MARKS)] != MARKS:
            raise InputError(
                f"{path}: expected the marks {', '.join(MARKS)} first, no word twice and a count "
                "for each. Run `dvc repro vocabulary` again"
            )
        return cls(words, counts)


def unknown_rate(captions: Iterable[Sequence[str]], vocabulary: Vocabulary) -> float:
    """Share of the words in `captions` that `vocabulary` does not list; 0 for no words."""
    total = unknown = 0
    for tokens in captions:
        total += len(tokens)
        unknown += sum(token not in vocabulary.ids for token in tokens)
    return unknown / total if total else 0.0


def coverage(
    captions: Mapping[str, Sequence[Sequence[str]]], thresholds: Iterable[int]
) -> list[dict[str, float]]:
    """Tell for each threshold how large the vocabulary is and what share of words it covers.

    Args:
        captions: tokens of each split's captions; the vocabulary is that of "train".
        thresholds: values of `min_count`.

    Returns:
        A row a threshold: `min_count`, `words` (marks left out) and `<split>` coverage in [0, 1].
    """
    train = FreqDist(token for tokens in captions["train"] for token in tokens)
    counts = {
        split: FreqDist(token for tokens in rows for token in tokens)
        for split, rows in captions.items()
    }
    rows: list[dict[str, float]] = []
    for threshold in thresholds:
        known = {word for word, count in train.items() if count >= threshold}
        row: dict[str, float] = {"min_count": threshold, "words": len(known)}
        for split, frequencies in counts.items():
            covered = sum(count for word, count in frequencies.items() if word in known)
            row[split] = covered / frequencies.N() if frequencies.N() else 1.0
        rows.append(row)
    return rows


def _can_be_said(word: str) -> bool:
    """Whether a word can stand in a line of text: a caption's words are told with blanks between.

    Marks that join letters and show nothing, as of Persian, are no control characters.
    """
    return word.split() == [word] and all(category(letter) not in ("Cc", "Cs") for letter in word)
