"""Tell whether a caption of *scenes* is true of its picture.

A caption is true where it mentions a thing and every statement that `reading.py` finds in it is
true of the scene. The statements are judged together, for the mentions stand for things:

- Each mention is of other things than every other mention: "a house and a house" needs two houses,
  "a red house and a blue car" is untrue of a blue house and a red car.
- "a dog" is any one that fits colour and size. "two dogs" needs exactly two in the scene that fit:
  with two red dogs and a blue one, "two red dogs" is true and "two dogs" is not, and neither is
  "a dog and two dogs". "dogs" and "some dogs" are all that fit.
- A relation holds where its predicate in `scene.py` does, for all pairs of the mentions' things.
- A verb is true where `lexicon.VERBS` says that the kind does so on the background.
- Of all ways to choose things for the mentions, the one that makes most statements true counts; of
  equal ones the first. Mentions beyond the fourth are of nothing: no scene has more things.
- What is unclear is never true.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.datasets.scenes import lexicon
from pipeline.datasets.scenes.reading import (
    AtSide,
    Background,
    Does,
    Exists,
    Located,
    Related,
    Statement,
    Time,
    Unclear,
    statements,
)
from pipeline.datasets.scenes.scene import (
    MOST_THINGS,
    RELATIONS,
    Scene,
    Thing,
    from_facts,
    side,
)

DOERS = {forms[1]: doers for forms, doers in lexicon.VERBS.items()}


def untrue(said: Sequence[Statement], facts: Mapping[str, Any]) -> list[Statement]:
    """Give those statements of one caption that are not true of the scene.

    Args:
        said: what `statements` gave.
        facts: of the picture, as in `scene.py`.
    """
    scene = from_facts(facts)
    mentions = [statement for statement in said if isinstance(statement, Exists)]
    best: list[Statement] | None = None
    for choice in _choices(mentions[:MOST_THINGS], scene.things):
        wrong = [statement for statement in said if not _holds(statement, choice, scene)]
        if best is None or len(wrong) < len(best):
            best = wrong
        if not best:
            break
    return best or []


def is_true(tokens: Sequence[str], facts: Mapping[str, Any]) -> bool:
    """Whether a caption mentions a thing and states nothing that is not true of the scene."""
    said = statements(tokens)
    return any(isinstance(s, Exists) for s in said) and not untrue(said, facts)


def fact_accuracy(
    captions: Mapping[str, Sequence[str]], facts: Mapping[str, Mapping[str, Any]]
) -> float:
    """Give the share of captions that are true, in [0, 1].

    Args:
        captions: the words of one caption a picture, by the picture's id.
        facts: by the same ids; there may be more of them.

    Raises:
        KeyError: a caption's picture has no facts.
        ValueError: there are no captions.
    """
    if not captions:
        raise ValueError("fact_accuracy: expected captions. Received: none")
    return sum(is_true(tokens, facts[image]) for image, tokens in captions.items()) / len(captions)


# --- truth ------------------------------------------------------------------------------------

Choice = Mapping[int, Sequence[Thing]]  # the things that each mention is of; absent: none fit


def _choices(
    mentions: Sequence[Exists], things: Sequence[Thing], taken: Sequence[Thing] = ()
) -> Iterator[dict[int, list[Thing]]]:
    """Every way to give mentions different things, or none; those that give most come first."""
    if not mentions:
        yield {}
        return
    mention, *rest = mentions
    for chosen in _fitting(mention, things):
        if not any(thing is other for thing in chosen for other in taken):
            for others in _choices(rest, things, (*taken, *chosen)):
                yield {mention.mention: chosen, **others}
    yield from _choices(rest, things, taken)


def _fitting(mention: Exists, things: Sequence[Thing]) -> list[list[Thing]]:
    """The sets of things that a mention may be of, other mentions apart."""
    fits = [
        thing
        for thing in things
        if thing.kind == mention.kind
        and mention.colour in (None, thing.colour)
        and mention.size in (None, thing.size)
    ]
    if mention.least == 1 and mention.most is None:
        return [[thing] for thing in fits]
    enough = len(fits) >= mention.least
    return [fits] if enough and (mention.most is None or len(fits) <= mention.most) else []


def _holds(statement: Statement, choice: Choice, scene: Scene) -> bool:
    match statement:
        case Background(value):
            return value == scene.background
        case Time(value):
            return value == scene.time
        case Unclear():
            return False
        case Related(mention, relation, other):
            holds = RELATIONS[relation]
            pairs = [(a, b) for a in choice.get(mention, ()) for b in choice.get(other, ())]
            return bool(pairs) and all(holds(a, b) for a, b in pairs)
        case Exists(mention) | Does(mention) | Located(mention) | AtSide(mention):
            things = choice.get(mention, ())
            return bool(things) and all(_is_so(statement, thing, scene) for thing in things)


def _is_so(statement: Statement, thing: Thing, scene: Scene) -> bool:
    match statement:
        case Does(_, verb):
            return scene.background in DOERS[verb].get(thing.kind, ())
        case Located(_, in_sky):
            return thing.in_sky == in_sky
        case AtSide(_, where):
            return side(thing) == where
    return True
