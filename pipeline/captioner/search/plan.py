"""From settings to a search: words become ids, and the method's function is called."""

import logging
from dataclasses import dataclass, replace

from pipeline.captioner.decoders.base import State, Tensor
from pipeline.captioner.search.base import Found, Step
from pipeline.captioner.search.beam import beam
from pipeline.captioner.search.constraints import Constraints
from pipeline.captioner.search.diverse import diverse
from pipeline.captioner.search.greedy import greedy
from pipeline.captioner.search.guide import Guide
from pipeline.captioner.search.required import beam_with
from pipeline.captioner.search.sampling import sample
from pipeline.captioner.search.settings import SearchSettings
from pipeline.errors import InputError
from pipeline.text.marks import MARKS
from pipeline.text.vocabulary import Vocabulary

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """Settings of a search, with their words as ids of one vocabulary.

    Attributes:
        settings: as given.
        constraints: what captions may not contain.
        required: sets of ids; a caption has one of each.
    """

    settings: SearchSettings
    constraints: Constraints
    required: tuple[tuple[int, ...], ...]


def plan(settings: SearchSettings, vocabulary: Vocabulary) -> Plan:
    """Look the settings' words up; a forbidden word that is unknown is told and left out.

    Raises:
        InputError: a required word is not in the vocabulary.
    """
    forbidden = []
    for word in settings.forbidden_words:
        number = _id(word, vocabulary)
        if number is None:
            log.warning("search: forbidden_words: %r is not in the vocabulary: left out", word)
        else:
            forbidden.append(number)
    constraints = Constraints(settings.min_words, settings.block_ngrams, tuple(forbidden))
    required = tuple(_known(words, vocabulary) for words in settings.required_sets)
    return Plan(settings, constraints, required)


def search(
    step: Step,
    state: State,
    planned: Plan,
    uniforms: Tensor | None = None,
    worth: Tensor | None = None,
) -> Found:
    """Search captions as the plan says.

    Args:
        step: the model, see `base`.
        state: before the first word, (b, ...) each.
        planned: see `plan`.
        uniforms: for method `sample` alone, see `sample`.
        worth: what words are worth, see `Guide`; none: nothing.

    Returns:
        What was found; the scores have what a guide has added, the log-probabilities have not.
    """
    if worth is None:
        return _search(step, state, planned, planned.constraints, uniforms)
    guide = Guide(worth)
    bounds = replace(planned.constraints, guide=guide)
    found = _search(step, state, planned, bounds, uniforms)
    return found._replace(log_probs=found.log_probs - guide.earned(found.tokens))


def _search(
    step: Step, state: State, planned: Plan, bounds: Constraints, uniforms: Tensor | None
) -> Found:
    """Search by the method of the settings."""
    settings = planned.settings
    width, most, penalty = settings.beam_width, settings.max_words, settings.length_penalty
    if settings.method == "sample":
        top_p, temperature = settings.sampling.top_p, settings.sampling.temperature
        return sample(step, state, uniforms, most, top_p, temperature, penalty, bounds)
    if settings.method == "diverse":
        groups, strength = settings.diverse.groups, settings.diverse.strength
        return diverse(step, state, width, groups, strength, most, penalty, bounds)
    if planned.required:
        return beam_with(planned.required, step, state, width, most, penalty, bounds)
    if width == 1:
        return greedy(step, state, most, bounds)
    return beam(step, state, width, most, penalty, bounds)


def _known(words: list[str], vocabulary: Vocabulary) -> tuple[int, ...]:
    """The ids of a required word and its alternatives, of which all must be known."""
    numbers = []
    for word in words:
        number = _id(word, vocabulary)
        if number is None:
            raise InputError(
                f"search: required_words: expected words of the vocabulary, in lower case. "
                f"Received: {word!r}. vocabulary.json of the model lists those it knows"
            )
        numbers.append(number)
    return tuple(numbers)


def _id(word: str, vocabulary: Vocabulary) -> int | None:
    """The id of a word; the marks are none."""
    number = vocabulary.ids.get(word)
    return None if number is None or number < len(MARKS) else number
