"""Words that captions say without ground, and words that they leave out, against the references.

A caption's content word *stands alone* where none of the picture's references has it: it may be a
hallucination (Rohrbach et al. 2018, "Object hallucination in image captioning"). A content word is
*left out* where more than half of the references have it and the caption has not: an omission.

Words are compared by a crude stem, so that "dogs" is "dog" and "jumping" is "jumps". Synonyms are
not known: "kid" stands alone where the references say "child". So the same is worked out of people,
each reference against the others of its picture, as the mark to hold the figures against. As a
person is held against one reference fewer, that mark is a little high for words that stand alone.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.evaluation.tokens import Tokens

# Words of English that name nothing one could see: articles, pronouns, prepositions, conjunctions,
# forms of be, have and do, clitics, and the marks of quantity that describe no picture.
FUNCTION_WORDS = frozenset(
    """
    a an the this that these those some any each every another other others both all one it its
    itself he him his himself she her hers herself they them their theirs themselves i me my we us
    our you your who whom whose which what where when while there here of in on at by to from with
    without into onto out off over under up down through across along around behind beside near next
    above below between among against during after before about as for like than then and or but so
    front nor not no n't 's 'm 'd 'll 're 've is are was were be been being am has have had having
    do does did doing can could will would may might must shall should very too also just only
    """.split()  # noqa: SIM905 - a list of words reads best as text
)
FEWEST_REFERENCES = 3  # of a picture, for a majority of them to mean anything
_IRREGULAR = {
    "men": "man", "women": "woman", "children": "child", "people": "person", "feet": "foot",
    "ran": "run", "sat": "sit", "stood": "stand", "rode": "ride", "held": "hold", "wore": "wear",
    "worn": "wear", "threw": "throw", "swam": "swim", "caught": "catch", "lying": "lie",
}  # fmt: skip
_ENDINGS = (("ies", "y"), ("ied", "y"), ("ing", ""), ("ed", ""), ("es", ""))
_VOWELS = frozenset("aeiouy")


@dataclass(frozen=True)
class Verdict:
    """What is found of one caption, as the words were written."""

    alone: list[str]  # in the caption, in none of the references; in its order
    left_out: list[str]  # in more than half of the references, not in the caption; by spelling


@dataclass
class Tally:
    """How often something was so, of how many times it could have been, by word."""

    hits: Counter[str] = field(default_factory=Counter)
    chances: Counter[str] = field(default_factory=Counter)

    @property
    def share(self) -> float:
        """Of all words together, in [0, 1]; 0 where there are none."""
        return self.hits.total() / self.chances.total() if self.chances else 0.0

    def add(self, chances: Sequence[str], hits: Sequence[str]) -> None:
        """Count a caption's words."""
        self.chances.update(chances)
        self.hits.update(hits)

    def most(self, number: int) -> list[tuple[str, int, int]]:
        """List the words that were hit most often: word, hits, chances."""
        ranked = sorted(self.hits.items(), key=lambda item: (-item[1], item[0]))
        return [(word, times, self.chances[word]) for word, times in ranked[:number]]


@dataclass(frozen=True)
class Grounding:
    """What is found of all captions, and of people's."""

    verdicts: list[Verdict]  # in the order of the captions
    alone: Tally  # of the captions' content words
    left_out: Tally  # of the words that most references have
    people_alone: float  # share, each reference against the others
    people_left_out: float
    pictures: int  # with references enough


def ground(captions: Sequence[Tokens], references: Sequence[Sequence[Tokens]]) -> Grounding:
    """Hold captions against the references of their pictures.

    Args:
        captions: the words of one caption a picture.
        references: the words of the references of each, by the same tokeniser. Pictures with
            fewer than FEWEST_REFERENCES count for nothing, and nothing is found of them.
    """
    verdicts = []
    alone, left_out, people_alone, people_left_out = Tally(), Tally(), Tally(), Tally()
    pictures = 0
    for caption, group in zip(captions, references, strict=True):
        if len(group) < FEWEST_REFERENCES:
            verdicts.append(Verdict([], []))
            continue
        pictures += 1
        verdicts.append(_judge(caption, group, alone, left_out))
        for place, reference in enumerate(group):
            others = [*group[:place], *group[place + 1 :]]
            _judge(reference, others, people_alone, people_left_out)
    return Grounding(verdicts, alone, left_out, people_alone.share, people_left_out.share, pictures)


def stem(word: str) -> str:
    """Cut the endings of plurals and of verbs: crude, but alike for words of one kind.

    dogs -> dog, puppies -> puppy, jumping -> jump, running -> run, riding and rides -> rid
    """
    word = _IRREGULAR.get(word, word)
    for ending, instead in _ENDINGS:
        rest = word.removesuffix(ending)
        # A syllable has to be left of it: "string" is no form of "str", nor "speed" of "spe".
        if rest != word and len(rest) >= 2 and _VOWELS & set(rest) and not word.endswith("eed"):
            return _undoubled(rest + instead)
    if word.endswith("s") and not word.endswith("ss") and len(word) > 3:
        word = word[:-1]
    return _undoubled(word.removesuffix("e") if len(word) > 3 else word)


def _undoubled(word: str) -> str:
    """Take one of two equal letters at the end: runn -> run, grass -> gras, alike for all."""
    return word[:-1] if len(word) > 3 and word[-1] == word[-2] else word


def content_words(tokens: Tokens) -> dict[str, str]:
    """Map the stems of the content words of a caption to the words, in their order."""
    found: dict[str, str] = {}
    for word in tokens:
        if word not in FUNCTION_WORDS and any(letter.isalpha() for letter in word):
            found.setdefault(stem(word), word)
    return found


def _judge(caption: Tokens, references: Sequence[Tokens], alone: Tally, left_out: Tally) -> Verdict:
    """Judge a caption and count its words, by their stems' most usual way of being written."""
    own = content_words(caption)
    written, holders = _holders(references)
    agreed = [key for key, number in holders.items() if 2 * number > len(references)]
    missing = sorted(written[key] for key in agreed if key not in own)
    unheard = [word for key, word in own.items() if key not in holders]
    alone.add(list(own.values()), unheard)
    left_out.add([written[key] for key in agreed], missing)
    return Verdict(unheard, missing)


def _holders(references: Sequence[Tokens]) -> tuple[Mapping[str, str], Counter[str]]:
    """Tell how a stem is written, and in how many of the references it is."""
    ways: dict[str, Counter[str]] = defaultdict(Counter)
    holders: Counter[str] = Counter()
    for reference in references:
        own = content_words(reference)
        holders.update(own.keys())
        for key, word in own.items():
            ways[key][word] += 1
    return {key: _most_usual(counts) for key, counts in ways.items()}, holders


def _most_usual(counts: Counter[str]) -> str:
    return min(counts, key=lambda word: (-counts[word], word))
