"""Beam search for captions in which given words must occur. Shapes: see `base`.

A grid beam (Hokamp and Liu 2017, "Lexically constrained decoding for sequence generation using
grid beam search"), with the disjunctive sets of Anderson et al. (2017, "Guided open vocabulary
image captioning with constrained beam search"): of each set, one word must occur, such as "dog" or
"dogs". Captions are kept in banks by how many sets they have met: those of a bank compete with
each other alone, so that a caption cannot be pushed out by one that has dodged the required words.
Only captions of the last bank may end.

Here `c` is the number of sets, so that there are c + 1 banks.
"""

from collections.abc import Sequence

import numpy as np
from keras import ops, tree

from pipeline.captioner.decoders.base import State, Tensor
from pipeline.captioner.decoders.scores import IMPOSSIBLE
from pipeline.captioner.search.base import (
    OUT,
    Found,
    Step,
    can_win,
    finish,
    follow,
    normaliser,
    nothing,
    only_words,
    pick,
)
from pipeline.captioner.search.constraints import NONE, Constraints
from pipeline.text.marks import END, PAD, START


def beam_with(
    required: Sequence[Sequence[int]],
    step: Step,
    state: State,
    width: int,
    max_words: int,
    length_penalty: float,
    constraints: Constraints = NONE,
) -> Found:
    """Search the best captions that have a word of every required set.

    A caption is found whenever `max_words` allows it, however narrow the beam; it is the best one
    if the beam is wide enough. It works c + 1 times as much as a plain beam of the same width, and
    with c = 0 it is one.

    Args:
        required: sets of ids, c; no id is in two sets.
        step: the model, see `base`.
        state: before the first word, (b, ...) each.
        width: captions kept in each bank, k.
        max_words: bound on a caption's words; at least c.
        length_penalty: exponent of the length, >= 0; larger values favour longer captions.
        constraints: what captions may not contain.

    Returns:
        The k best captions of each picture; places without a caption have a score below `EMPTY`.
    """
    pictures = ops.shape(state[0])[0]
    steps, banks = max_words + 1, len(required) + 1
    norm = normaliser(steps, length_penalty)

    state = tree.map_structure(lambda part: ops.repeat(part, banks * width, axis=0), state)
    only_first = ops.convert_to_tensor([[0.0] + [IMPOSSIBLE] * (banks * width - 1)], "float32")
    live_scores = ops.repeat(only_first, pictures, axis=0)  # (b, (c + 1) * k)
    live = ops.full((pictures, banks * width, steps), PAD, "int32")
    last = ops.full((pictures * banks * width,), START, "int32")
    place = ops.reshape(ops.arange(steps, dtype="int32"), (1, 1, steps))

    def unfinished(
        at: Tensor, last: Tensor, live: Tensor, live_scores: Tensor, done: Found, state: State
    ) -> Tensor:
        at_best = constraints.at_best(live_scores, steps)
        return ops.logical_and(at < steps, ops.any(can_win(at_best, done, norm)))

    def advance(
        at: Tensor, last: Tensor, live: Tensor, live_scores: Tensor, done: Found, state: State
    ) -> tuple[Tensor, ...]:
        log_probs, state = step(last, state)  # (b * (c + 1) * k, v)
        tokens = ops.reshape(live, (-1, steps))
        log_probs = constraints.apply(log_probs, tokens, at)
        size = log_probs.shape[-1]
        log_probs = ops.reshape(log_probs, (-1, banks * width, size)) + live_scores[:, :, None]
        whole = slice((banks - 1) * width, None)  # the last bank
        done = finish(done, live[:, whole], log_probs[:, whole, END], at, norm)

        meets = ops.reshape(_meets(required, tokens, size), (-1, banks, width, size))
        grown = ops.reshape(only_words(log_probs, at, steps), (-1, banks, width, size))
        live_scores, parent, word = _choose(grown, meets)  # (b, (c + 1) * k) each
        live = ops.where(place == at, word[:, :, None], pick(live, parent))
        state = follow(state, parent, banks * width)
        return at + 1, ops.reshape(word, (-1,)), live, live_scores, done, state

    at = ops.convert_to_tensor(0, "int32")
    loop = (at, last, live, live_scores, nothing(pictures, width, steps), state)
    return ops.while_loop(unfinished, advance, loop)[4]


def _meets(required: Sequence[Sequence[int]], tokens: Tensor, size: int) -> Tensor:
    """Tell which next words meet a set that is not met yet: int32 (r, t) -> bool (r, v)."""
    meets = ops.zeros((1, size), "bool")
    for ids in required:
        there = ops.zeros_like(tokens, dtype="bool")
        for number in ids:
            there = ops.logical_or(there, tokens == number)
        unmet = ops.logical_not(ops.any(there, axis=1, keepdims=True))  # (r, 1)
        one_of = np.isin(np.arange(size), ids)[None]  # (1, v)
        meets = ops.logical_or(meets, ops.logical_and(unmet, one_of))
    return ops.broadcast_to(meets, (ops.shape(tokens)[0], size))


def _choose(grown: Tensor, meets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Choose the likeliest longer captions of each bank.

    Those of a bank come from the same bank, by a word that meets nothing new, or from the one
    before it, by a word that does.

    Args:
        grown: log-probabilities of every longer caption, (b, c + 1, k, v).
        meets: whether its last word meets a set, bool (b, c + 1, k, v).

    Returns:
        log-probability, number of the shorter caption in (c + 1) * k, and last word:
        (b, (c + 1) * k) each.
    """
    _, banks, width, size = grown.shape
    stay = ops.where(meets, OUT, grown)
    move = ops.where(meets, grown, OUT)
    moved = ops.concatenate([ops.full_like(move[:, :1], OUT), move[:, :-1]], axis=1)
    pool = ops.reshape(ops.concatenate([stay, moved], axis=2), (-1, banks, 2 * width * size))
    scores, chosen = ops.top_k(pool, width)  # (b, c + 1, k)
    row, word = chosen // size, ops.cast(chosen % size, "int32")  # row: of 2k
    bank = ops.reshape(ops.arange(banks, dtype=row.dtype), (1, banks, 1))
    parent = bank * width + ops.where(row < width, row, row - 2 * width)
    parent = ops.maximum(parent, 0)  # before the first bank there is none: impossible anyway
    flat = (-1, banks * width)
    return ops.reshape(scores, flat), ops.reshape(parent, flat), ops.reshape(word, flat)
