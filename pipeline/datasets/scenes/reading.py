"""Read a caption of *scenes* back into statements.

A caption is a list of lower-case words, as a captioner gives them: it may be ungrammatical. It is
read from left to right, phrase by phrase, the longest first (`lexicon.py` has them all):

mention     A noun with the article, number, size and colour before it.
number      "a dog", "another dog", "dog": at least one. "a single dog": exactly one. "two dogs",
            "a pair of dogs": exactly two. "dogs", "some dogs": two or more; "several": three.
            Such a word, or an article, outweighs the noun's own number ("two dog").
one, it     "a blue one" is of the kind mentioned just before. "it", after a relation, is the group
            mentioned before the relation's subject: "a house with a tree beside it".
joined      Mentions with nothing or "and" between them form a group. What is said of a group is
            said of each of its mentions; the object of a relation stands alone.
relation    Its subject is the group just before, its object the mention just after. After "and"
            the subject is that of the clause: the last group that is no object.
verb        Is about the subject of the clause.
place       "on the grass" and its like tell the background. They also say of the nearest group
            before, of those that can be there, that it is not in the sky ("over the grass", "in
            the sky": that it is). Where none can be there, it is said of the nearest.
side        "on the left" is about the nearest group.
time        "at night", and "in the night sky", tell the time wherever they stand.
fronted     What stands before the first mention (or, for a place, after "and" or "while") is about
            the group that follows: "on the grass stands a house", "behind a house is a tree".
unclear     A word that no phrase has, or that is left over where a phrase wants more: an article
            or a colour without a noun, a relation without an object, an "and" with nothing after
            it. Punctuation is passed over.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pipeline.datasets.scenes import lexicon
from pipeline.datasets.scenes.scene import BACKGROUNDS, COLOURS, KINDS, SKY_KINDS, TIMES

PUNCTUATION = frozenset(",.;:!?")


@dataclass(frozen=True)
class Exists:
    """There are things of a kind; `mention` numbers the caption's mentions from 0."""

    mention: int
    kind: str
    colour: str | None = None
    size: str | None = None
    least: int = 1
    most: int | None = None  # None: or more


@dataclass(frozen=True)
class Related:
    """The things of one mention are, say, left of those of another."""

    mention: int
    relation: str  # in scene.RELATIONS
    other: int


@dataclass(frozen=True)
class Does:
    """The things of a mention do something; `verb` is what two of them do: "stand"."""

    mention: int
    verb: str


@dataclass(frozen=True)
class Located:
    """The things of a mention are in the sky, or are not."""

    mention: int
    in_sky: bool


@dataclass(frozen=True)
class AtSide:
    """The things of a mention are on one side of the picture."""

    mention: int
    side: str


@dataclass(frozen=True)
class Background:
    """The scene is on grass, sand, snow or water."""

    value: str


@dataclass(frozen=True)
class Time:
    """It is day or night."""

    value: str


@dataclass(frozen=True)
class Unclear:
    """A word that says nothing that could be checked."""

    word: str


Statement = Exists | Related | Does | Located | AtSide | Background | Time | Unclear


def statements(tokens: Sequence[str]) -> list[Statement]:
    """Read a caption's words; see the module for how.

    Things come first, in the order of their mention; then what is said of them, of the background
    and of the time; then what is unclear.
    """
    reader = _Reader()
    for phrase in _phrases([token for token in tokens if token not in PUNCTUATION]):
        reader.read(phrase)
    return reader.statements()


@dataclass(frozen=True)
class _Phrase:
    """A stretch of a caption with its sort and meaning."""

    sort: str
    meaning: Any
    words: str


def _phrase_table() -> dict[str, _Phrase]:
    """Every phrase of the lexicon, by its words."""
    table: dict[str, _Phrase] = {}

    def add(sort: str, meaning: Any, *phrases: str) -> None:
        for words in phrases:
            table[words] = _Phrase(sort, meaning, words)

    for kind in KINDS:
        for one, more in lexicon.NOUNS[kind]:
            add("noun", (kind, 2), more)
            add("noun", (kind, 1), one)  # of "fish" the singular stays
    add("number", (1, None), *lexicon.ARTICLES)
    for count, phrases in lexicon.SOME.items():
        add("number", (count, None), *phrases)
    add("single", (1, 1), *lexicon.SINGLE)
    for count, phrases in lexicon.COUNTS.items():
        add("number", (count, count), *phrases)
    for size, phrases in lexicon.SIZES.items():
        add("size", size, *phrases)
    for colour in COLOURS:
        add("colour", colour, colour)
        for form in lexicon.DRESSED:
            for article in ("a", "an"):
                add("dress", colour, form.format(colour=colour, article=article))
    for background in BACKGROUNDS:
        add("place", (background, None, False), *lexicon.SURFACES[background])
        add("place", (background, None, True), *lexicon.BELOW_SKY[background])
    add("place", ("water", None, False), *lexicon.UNDER_WATER)
    for told, phrases in lexicon.SKIES.items():
        add("place", (None, told, True), *phrases)
    for time in TIMES:
        add("page", (None, time), *lexicon.HOURS[time])
    for page, phrases in lexicon.PAGES.items():
        add("page", page, *phrases)
    for relation, phrases in lexicon.RELATIONS.items():
        add("relation", relation, *phrases)
    for where, phrases in lexicon.SIDES.items():
        add("side", where, *phrases)
    for forms in lexicon.VERBS:
        add("verb", forms[1], *forms)
    add("be", None, *lexicon.ARE)
    add("and", None, lexicon.AND)
    add("link", None, lexicon.WITH, lexicon.WHILE)
    add("opening", None, *lexicon.OPENINGS[False], *lexicon.OPENINGS[True], *lexicon.TITLES)
    add("one", None, lexicon.ONE)
    add("it", None, lexicon.IT)
    return table


