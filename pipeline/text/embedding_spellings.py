"""Other spellings under which a file of word vectors may have a word, or something close to it.

variants     the same word written otherwise: case, accents, hyphens, digits
neighbours   its stem and its plain inflections: plurals, -ing, -ed
parts        what is between its hyphens: t-shirt -> t, shirt
halves       the two words that a compound is made of: firetruck -> fire, truck
"""

import re
import unicodedata
from collections.abc import Container, Iterable

MIN_LETTERS = 3  # of a stem, and of each half of a compound

_HYPHENS = re.compile("[-_/]")
_DIGIT = re.compile("[0-9]")
_VOWEL = re.compile("[aeiouy]")
_DOUBLED = re.compile(r"([bdglmnprt])\1$")  # as in running, stopped
_SHORT = re.compile("[^aeiou]*[aeiouy][^aeiouwxy]")  # one syllable, which -ing doubles: run, stop
_HISSING = re.compile("(?:s|x|z|ch|sh)$")  # what takes -es


def variants(word: str) -> list[str]:
    """Spell a word in other ways, the closest first: t-shirt, T-shirt, T-SHIRT, tshirt, t_shirt."""
    letters = unicodedata.normalize("NFKD", word)
    found = [
        word.lower(),
        word.capitalize(),
        word.upper(),
        word.title(),
        unicodedata.normalize("NFD", word),
        "".join(letter for letter in letters if not unicodedata.combining(letter)),
        *(_HYPHENS.sub(joint, word) for joint in ("", "_", "-")),
    ]
    if len(_DIGIT.findall(word)) > 1:  # word2vec's Google News has ## for any number of two digits
        found.append(_DIGIT.sub("#", word))
    return _distinct(found, word)


def neighbours(word: str) -> list[str]:
    """Name a word's stems, then its and their inflections: skaters, skater; skating, skate."""
    if not word.isalpha() or len(word) < MIN_LETTERS:
        return []
    stems = [stem for stem in _stems(word) if len(stem) >= MIN_LETTERS and _VOWEL.search(stem)]
    forms = [form for stem in (word, *stems) for form in _inflections(stem)]
    return _distinct([*stems, *forms], word)


def _stems(word: str) -> list[str]:
    """Take -s, -ing or -ed off; where spelling leaves several stems, the likeliest is first."""
    if word.endswith(("ies", "ied")):
        return [word[:-3] + "y", word[:-1]]
    if word.endswith("es") and _HISSING.search(word[:-2]):
        return [word[:-2], word[:-1]]
    if word.endswith("s") and not word.endswith("ss"):
        return [word[:-1]]
    for ending in ("ing", "ed"):
        if word.endswith(ending):
            stem = word[: -len(ending)]
            if _DOUBLED.search(stem):
                return [stem[:-1], stem]
            # A short stem that does not double has lost an e: skating, but not walking.
            return [stem + "e", stem] if _SHORT.fullmatch(stem) else [stem, stem + "e"]
    return []


def _inflections(stem: str) -> list[str]:
    """Put -s, -ing and -ed on a stem, by the rules of English spelling."""
    if stem.endswith("y") and not re.search("[aeiou]y$", stem):
        return [stem[:-1] + "ies", stem + "ing", stem[:-1] + "ied"]
    plural = stem + ("es" if _HISSING.search(stem) else "s")
    if stem.endswith("e"):
        return [plural, stem[:-1] + "ing", stem + "d"]
    root = stem + stem[-1] if _SHORT.fullmatch(stem) else stem
    return [plural, root + "ing", root + "ed"]


def parts(word: str) -> list[str]:
    """Split a word at its hyphens; [] for a word without any."""
    found = [part for part in _HYPHENS.split(word) if part]
    return found if len(found) > 1 else []


def halves(word: str, known: Container[str]) -> list[str]:
    """Split a compound into two words of `known`, as evenly as can be; [] where that fails.

    `known` should be words that occur in captions, not any that a large file has: nearly every
    word falls into two of the latter.
    """
    cuts = range(MIN_LETTERS, len(word) - MIN_LETTERS + 1)
    for cut in sorted(cuts, key=lambda cut: abs(2 * cut - len(word))):
        if word[:cut] in known and word[cut:] in known:
            return [word[:cut], word[cut:]]
    return []


def _distinct(words: Iterable[str], but: str) -> list[str]:
    return [word for word in dict.fromkeys(words) if word and word != but]
