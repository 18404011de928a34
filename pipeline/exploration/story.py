"""What the numbers say, in sentences: the titles of the figures."""

import numpy as np

from pipeline.evaluation.tokens import IntArray
from pipeline.exploration.agreement import AgreedWord, Agreement
from pipeline.exploration.counts import Frequencies, Sizes, tightest_half
from pipeline.exploration.survey import Survey
from pipeline.tables import SPLITS

LONGEST = 60  # letters of a word or phrase that is shown; longer ones are cut
LONGEST_CAPTION = 400


def percent(share: float) -> str:
    """Write a share: whole per cents, but for the smallest and for nearly all."""
    if 0 < share < 0.01 or 0.99 < share < 1:
        rounded = f"{share:.1%}"
        return {"0.0%": "under 0.1%", "100.0%": "over 99.9%"}.get(rounded, rounded)
    return f"{share:.0%}"


def signed(share: float) -> str:
    """Write a share that may be below nothing, in whole per cents."""
    return f"{round(100 * share)}%".replace("-", "\N{MINUS SIGN}")


def counted(number: int, one: str, many: str) -> str:
    """Write a number of things."""
    return f"{number:,} {one if number == 1 else many}"


def cut(text: str, letters: int = LONGEST) -> str:
    """Cut a text that is too long to show."""
    return text if len(text) <= letters else text[: letters - 1] + "…"


def splits(found: Survey) -> str:
    """Tell how the pictures are split."""
    total = len(found.image_ids)
    named = {"train": "for training", "val": "for validation", "test": "for the test"}
    parts = [
        (percent(found.pictures_in(split) / total), named[split])
        for split in SPLITS
        if found.pictures_in(split)
    ]
    if len(parts) == 1:
        return f"All of {counted(total, 'picture', 'pictures')} {parts[0][1]}"
    (first, purpose), *rest = parts
    told = [f"{first} are {purpose}", *(" ".join(part) for part in rest)]
    return f"Of {counted(total, 'picture', 'pictures')}, {_listed(told)}"


def captions_a_picture(per_picture: IntArray) -> str:
    """Tell how many captions a picture has."""
    counts = np.bincount(per_picture)
    usual = int(counts.argmax())
    captions = counted(usual, "caption", "captions") if usual else "no captions"
    if counts[usual] == len(per_picture):
        return f"Every picture has {captions}"
    fewer, more = int(counts[:usual].sum()), int(counts[usual + 1 :].sum())
    rest = [f"{number:,} {word}" for number, word in ((fewer, "fewer"), (more, "more")) if number]
    share = percent(counts[usual] / len(per_picture))
    return f"{share} of the pictures have {captions}, {_listed(rest)}"


def lengths(values: IntArray) -> str:
    """Tell how long most captions are."""
    low, high, share = tightest_half(values)
    part = "Half" if share < 0.545 else percent(share)
    words = f"{low} to {high} words" if low < high else counted(low, "word", "words")
    verb = "are of" if low == high else "have"
    return f"{part} of the captions {verb} {words}"


def words(frequencies: Frequencies) -> str:
    """Tell how much of the text the first words make up."""
    first = f"{quoted(frequencies.top[0][0])} alone is {percent(frequencies.share_of_top(1))}"
    if len(frequencies.top) == 1:
        return f"{first} of all text"
    number = min(len(frequencies.top), 10)
    share = percent(frequencies.share_of_top(number))
    return f"{first} of all text, the {number} most frequent words together are {share}"


def quoted(text: str) -> str:
    """Quote a word of the captions within a sentence, in whichever direction it runs."""
    return f"“\N{FIRST STRONG ISOLATE}{cut(text)}\N{POP DIRECTIONAL ISOLATE}”"


def agreed(words: list[AgreedWord]) -> str:
    """Tell what people agree on, and what not."""
    first, last = words[0], words[-1]
    return (
        f"Where one person writes {quoted(first.word)}, {percent(first.repeated)} of the others "
        f"do; where one writes {quoted(last.word)}, {percent(last.repeated)}"
    )


def rarity(frequencies: Frequencies) -> str:
    """Tell how many words are rare."""
    distinct = len(frequencies.counts)
    share = percent(frequencies.once / max(distinct, 1)) if frequencies.once else "None"
    if distinct <= 200:
        return f"{share} of the {distinct:,} distinct words occur only once"
    hundred = percent(frequencies.share_of_top(100))
    return (
        f"{share} of the {distinct:,} distinct words occur only once; the 100 most frequent make "
        f"up {hundred} of all text"
    )


def size(width: int, height: int) -> str:
    """Write the size of a picture."""
    return f"{width:,} \N{MULTIPLICATION SIGN} {height:,}"


def sizes(found: Sizes) -> str:
    """Tell what size and shape the pictures have."""
    usual_size = size(*found.sizes[0])
    if len(found.sizes) == 1:
        return f"Every picture is {usual_size} pixels"
    wide, high = percent(found.share(found.shapes > 1)), percent(found.share(found.shapes < 1))
    usual = percent(found.counts[0] / found.counts.sum())
    return (
        f"{wide} of the pictures are wider than high and {high} higher than wide; the most "
        f"frequent size is {usual_size} pixels ({usual})"
    )


def agreement(split: str, found: Agreement) -> str:
    """Tell what people reach."""
    counts = {len(group) for group in found.captions}
    others = "the others of its picture"
    if counts == {2}:
        others = "the other one of its picture"
    elif len(counts) == 1:
        named = {3: "two", 4: "three", 5: "four", 6: "five"}
        number = counts.pop()
        others = f"the other {named.get(number, number - 1)} of its picture"
    return f"In {split}, a person's caption scores CIDEr-D {found.cider_d:.2f} against {others}"


def _listed(parts: list[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