_PHRASES = _phrase_table()
_LONGEST = max(len(words.split()) for words in _PHRASES)


def _phrases(tokens: Sequence[str]) -> Iterator[_Phrase]:
    """Cut a caption into phrases, the longest first; a word of none is a phrase "unknown"."""
    start = 0
    while start < len(tokens):
        for length in range(min(_LONGEST, len(tokens) - start), 0, -1):
            words = " ".join(tokens[start : start + length])
            if words in _PHRASES:
                yield _PHRASES[words]
                break
        else:
            yield _Phrase("unknown", None, tokens[start])
        start += length


@dataclass
class _Group:
    """Mentions that are joined; `is_object` where a relation has the only one of them."""

    mentions: list[int] = field(default_factory=list)
    is_object: bool = False


@dataclass
class _Reader:
    """Reads phrases one by one; groups are known by their place in `groups`."""

    mentions: list[Exists] = field(default_factory=list)
    groups: list[_Group] = field(default_factory=list)
    said: list[Statement] = field(default_factory=list)
    about: list[tuple[int, str, Any]] = field(default_factory=list)  # group, sort, meaning
    related: list[tuple[int, str, int]] = field(default_factory=list)  # group, relation, group
    waiting: list[tuple[str, Any]] = field(default_factory=list)  # for the group that follows
    unclear: list[str] = field(default_factory=list)
    noun_phrase: list[_Phrase] = field(default_factory=list)  # still without its noun
    relation: tuple[int | None, _Phrase] | None = None  # still without its object
    joining: bool = False  # a mention now would join the last group
    hanging: _Phrase | None = None  # a word that something must follow

    def read(self, phrase: _Phrase) -> None:
        """Take in the next phrase."""
        if phrase.sort in ("number", "single", "size", "colour"):
            self.noun_phrase.append(phrase)
            return
        if phrase.sort in ("noun", "one"):
            self._mention(phrase)
            return
        self._drop_noun_phrase()
        if self.relation and phrase.sort != "it":
            self._drop_relation()
        last, self.hanging = self.hanging, None
        match phrase.sort:
            case "and" | "link" | "opening" | "be":
                self._connect(phrase, last)
            case "relation":
                self._relate(phrase, after_and=last is not None and last.sort == "and")
            case "it":
                self._it(phrase)
            case "dress":
                self._dress(phrase)
            case "verb" | "side" | "place" | "page":
                self._claim(phrase, after_link=last is not None and last.sort in ("and", "link"))
            case _:
                self.unclear.append(phrase.words)
        if phrase.sort not in ("and", "dress"):
            self.joining = False

    def statements(self) -> list[Statement]:
        """All that was said, once the caption is at its end."""
        self._drop_noun_phrase()
        self._drop_relation()
        if self.hanging:
            self.unclear.append(self.hanging.words)
        for sort, meaning in self.waiting:
            if sort == "relation":
                self.unclear.append(meaning[0])
            elif self.groups:
                self.about.append((len(self.groups) - 1, sort, meaning))
        told = [*self.mentions, *self._told_of_groups(), *self.said]
        return [*told, *(Unclear(word) for word in self.unclear)]

    # --- mentions ---

    def _mention(self, noun: _Phrase) -> None:
        exists = self._exists(noun)
        if exists is None:
            return
        number = len(self.mentions)
        self.mentions.append(exists)
        if self.hanging and self.hanging.sort == "be" and not self.waiting:
            self.unclear.append(self.hanging.words)  # "a house is a dog"
        if self.relation:
            self._object(number)
        elif self.joining and self.groups and not self.groups[-1].is_object:
            self.groups[-1].mentions.append(number)
        else:
            self.groups.append(_Group([number]))
            self._wait_no_more()
        self.joining = True
        self.hanging = None

    def _exists(self, noun: _Phrase) -> Exists | None:
        """Build a mention of the words before the noun; what is said twice is unclear."""
        words, self.noun_phrase = self.noun_phrase, []
        told: dict[str, Any] = {}
        for phrase in words:
            if phrase.sort in told:
                self.unclear.append(phrase.words)
            told[phrase.sort] = phrase.meaning
        if noun.sort == "one":
            if not self.mentions or not words:
                self.unclear.append(noun.words)
                return None
            noun = replace(noun, meaning=(self.mentions[-1].kind, 1))
        kind, of_noun = noun.meaning
        least, most = told.get("single") or told.get("number") or (of_noun, None)
        return Exists(len(self.mentions), kind, told.get("colour"), told.get("size"), least, most)

    def _dress(self, phrase: _Phrase) -> None:
        last = self.mentions[-1] if self.mentions else None
        if last is None or last.kind != "child" or last.colour is not None or not self.joining:
            self.unclear.append(phrase.words)
            return
        self.mentions[-1] = replace(last, colour=phrase.meaning)

    def _drop_noun_phrase(self) -> None:
        self.unclear += [phrase.words for phrase in self.noun_phrase]
        self.noun_phrase = []

    # --- groups ---

    def _subject(self) -> int | None:
        """The clause's subject: the last group that is not a relation's object."""
        for number in range(len(self.groups) - 1, -1, -1):
            if not self.groups[number].is_object:
                return number
        return None

    def _relate(self, phrase: _Phrase, after_and: bool) -> None:
        subject = self._subject()
        if subject is not None and not after_and:
            subject = len(self.groups) - 1
        self.relation = (subject, phrase)

    def _object(self, mention: int) -> None:
        assert self.relation is not None
        subject, phrase = self.relation
        self.relation = None
        self.groups.append(_Group([mention], is_object=True))
        if subject is None:
            self.waiting.append(("relation", (phrase.meaning, len(self.groups) - 1)))
        else:
            self.related.append((subject, phrase.meaning, len(self.groups) - 1))

    def _it(self, phrase: _Phrase) -> None:
        """The object is the group before the subject's."""
        subject, relation = self.relation or (None, phrase)
        if subject:
            self.related.append((subject, relation.meaning, subject - 1))
            self.relation = None
            return
        self._drop_relation()
        self.unclear.append(phrase.words)

    def _drop_relation(self) -> None:
        if self.relation:
            self.unclear.append(self.relation[1].words)
            self.relation = None

    def _connect(self, phrase: _Phrase, last: _Phrase | None) -> None:
        begins = phrase.sort == "opening" and (last is None or last.sort in ("and", "link"))
        follows = last is None and bool(self.groups or self.waiting or self.said)
        if not (begins or follows):
            self.unclear.append(phrase.words)
        self.hanging = phrase

    def _claim(self, phrase: _Phrase, after_link: bool) -> None:
        """Note what is said of the scene now, and what of a group when it is known."""
        sort, meaning = phrase.sort, phrase.meaning
        if sort in ("place", "page"):
            background, time = meaning[:2]
            self.said += [Background(background)] if background else []
            self.said += [Time(time)] if time else []
            if sort == "page":
                return
            meaning = meaning[2]
        subject = self._subject()
        if subject is None or self.waiting or (sort == "place" and after_link):
            self.waiting.append((sort, meaning))
        elif sort == "verb":
            self.about.append((subject, sort, meaning))
        else:
            self.about.append((self._nearest(sort, meaning), sort, meaning))

    def _nearest(self, sort: str, meaning: Any) -> int:
        """The last group, or for a place the last one that can be there."""
        numbers = range(len(self.groups) - 1, -1, -1)
        for number in numbers:
            kinds = [self.mentions[m].kind for m in self.groups[number].mentions]
            if sort != "place" or all((kind in SKY_KINDS) == meaning for kind in kinds):
                return number
        return len(self.groups) - 1

    def _wait_no_more(self) -> None:
        """Say of the group that has just begun what stood before it."""
        group = len(self.groups) - 1
        for sort, meaning in self.waiting:
            if sort == "relation":
                self.related.append((group, *meaning))
            else:
                self.about.append((group, sort, meaning))
        self.waiting = []

    def _told_of_groups(self) -> Iterator[Statement]:
        for group, sort, meaning in self.about:
            for mention in self.groups[group].mentions:
                match sort:
                    case "verb":
                        yield Does(mention, meaning)
                    case "side":
                        yield AtSide(mention, meaning)
                    case "place":
                        yield Located(mention, meaning)
        for group, relation, other in self.related:
            for mention in self.groups[group].mentions:
                for thing in self.groups[other].mentions:
                    yield Related(mention, relation, thing)
