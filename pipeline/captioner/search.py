"""Search: the best captions under a model that scores one word after another.

Apart from the model: everything here works from two functions, and tests use a table of word
chances for them.

    state = ...                               a tuple of tensors, (b, ...) each
    step(tokens, state) -> log-probabilities (b, v), state

Shapes: `b` pictures, `k` beam width, `v` vocabulary, `t` steps, that is words and the end mark.
A caption has at most `max_words` words; END follows the last one, and its log-probability counts.
Everything is `keras.ops` in one while-loop: it runs eagerly, compiled, and inside an export.
"""

from collections.abc import Callable
from typing import NamedTuple

from keras import ops, tree

from pipeline.captioner.decoders.base import IMPOSSIBLE, State, Tensor
from pipeline.text.marks import END, PAD, START

EMPTY = 0.5 * IMPOSSIBLE  # scores at or below mark a place where no caption was found
Step = Callable[[Tensor, State], tuple[Tensor, State]]


class Found(NamedTuple):
    """The n best captions of each picture, best first.

    Attributes:
        tokens: int32 (b, n, max_words + 1), END included, padded after it.
        scores: float32 (b, n), log-probability divided by length ** length_penalty.
        log_probs: float32 (b, n), of all words and the end mark.
    """

    tokens: Tensor
    scores: Tensor
    log_probs: Tensor


def greedy(step: Step, state: State, max_words: int) -> Found:
    """Take the likeliest word each time until it is END; n is 1.

    The score is the log-probability. After `max_words` words END is taken, likeliest or not.
    """
    pictures = ops.shape(state[0])[0]
    steps = max_words + 1
    place = ops.reshape(ops.arange(steps, dtype="int32"), (1, steps))

    def unfinished(at: Tensor, last: Tensor, *_: Tensor) -> Tensor:
        return ops.logical_and(at < steps, ops.any(last != END))

    def advance(
        at: Tensor, last: Tensor, tokens: Tensor, total: Tensor, state: State
    ) -> tuple[Tensor, ...]:
        log_probs, state = step(last, state)  # (b, v)
        word = ops.cast(ops.argmax(log_probs, axis=-1), "int32")
        word = ops.where(at == steps - 1, END, word)
        gain = ops.take_along_axis(log_probs, word[:, None], axis=1)[:, 0]
        going = last != END
        tokens = ops.where(ops.logical_and(place == at, going[:, None]), word[:, None], tokens)
        total = ops.where(going, total + gain, total)
        return at + 1, ops.where(going, word, END), tokens, total, state

    loop = (
        ops.convert_to_tensor(0, "int32"),
        ops.full((pictures,), START, "int32"),
        ops.full((pictures, steps), PAD, "int32"),
        ops.zeros((pictures,), "float32"),
        state,
    )
    _, _, tokens, total, _ = ops.while_loop(unfinished, advance, loop)
    return Found(tokens[:, None], total[:, None], total[:, None])


