"""Write captions of a scene as five people would who look at the same picture.

Most begin with the same thing, the most salient one, and differ in what else they tell: colour,
size, number, what the thing does, where it is, the time of day, and other things that are left of,
above, behind or next to it. Whatever a caption says is true of the scene, by the tables of
`lexicon.py` and the predicates of `scene.py`.

Captions look like those of Flickr8k's token file: a capital, words and commas between single
spaces, and mostly a full stop after a space.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.datasets.scenes import lexicon
from pipeline.datasets.scenes.scene import RELATIONS, Scene, Thing, side

CAPTIONS = 5  # a picture
COLOUR_TOLD, SIZE_TOLD, PLACE_TOLD = 0.85, 0.45, 0.8  # chances
HOUR_TOLD = {"day": 0.15, "night": 0.45}
USUAL_MAIN = 0.85  # chance that a caption begins with the most salient thing
FULL_STOP = 0.9
VAGUE, ALONE = 0.06, 0.03  # chance of "some dogs" for two, of "a single dog" for one
TWINS_APART = {True: 0.5, False: 0.12}  # chance to tell of two of a kind apart, if colours differ
SHORTEST, LONGEST = 5, 18  # words, commas included
TWO_THINGS, THREE_THINGS = 0.62, 0.25  # chance to tell of so many where there are as many
RELATION_WEIGHTS = {
    "left_of": 2.0,
    "right_of": 2.0,
    "above": 3.0,
    "below": 1.5,
    "next_to": 2.0,
    "in_front_of": 4.0,
    "behind": 2.0,
}


@dataclass(frozen=True)
class Unit:
    """Things that are told of together: one, or all of one kind."""

    things: tuple[Thing, ...]
    colour_needed: bool = False  # it tells the unit from another of the same kind
    another: bool = False  # the second of two that are alike

    @property
    def kind(self) -> str:
        """That all of the things have."""
        return self.things[0].kind

    @property
    def plural(self) -> bool:
        """Whether there is more than one."""
        return len(self.things) > 1

    @property
    def in_sky(self) -> bool:
        """Whether the things fly or hang in the air."""
        return self.things[0].in_sky


def write_captions(scene: Scene, rng: np.random.Generator) -> list[str]:
    """Write the captions of one picture, each of other words."""
    captions: dict[str, str] = {}  # words: caption
    while len(captions) < CAPTIONS:
        sentence = Teller(scene, rng).sentence()
        if SHORTEST <= len(sentence.split()) <= LONGEST:
            captions.setdefault(sentence.replace(" ,", ""), _finished(sentence, rng))
    return list(captions.values())


class Teller:
    """One person who looks at a scene and says one sentence."""

    def __init__(self, scene: Scene, rng: np.random.Generator) -> None:
        self.scene = scene
        self.rng = rng
        self.units = self._units()

    def sentence(self) -> str:
        """Say a sentence about as many things as come to mind, in lower case."""
        units = list(self.units)
        if len(units) > 1 and not self._chance(USUAL_MAIN):
            chosen = int(self.rng.integers(1, len(units)))
            units = [units[chosen], *units[:chosen], *units[chosen + 1 :]]
        units[0] = replace(units[0], another=False)
        words = None
        if len(units) > 2 and self._chance(THREE_THINGS):
            words = self._form(OF_THREE)(self, *units[:3])
        elif len(units) > 1 and self._chance(TWO_THINGS):
            other = units[1 if self._chance(0.7) else int(self.rng.integers(1, len(units)))]
            words = self._form(OF_TWO)(self, units[0], other)
        while words is None:
            words = self._form(OF_ONE)(self, units[0])
        return words

    # --- sentences about one unit -------------------------------------------------------------

    def _does(self, unit: Unit) -> str:
        """A big red house stands on the grass at night."""
        return self._join(self._name(unit), self._verb([unit]), self._setting([unit]))

    def _there_is(self, unit: Unit) -> str:
        """There is a big red house on the grass."""
        opening = self._usual(lexicon.OPENINGS[unit.plural])
        return self._join(opening, self._name(unit), self._setting([unit]))

    def _is_there(self, unit: Unit) -> str:
        """A big red house is on the grass."""
        return self._join(self._name(unit), self._be([unit]), self._setting([unit], always=True))

    def _doing(self, unit: Unit) -> str:
        """A big red house standing on the grass."""
        doing = self._verb_forms([unit])[2]
        return self._join(self._name(unit), doing, self._setting([unit], always=True))

    def _just(self, unit: Unit) -> str:
        """A big red house on the grass at night."""
        return self._join(self._name(unit), self._setting([unit], always=True))

    def _place_first(self, unit: Unit) -> str:
        """On the grass there is a big red house. / On the grass stands a big red house."""
        where = self._where([unit], always=True)
        if self._chance(0.4):
            return self._join(
                where, self._verb_forms([unit], first=True)[unit.plural], self._name(unit)
            )
        opening = lexicon.OPENINGS[unit.plural][0]
        return self._join(where, opening, self._name(unit), self._hour())

    def _hour_first(self, unit: Unit) -> str:
        """At night a big red house stands on the grass."""
        hour = self._hour(always=True) + (" ," if self._chance(0.4) else "")
        return self._join(hour, self._name(unit), self._verb([unit]), self._where([unit]))

    def _title(self, unit: Unit) -> str:
        """A picture of a big red house on the grass."""
        title = self._usual(lexicon.TITLES)
        return self._join(title, self._name(unit), self._setting([unit]))

    def _page(self, unit: Unit) -> str:
        """A snowy night with a big red house."""
        page = self._usual(lexicon.PAGES[self.scene.background, self.scene.time])
        return self._join(page, lexicon.WITH, self._name(unit))

    def _at_side(self, unit: Unit) -> str | None:
        """A big red house stands on the left."""
        where = self._side(unit)
        if where is None:
            return None
        return self._join(self._name(unit), self._verb([unit]), where, self._hour())

    # --- sentences about two ------------------------------------------------------------------

    def _is_related(self, unit: Unit, other: Unit) -> str | None:
        """A dog is to the left of a small tree on the grass."""
        relation = self._relation(unit, other)
        if relation is None:
            return None
        verb = self._be([unit]) if self._chance(0.5) else self._verb([unit])
        named = self._join(self._name(unit), verb, relation, self._name(other, unit))
        return self._join(named, self._setting([other]))

    def _place_related(self, unit: Unit, other: Unit) -> str | None:
        """A dog stands on the grass next to a small tree."""
        relation = self._relation(unit, other)
        if relation is None:
            return None
        name, where = self._name(unit), self._where([unit])
        verb = self._verb([unit]) if self._chance(0.6) else ""
        return self._join(name, verb, where, relation, self._name(other))

    def _there_related(self, unit: Unit, other: Unit) -> str | None:
        """There is a dog behind a small tree."""
        relation = self._relation(unit, other)
        if relation is None:
            return None
        opening = self._usual(lexicon.OPENINGS[unit.plural])
        where = self._where([other])
        return self._join(opening, self._name(unit), relation, self._name(other, unit), where)

    def _just_related(self, unit: Unit, other: Unit) -> str | None:
        """A dog next to a small tree at night."""
        relation = self._relation(unit, other)
        if relation is None:
            return None
        setting = self._setting([other])
        return self._join(self._name(unit), relation, self._name(other, unit), setting)

    def _relation_first(self, unit: Unit, other: Unit) -> str | None:
        """Behind a small tree there is a dog. / Behind a small tree stands a dog."""
        relation = self._relation(unit, other)
        if relation is None or unit.another:
            return None
        middle = lexicon.OPENINGS[unit.plural][0]
        if self._chance(0.4):
            middle = self._verb_forms([unit], first=True)[unit.plural]
        return self._join(relation, self._name(other), middle, self._name(unit))

    def _with_related(self, unit: Unit, other: Unit) -> str | None:
        """A small tree with a dog beside it."""
        relation = self._relation(other, unit)
        if relation is None or unit.plural:
            return None
        name, where = self._name(unit), self._where([unit]) if self._chance(0.4) else ""
        return self._join(name, where, lexicon.WITH, self._name(other), relation, lexicon.IT)

    def _both(self, unit: Unit, other: Unit) -> str | None:
        """A dog and a cat are on the grass. / There is a dog and a cat in the snow."""
        names = self._join(self._name(unit), lexicon.AND, self._name(other, unit))
        hour = self._hour()
        if unit.in_sky != other.in_sky:
            opening = self._usual((*lexicon.OPENINGS[unit.plural], ""))
            return self._join(opening, names, hour)
        where = self._where([unit, other], always=True)
        way = self.rng.random()
        if way < 0.35:
            return self._join(names, "are", where, hour)
        if way < 0.6:
            return self._join(names, self._verb([unit, other]) or "are", where, hour)
        if way < 0.8:
            return self._join(names, where, hour)
        return self._join(self._usual(lexicon.OPENINGS[unit.plural]), names, where, hour)

    def _each(self, unit: Unit, other: Unit) -> str | None:
        """A dog stands on the grass while a bird flies in the sky."""
        link = lexicon.WHILE if self._chance(0.5) else lexicon.AND
        first = self._join(self._name(unit), self._verb([unit]), self._where([unit]))
        if unit.in_sky == other.in_sky:
            return self._join(first, link, self._name(other), self._verb([other]))
        where = self._where([other], always=True)
        if self._chance(0.3):
            middle = lexicon.OPENINGS[other.plural][0]
            return self._join(first, lexicon.AND, where, middle, self._name(other))
        return self._join(first, link, self._name(other), self._verb([other]), where)

    def _sides(self, unit: Unit, other: Unit) -> str | None:
        """A dog on the left and a small tree on the right."""
        first, second = self._side(unit), self._side(other)
        if first is None or second is None or first == second:
            return None
        return self._join(self._name(unit), first, lexicon.AND, self._name(other, unit), second)

    def _page_with_both(self, unit: Unit, other: Unit) -> str | None:
        """A snowy night with a dog and a small tree."""
        page = self._usual(lexicon.PAGES[self.scene.background, self.scene.time])
        return self._join(
            page, lexicon.WITH, self._name(unit), lexicon.AND, self._name(other, unit)
        )

    # --- sentences about three ----------------------------------------------------------------

    def _all(self, unit: Unit, other: Unit, third: Unit) -> str | None:
        """A dog , a cat and a bird on the grass."""
        names = self._join(
            self._name(unit), ",", self._name(other), lexicon.AND, self._name(third)
        )  # fmt: skip
        alike = unit.in_sky == other.in_sky == third.in_sky
        where = self._where([unit, other, third], always=True) if alike else ""
        if not where or self._chance(0.4):
            names = self._join(self._usual(lexicon.OPENINGS[unit.plural]), names)
        return self._join(names, where, self._hour())

    def _related_and(self, unit: Unit, other: Unit, third: Unit) -> str | None:
        """A dog next to a cat and a bird in the sky."""
        relation = self._relation(unit, other)
        if relation is None:
            return None
        first = self._join(self._name(unit), relation, self._name(other))
        verb = self._verb([third]) if self._chance(0.5) else ""
        where = self._where([third], always=True)
        if self._chance(0.5):
            first = self._join(self._name(unit), self._be([unit]), relation, self._name(other))
            verb = self._verb([third])
        return self._join(first, lexicon.AND, self._name(third), verb, where)

    def _two_places(self, unit: Unit, other: Unit, third: Unit) -> str | None:
        """A dog and a cat are on the grass and a bird is in the sky."""
        if unit.in_sky != other.in_sky or third.in_sky == unit.in_sky:
            return None
        names = self._join(self._name(unit), lexicon.AND, self._name(other))
        where, there = self._where([unit, other], always=True), self._where([third], always=True)
        link = lexicon.WHILE if self._chance(0.4) else lexicon.AND
        verb = self._verb([third]) if self._chance(0.6) else self._be([third])
        return self._join(names, "are", where, link, self._name(third), verb, there)

    # --- parts --------------------------------------------------------------------------------

    def _units(self) -> list[Unit]:
        """Group the scene's things by kind, in order of salience."""
        by_kind: dict[str, list[Thing]] = {}
        for thing in self.scene.things:
            by_kind.setdefault(thing.kind, []).append(thing)
        units: list[Unit] = []
        for alike in by_kind.values():
            units += self._split(alike)
        return units

    def _split(self, alike: list[Thing]) -> list[Unit]:
        """Tell of all together or, sometimes, of two apart."""
        differ = alike[0].colour != alike[-1].colour
        if len(alike) != 2 or not self._chance(TWINS_APART[differ]):
            return [Unit(tuple(alike))]
        first, second = alike
        return [Unit((first,), differ), Unit((second,), differ, another=not differ)]

    def _name(self, unit: Unit, after: Unit | None = None) -> str:
        """A noun with its article or number, size and colour: "two small red balls".

        Just after a unit of the same kind it may be "a blue one".
        """
        if unit.another:
            return f"another {self._noun(unit)}"
        if after and after.kind == unit.kind and unit.colour_needed and self._chance(0.6):
            colour = unit.things[0].colour
            return f"{_article(colour)} {colour} {lexicon.ONE}"
        colour = self._shared([t.colour for t in unit.things])
        if not (unit.colour_needed or self._chance(COLOUR_TOLD)):
            colour = ""
        size = self._shared([t.size for t in unit.things])
        size = self._usual(lexicon.SIZES[size]) if size and self._chance(SIZE_TOLD) else ""
        if unit.kind == "child" and colour:
            with_coat = lexicon.DRESSED[2 if unit.plural else 1]
            dress = with_coat if self._chance(0.5) else lexicon.DRESSED[0]
            dressed = dress.format(colour=colour, article=_article(colour))
            return self._counted(unit, self._join(size, self._noun(unit), dressed))
        return self._counted(unit, self._join(size, colour, self._noun(unit)))

    def _counted(self, unit: Unit, rest: str) -> str:
        if not unit.plural:
            alone = sum(thing.kind == unit.kind for thing in self.scene.things) == 1
            if alone and self._chance(ALONE):
                rest = f"{self._usual(lexicon.SINGLE)} {rest}"
            return f"{_article(rest)} {rest}"
        count = len(unit.things)
        if self._chance(VAGUE):
            some = [
                word for least, words in lexicon.SOME.items() if least <= count for word in words
            ]
            return self._join(self._usual((*some, "")), rest)
        return f"{self._usual(lexicon.COUNTS[count])} {rest}"

    def _noun(self, unit: Unit) -> str:
        return self._usual([forms[unit.plural] for forms in lexicon.NOUNS[unit.kind]])

    def _shared(self, values: list[str]) -> str:
        return values[0] if len(set(values)) == 1 else ""

    def _verb_forms(self, units: Sequence[Unit], first: bool = False) -> tuple[str, str, str]:
        """A verb for what all of the units do here: one does, two do, doing.

        With `first`, it is the lexicon's first, which may stand before its subject.
        """
        fitting = [
            forms
            for forms, doers in lexicon.VERBS.items()
            if all(self.scene.background in doers.get(unit.kind, ()) for unit in units)
        ]
        if not fitting:
            return ("is", "are", "")
        return fitting[0 if first else self._usual_index(len(fitting))]

    def _verb(self, units: Sequence[Unit]) -> str:
        """Stands, or: is standing."""
        does, do, doing = self._verb_forms(units)
        plural = len(units) > 1 or units[0].plural
        if doing and self._chance(0.4):
            return f"{self._be(units)} {doing}"
        return do if plural else does

    def _be(self, units: Sequence[Unit]) -> str:
        return lexicon.ARE[len(units) > 1 or units[0].plural]

    def _where(self, units: Sequence[Unit], always: bool = False) -> str:
        """On the grass, in the sky; nothing by chance unless `always`."""
        if not (always or self._chance(PLACE_TOLD)):
            return ""
        background, time = self.scene.background, self.scene.time
        if units[0].in_sky:
            if self._chance(0.6):
                return self._usual((*lexicon.SKIES[None], *lexicon.SKIES[time]))
            return self._usual(lexicon.BELOW_SKY[background])
        if all(unit.kind == "fish" for unit in units):
            return self._usual(lexicon.UNDER_WATER)
        return self._usual(lexicon.SURFACES[background])

    def _setting(self, units: Sequence[Unit], always: bool = False) -> str:
        """Where it is, and at what time of day."""
        where = self._where(units, always)
        return where if where in lexicon.SKIES[self.scene.time] else self._join(where, self._hour())

    def _hour(self, always: bool = False) -> str:
        if always or self._chance(HOUR_TOLD[self.scene.time]):
            return self._usual(lexicon.HOURS[self.scene.time])
        return ""

    def _side(self, unit: Unit) -> str | None:
        where = {side(thing) for thing in unit.things}
        return self._usual(lexicon.SIDES[where.pop()]) if len(where) == 1 else None

    def _relation(self, unit: Unit, other: Unit) -> str | None:
        """A true relation of all of the unit to all of the other one, or None."""
        pairs = [(a, b) for a in unit.things for b in other.things]
        true = [name for name, holds in RELATIONS.items() if all(holds(a, b) for a, b in pairs)]
        if not true:
            return None
        weights = np.array([RELATION_WEIGHTS[name] for name in true])
        name = true[int(self.rng.choice(len(true), p=weights / weights.sum()))]
        return self._usual(lexicon.RELATIONS[name])

    # --- chance -------------------------------------------------------------------------------

    def _chance(self, part: float) -> bool:
        return bool(self.rng.random() < part)

    def _usual_index(self, count: int) -> int:
        """Choose one of `count`, the first ones more often than the last."""
        weights = 1.0 / np.arange(1, count + 1) ** 1.3
        return int(self.rng.choice(count, p=weights / weights.sum()))

    def _usual(self, choices: Sequence[str]) -> str:
        return choices[self._usual_index(len(choices))]

    def _form(self, forms: Sequence[tuple[float, "Form"]]) -> "Form":
        weights = np.array([weight for weight, _ in forms])
        return forms[int(self.rng.choice(len(forms), p=weights / weights.sum()))][1]

    @staticmethod
    def _join(*parts: str) -> str:
        return " ".join(part for part in parts if part)


