"""Captions as found to tokens, and the captions that are left out, with their reason.

    "A dog's ball -- isn't it RED ?"  ->  a dog 's ball is n't it red

Tokens follow the Penn Treebank's rules for English (NLTK's tokeniser, which needs no download), as
the official scorers do: clitics are tokens of their own, "t-shirt" and "1,000" are one. What has
neither a letter nor a digit is punctuation and goes.
"""

import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, model_validator

from pipeline.errors import InputError
from pipeline.params import Settings
from pipeline.text.nltk_parts import NLTKWordTokenizer

Reason = Literal["no_words", "too_short", "too_long", "duplicate"]

_TOKENIZER = NLTKWordTokenizer()
# Nine captions of ten are plain words, commas and a period at the end. Of these the Treebank's
# rules only split off the punctuation, and take a few words apart.
_WORD = "[a-z0-9]+(?:-[a-z0-9]+)*"
_PLAIN_CAPTION = re.compile(f"{_WORD}(?:(?: *, +| +){_WORD})* *[.]?")
_TAKEN_APART = re.compile(r"\b(?:cannot|gimme|gonna|gotta|lemme|wanna)\b")
# NFKC would make a blank and a loose accent of the one, letters of the others, and 11/2 of 1½.
_BEFORE = str.maketrans(
    {
        "\u00b4": "'",  # an acute accent for an apostrophe
        **dict.fromkeys("\u2122\u2120\u00ae\u00a9", " "),  # trademark, service mark, (R), (C)
        # Not seen, and within words another word: byte-order mark, word joiner, soft hyphen. But
        # a space of no width separates words, of scripts that write no others.
        **dict.fromkeys("\ufeff\u2060\u00ad"),
        # Nor are the marks that turn the direction of writing, and control characters that are no
        # blanks: of these, some are quotes and dashes of Windows-1252 that was read as Latin-1.
        **dict.fromkeys("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"),
        **dict.fromkeys(one for one in map(chr, (*range(0x20), *range(0x7F, 0xA0))) if one.strip()),
        **dict.fromkeys("\u0091\u0092", "'"),
        **dict.fromkeys("\u0093\u0094", '"'),
        **dict.fromkeys("\u0096\u0097", " "),
        "\u200b": " ",
        **{mark: f" {mark}" for mark in map(chr, (*range(0xBC, 0xBF), *range(0x2150, 0x215F)))},
    }
)
# NFKC leaves typographic quotes and dashes as they are; the tokeniser knows the plain ones only.
_PLAIN = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u201b`", "'"),  # single quotes and the grave accent
        **dict.fromkeys("\u201c\u201d", '"'),
        **dict.fromkeys("\u2010\u2011", "-"),  # hyphens of word processors
        **dict.fromkeys("\u2013\u2014", " "),  # dashes between words
    }
)


class CleanSettings(Settings):
    """Section `clean` of params.yaml."""

    min_words: int = Field(ge=1)  # shorter captions are dropped
    max_words: int = Field(ge=1)  # longer captions are dropped, not cut: a cut one has a bad ending
    max_dropped: float = Field(ge=0, le=1)  # share of the captions above which the run stops

    @model_validator(mode="after")
    def _check_range(self) -> "CleanSettings":
        if self.min_words > self.max_words:
            raise ValueError("min_words must not be above max_words")
        return self


@dataclass(frozen=True)
class Cleaned:
    """The captions that stay, with `tokens`, and those that go, as rows of `tables.DROPPED`."""

    captions: list[dict[str, Any]]
    dropped: list[dict[str, Any]]


def normalise(text: str) -> str:
    """Fold case, Unicode compatibility forms (full-width letters, say) and typographic signs."""
    # Twice: some compatibility forms are capitals, and lower case can leave composable pairs.
    folded = unicodedata.normalize("NFKC", text.translate(_BEFORE)).lower()
    return unicodedata.normalize("NFKC", folded).translate(_PLAIN)


def tokenise(text: str) -> list[str]:
    """Split a caption into lower-case words; punctuation is left out."""
    text = normalise(text).strip()
    if _PLAIN_CAPTION.fullmatch(text) and not _TAKEN_APART.search(text):
        return text.rstrip(".").replace(",", " ").split()  # the same, twenty times as fast
    return _treebank(text)


def _treebank(text: str) -> list[str]:
    tokens = (
        token.strip("'\"*_~^=|/\\.-") if _is_edgy(token) else token
        for token in _TOKENIZER.tokenize(text)
    )
    return [token for token in tokens if any(letter.isalnum() for letter in token)]


def _is_edgy(token: str) -> bool:
    """Whether a token carries punctuation at an edge that is no part of the word.

    "'s", "n't" and "'ll" keep their apostrophe: the Treebank writes clitics so.
    """
    if token in {"'s", "'m", "'d", "'ll", "'re", "'ve", "n't"}:
        return False
    return not (token[:1].isalnum() and token[-1:].isalnum())


def clean(captions: Iterable[Mapping[str, Any]], settings: CleanSettings) -> Cleaned:
    """Tokenise captions and drop the unusable ones.

    Args:
        captions: rows of `tables.CAPTIONS`, those of a picture one after another, in the order
            of their ids: of equal captions of a picture the first one stays.
        settings: the bounds.
    """
    kept: list[dict[str, Any]] = []
    dropped: list[dict[str, Any]] = []
    picture, seen = None, set[tuple[str, ...]]()  # its captions so far
    for row in captions:
        if row["image_id"] != picture:
            picture, seen = row["image_id"], set()
        tokens = [sys.intern(token) for token in tokenise(row["text"])]  # few words, often said
        reason = reject_reason(tokens, settings)
        reason = reason or ("duplicate" if tuple(tokens) in seen else None)
        seen.add(tuple(tokens))
        if reason is None:
            kept.append({**row, "tokens": tokens})
        else:
            dropped.append(_dropped_row(row, reason))
    return Cleaned(kept, dropped)


def reject_reason(tokens: Sequence[str], settings: CleanSettings) -> Reason | None:
    """Tell why a caption is unusable by itself, or None."""
    if not tokens:
        return "no_words"
    if len(tokens) < settings.min_words:
        return "too_short"
    if len(tokens) > settings.max_words:
        return "too_long"
    return None


def _dropped_row(row: Mapping[str, Any], reason: Reason) -> dict[str, Any]:
    return {
        "kind": "caption",
        "item": row["caption_id"],
        "source": "captions.parquet",
        "reason": reason,
        "raw": row["text"],
    }


def check_share(cleaned: Cleaned, bound: float, listed: str) -> None:
    """See that no more captions go than may.

    Args:
        cleaned: the captions.
        bound: share of all that may go.
        listed: where those that go are written down.

    Raises:
        InputError: more go.
    """
    dropped, total = cleaned.dropped, len(cleaned.captions) + len(cleaned.dropped)
    if not total or len(dropped) / total <= bound:
        return
    counts = Counter(row["reason"] for row in dropped)
    reasons = ", ".join(f"{count} {reason}" for reason, count in counts.most_common())
    first: dict[str, Mapping[str, Any]] = {}  # of each reason
    for row in dropped:
        first.setdefault(row["reason"], row)
    examples = "; ".join(f"{row['item']} {row['raw'][:100]!r}" for row in first.values())
    raise InputError(
        f"captions: expected at most clean.max_dropped = {bound:.1%} unusable. Received: "
        f"{len(dropped)} of {total} ({reasons}), such as {examples}. {listed} has them all. Mend "
        "the captions, widen clean.min_words and clean.max_words, or raise clean.max_dropped"
    )