def beam(step: Step, state: State, width: int, max_words: int, length_penalty: float) -> Found:
    """Beam search with length normalisation.

    Every step keeps the `k` likeliest unfinished captions of each picture and, apart from them,
    the `k` best finished ones: a short caption that ended early cannot push out a better one that
    is still growing. It stops as soon as no unfinished caption of any picture can still win.

    Score of a caption: log-probability / length ** length_penalty, the length being its words and
    the end mark (Wu et al. 2016, section 7, in its plain form). With 0 it is the log-probability.

    Args:
        step: the model, see the module's head.
        state: before the first word, (b, ...) each.
        width: captions kept, k.
        max_words: bound on a caption's words.
        length_penalty: exponent, >= 0; larger values favour longer captions.

    Returns:
        The k best captions of each picture; places without a caption have a score below `EMPTY`.
    """
    pictures = ops.shape(state[0])[0]
    steps = max_words + 1
    lengths = [1.0] + [float(length**length_penalty) for length in range(1, steps + 1)]
    normaliser = ops.convert_to_tensor(lengths, "float32")  # by length

    state = tree.map_structure(lambda part: ops.repeat(part, width, axis=0), state)
    only_first = ops.convert_to_tensor([[0.0] + [IMPOSSIBLE] * (width - 1)], "float32")
    live_scores = ops.repeat(only_first, pictures, axis=0)  # (b, k): all beams begin alike
    live = ops.full((pictures, width, steps), PAD, "int32")
    last = ops.full((pictures * width,), START, "int32")
    done = ops.full((pictures, width, steps), PAD, "int32")
    done_scores = ops.full((pictures, width), 2 * IMPOSSIBLE, "float32")
    done_log_probs = ops.full((pictures, width), 2 * IMPOSSIBLE, "float32")
    place = ops.reshape(ops.arange(steps, dtype="int32"), (1, 1, steps))

    def unfinished(
        at: Tensor,
        last: Tensor,
        live: Tensor,
        live_scores: Tensor,
        done: Tensor,
        done_scores: Tensor,
        done_log_probs: Tensor,
        state: State,
    ) -> Tensor:
        # Log-probabilities only fall, so growing to the full length is the best that can happen.
        best = ops.max(live_scores, axis=1)
        hope = ops.logical_and(
            best > EMPTY, best / normaliser[steps] > ops.min(done_scores, axis=1)
        )
        return ops.logical_and(at < steps, ops.any(hope))

    def advance(
        at: Tensor,
        last: Tensor,
        live: Tensor,
        live_scores: Tensor,
        done: Tensor,
        done_scores: Tensor,
        done_log_probs: Tensor,
        state: State,
    ) -> tuple[Tensor, ...]:
        log_probs, state = step(last, state)  # (b * k, v)
        size = log_probs.shape[-1]
        log_probs = ops.reshape(log_probs, (-1, width, size)) + live_scores[:, :, None]
        ended = log_probs[:, :, END]  # (b, k)

        # The finished ones of this step join those of earlier steps; the best k stay. What is
        # impossible must not be divided: by a large length, it would pass for a caption.
        ended_tokens = ops.where(place == at, END, live)  # (b, k, t)
        scores = ops.where(ended > EMPTY, ended / normaliser[at + 1], 2 * IMPOSSIBLE)
        pool_scores = ops.concatenate([done_scores, scores], axis=1)
        done_scores, chosen = ops.top_k(pool_scores, width)  # (b, k) of 2k
        done = _pick(ops.concatenate([done, ended_tokens], axis=1), chosen)
        done_log_probs = _pick(ops.concatenate([done_log_probs, ended], axis=1), chosen)

        # The unfinished ones grow by a word that is not END. In the last step none may.
        end_mark = ops.reshape(ops.arange(size) == END, (1, 1, size))
        grown = ops.where(ops.logical_or(end_mark, at >= steps - 1), 2 * IMPOSSIBLE, log_probs)
        live_scores, chosen = ops.top_k(ops.reshape(grown, (-1, width * size)), width)
        parent, word = chosen // size, ops.cast(chosen % size, "int32")  # (b, k)
        live = ops.where(place == at, word[:, :, None], _pick(live, parent))
        first = ops.arange(ops.shape(parent)[0], dtype=parent.dtype)[:, None] * width
        rows = ops.reshape(parent + first, (-1,))  # (b * k,)
        state = tree.map_structure(lambda part: ops.take(part, rows, axis=0), state)
        last = ops.reshape(word, (-1,))
        return at + 1, last, live, live_scores, done, done_scores, done_log_probs, state

    at = ops.convert_to_tensor(0, "int32")
    loop = (at, last, live, live_scores, done, done_scores, done_log_probs, state)
    result = ops.while_loop(unfinished, advance, loop)
    return Found(tokens=result[4], scores=result[5], log_probs=result[6])


def _pick(values: Tensor, chosen: Tensor) -> Tensor:
    """Take beams by number: (b, m, ...) and int (b, k) -> (b, k, ...)."""
    index = ops.cast(chosen, "int32")
    while len(index.shape) < len(values.shape):
        index = index[..., None]
    return ops.take_along_axis(values, index, axis=1)
