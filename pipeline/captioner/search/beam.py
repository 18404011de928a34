"""Beam search with length normalisation. Shapes: see `base`."""

from keras import ops, tree

from pipeline.captioner.decoders.base import State, Tensor
from pipeline.captioner.decoders.scores import IMPOSSIBLE
from pipeline.captioner.search.base import (
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


def beam(
    step: Step,
    state: State,
    width: int,
    max_words: int,
    length_penalty: float,
    constraints: Constraints = NONE,
) -> Found:
    """Search the captions with the best scores.

    Every step keeps the `k` likeliest unfinished captions of each picture and, apart from them,
    the `k` best finished ones: a short caption that ended early cannot push out a better one that
    is still growing. It stops as soon as no unfinished caption of any picture can still win.

    Args:
        step: the model, see `base`.
        state: before the first word, (b, ...) each.
        width: captions kept, k.
        max_words: bound on a caption's words.
        length_penalty: exponent of the length, >= 0; larger values favour longer captions.
        constraints: what captions may not contain.

    Returns:
        The k best captions of each picture; places without a caption have a score below `EMPTY`.
    """
    pictures = ops.shape(state[0])[0]
    steps = max_words + 1
    norm = normaliser(steps, length_penalty)

    state = tree.map_structure(lambda part: ops.repeat(part, width, axis=0), state)
    only_first = ops.convert_to_tensor([[0.0] + [IMPOSSIBLE] * (width - 1)], "float32")
    live_scores = ops.repeat(only_first, pictures, axis=0)  # (b, k): all beams begin alike
    live = ops.full((pictures, width, steps), PAD, "int32")
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
        log_probs, state = step(last, state)  # (b * k, v)
        log_probs = constraints.apply(log_probs, ops.reshape(live, (-1, steps)), at)
        size = log_probs.shape[-1]
        log_probs = ops.reshape(log_probs, (-1, width, size)) + live_scores[:, :, None]
        done = finish(done, live, log_probs[:, :, END], at, norm)

        # The unfinished ones grow by a word that is not END. In the last step none may.
        grown = only_words(log_probs, at, steps)
        live_scores, chosen = ops.top_k(ops.reshape(grown, (-1, width * size)), width)
        parent, word = chosen // size, ops.cast(chosen % size, "int32")  # (b, k)
        live = ops.where(place == at, word[:, :, None], pick(live, parent))
        state = follow(state, parent, width)
        return at + 1, ops.reshape(word, (-1,)), live, live_scores, done, state

    at = ops.convert_to_tensor(0, "int32")
    loop = (at, last, live, live_scores, nothing(pictures, width, steps), state)
    return ops.while_loop(unfinished, advance, loop)[4]