Form = Callable[..., str | None]
OF_ONE: tuple[tuple[float, Form], ...] = (
    (4.0, Teller._does),
    (3.0, Teller._there_is),
    (1.5, Teller._is_there),
    (2.0, Teller._doing),
    (1.5, Teller._just),
    (0.8, Teller._place_first),
    (0.6, Teller._hour_first),
    (0.6, Teller._title),
    (0.6, Teller._page),
    (0.5, Teller._at_side),
)
OF_TWO: tuple[tuple[float, Form], ...] = (
    (3.0, Teller._is_related),
    (1.5, Teller._place_related),
    (1.5, Teller._there_related),
    (2.0, Teller._just_related),
    (0.6, Teller._relation_first),
    (0.8, Teller._with_related),
    (2.5, Teller._both),
    (1.2, Teller._each),
    (0.7, Teller._sides),
    (0.4, Teller._page_with_both),
)
OF_THREE: tuple[tuple[float, Form], ...] = (
    (2.0, Teller._all),
    (1.5, Teller._related_and),
    (1.5, Teller._two_places),
)


def _article(following: str) -> str:
    return "an" if following[0] in "aeiou" else "a"


def _finished(sentence: str, rng: np.random.Generator) -> str:
    stop = " ." if rng.random() < FULL_STOP else ""
    return sentence[0].upper() + sentence[1:] + stop
