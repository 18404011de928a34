"""Diverse beam search (Vijayakumar et al. 2018, "Diverse Beam Search"). Shapes: see `base`.

Here `k` is the width of one group and `g` the number of groups.
"""

from keras import ops, tree

from pipeline.captioner.decoders.base import State, Tensor
from pipeline.captioner.decoders.scores import IMPOSSIBLE
from pipeline.captioner.search.base import (
    EMPTY,
    Found,
    Step,
    can_win,
    distinct,
    finish,
    follow,
    normaliser,
    nothing,
    only_words,
    pick,
)
from pipeline.captioner.search.constraints import NONE, Constraints
from pipeline.text.marks import END, PAD, START


def diverse(
    step: Step,
    state: State,
    width: int,
    groups: int,
    strength: float,
    max_words: int,
    length_penalty: float,
    constraints: Constraints = NONE,
) -> Found:
    """Search with groups of beams that keep out of each other's way.

    In every step the groups choose one after another. A word costs a group `strength` for every
    beam of the groups before it that has just chosen the same word (Hamming diversity). The cost
    steers the choice of this step and is not carried on: captions keep the model's own
    log-probability, and finished ones are ranked by it. The end mark costs nothing.

    Args:
        step: the model, see `base`.
        state: before the first word, (b, ...) each.
        width: captions kept in all groups together, g * k.
        groups: g, at least 1, of which `width` is a multiple; with 1 this is a plain beam.
        strength: cost in nats, >= 0; with 0 all groups find the same.
        max_words: bound on a caption's words.
        length_penalty: exponent of the length, >= 0; larger values favour longer captions.
        constraints: what captions may not contain.

    Returns:
        The captions of all groups, each once, best first: n is `width`, and places of captions
        that several groups have found have a score below `EMPTY`.
    """
    pictures = ops.shape(state[0])[0]
    steps, kept = max_words + 1, width // groups
    norm = normaliser(steps, length_penalty)

    state = tree.map_structure(lambda part: ops.repeat(part, width, axis=0), state)
    only_first = ops.convert_to_tensor([[0.0] + [IMPOSSIBLE] * (kept - 1)], "float32")
    live_scores = ops.repeat(only_first, pictures * groups, axis=0)  # (b * g, k)
    live = ops.full((pictures * groups, kept, steps), PAD, "int32")
    last = ops.full((pictures * width,), START, "int32")
    place = ops.reshape(ops.arange(steps, dtype="int32"), (1, 1, steps))

    def unfinished(
        at: Tensor, last: Tensor, live: Tensor, live_scores: Tensor, done: Found, state: State
    ) -> Tensor:
        at_best = constraints.at_best(live_scores, steps)
        return ops.logical_and(at < steps, ops.any(can_win(at_best, done, norm)))

    def advance(
        at: Tensor, last: Tensor, live: Tensor, live_scores: Tensor, done: Found, state: State
    ) -> tuple[Tensor, ...]:
        log_probs, state = step(last, state)  # (b * g * k, v)
        log_probs = constraints.apply(log_probs, ops.reshape(live, (-1, steps)), at)
        size = log_probs.shape[-1]
        log_probs = ops.reshape(log_probs, (-1, kept, size)) + live_scores[:, :, None]
        done = finish(done, live, log_probs[:, :, END], at, norm)

        grown = ops.reshape(only_words(log_probs, at, steps), (-1, groups, kept * size))
        live_scores, chosen = _choose(grown, size, kept, strength)  # (b * g, k)
        parent, word = chosen // size, ops.cast(chosen % size, "int32")
        live = ops.where(place == at, word[:, :, None], pick(live, parent))
        state = follow(state, parent, kept)
        return at + 1, ops.reshape(word, (-1,)), live, live_scores, done, state

    at = ops.convert_to_tensor(0, "int32")
    loop = (at, last, live, live_scores, nothing(pictures * groups, kept, steps), state)
    done = ops.while_loop(unfinished, advance, loop)[4]
    return distinct(
        Found(
            ops.reshape(done.tokens, (-1, width, steps)),
            ops.reshape(done.scores, (-1, width)),
            ops.reshape(done.log_probs, (-1, width)),
        )
    )


def _choose(grown: Tensor, size: int, kept: int, strength: float) -> tuple[Tensor, Tensor]:
    """Choose each group's next words, the groups one after another.

    Args:
        grown: log-probabilities of every longer caption, (b, g, k * v).
        size: v.
        kept: k.
        strength: see `diverse`.

    Returns:
        The log-probabilities of those chosen, and their places in k * v: (b * g, k) each.
    """
    said = ops.zeros_like(grown[:, 0, :size])  # (b, v): how often each word was chosen just now
    scores, places = [], []
    for group in range(grown.shape[1]):
        cost = ops.tile(strength * said, (1, kept))  # (b, k * v)
        _, chosen = ops.top_k(grown[:, group] - cost, kept)  # (b, k)
        own = pick(grown[:, group], chosen)
        words = ops.one_hot(chosen % size, size, dtype="float32")  # (b, k, v)
        real = ops.cast(own > EMPTY, "float32")[:, :, None]
        said = said + ops.sum(words * real, axis=1)
        scores.append(own)
        places.append(chosen)
    both = ops.stack(scores, axis=1), ops.stack(places, axis=1)  # (b, g, k)
    return ops.reshape(both[0], (-1, kept)), ops.reshape(both[1], (-1, kept))
