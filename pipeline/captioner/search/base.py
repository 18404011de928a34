"""What every search works from, and what it returns.

Search is apart from the model. It works from a state and one function, and tests use a table of
word chances for them:

    state = ...                               a tuple of tensors, (r, ...) each
    step(tokens, state) -> log-probabilities (r, v), state

Shapes, in all files of this folder: `b` pictures, `k` captions kept of each, `n` captions returned
of each, `r` rows (captions of all pictures, those of a picture side by side), `v` vocabulary,
`t` steps, that is words and the end mark. A caption has at most `max_words` words; END follows the
last one, and its log-probability counts.

Everything is `keras.ops` in one while-loop: it runs eagerly, compiled, and inside an export.
"""

from collections.abc import Callable
from typing import NamedTuple

from keras import ops, tree

from pipeline.captioner.decoders.base import State, Tensor
from pipeline.captioner.decoders.scores import IMPOSSIBLE
from pipeline.text.marks import END, PAD

EMPTY = 0.5 * IMPOSSIBLE  # scores at or below mark a place where no caption was found
OUT = 2 * IMPOSSIBLE  # the log-probability of what a search may not choose
Step = Callable[[Tensor, State], tuple[Tensor, State]]


class Found(NamedTuple):
    """The n best captions of each picture, best first.

    Attributes:
        tokens: int32 (b, n, max_words + 1), END included, padded after it.
        scores: float32 (b, n), log-probability divided by length ** length_penalty.
        log_probs: float32 (b, n), of all words and the end mark, under the model itself.
    """

    tokens: Tensor
    scores: Tensor
    log_probs: Tensor


def normaliser(steps: int, length_penalty: float) -> Tensor:
    """What a log-probability is divided by, by the caption's length: (steps + 1,).

    The length is that of the words and the end mark, to the power of the penalty (Wu et al. 2016,
    section 7, in its plain form). With 0, the score is the log-probability.
    """
    lengths = [1.0] + [float(length**length_penalty) for length in range(1, steps + 1)]
    return ops.convert_to_tensor(lengths, "float32")


def nothing(pictures: Tensor, width: int, steps: int) -> Found:
    """Begin without any caption."""
    return Found(
        ops.full((pictures, width, steps), PAD, "int32"),
        ops.full((pictures, width), OUT, "float32"),
        ops.full((pictures, width), OUT, "float32"),
    )


def finish(done: Found, live: Tensor, ended: Tensor, at: Tensor, norm: Tensor) -> Found:
    """Let captions that end at this step join those of earlier steps; the best k stay.

    Args:
        done: of earlier steps, k a picture.
        live: words of the captions that end now, (b, m, t).
        ended: their log-probabilities, the end mark's included, (b, m).
        at: place of the end mark.
        norm: see `normaliser`.
    """
    steps, width = live.shape[2], done.scores.shape[1]
    place = ops.reshape(ops.arange(steps, dtype="int32"), (1, 1, steps))
    tokens = ops.where(place == at, END, live)  # (b, m, t)
    # What is impossible must not be divided: by a large length, it would pass for a caption.
    scores = ops.where(ended > EMPTY, ended / norm[at + 1], OUT)
    scores, chosen = ops.top_k(ops.concatenate([done.scores, scores], axis=1), width)  # (b, k)
    return Found(
        pick(ops.concatenate([done.tokens, tokens], axis=1), chosen),
        scores,
        pick(ops.concatenate([done.log_probs, ended], axis=1), chosen),
    )


def can_win(at_best: Tensor, done: Found, norm: Tensor) -> Tensor:
    """Tell whether an unfinished caption can still be among the best.

    Args:
        at_best: what their log-probabilities can come to, (b, m).
        done: the finished ones, k a picture.
        norm: see `normaliser`.

    Returns:
        bool (b,).
    """
    best = ops.max(at_best, axis=1)
    # Of what is below 0, growing to the full length is the best that can happen; of what is
    # above, to end at once.
    score = ops.maximum(best / norm[-1], best / norm[1])
    return ops.logical_and(best > EMPTY, score > ops.min(done.scores, axis=1))


def only_words(log_probs: Tensor, at: Tensor, steps: int) -> Tensor:
    """Leave what makes a caption grow: no end mark, and in the last step nothing; (..., v)."""
    end_mark = ops.arange(log_probs.shape[-1]) == END
    return ops.where(ops.logical_or(end_mark, at >= steps - 1), OUT, log_probs)


def among(words: Tensor, size: int) -> Tensor:
    """Tell which words of the vocabulary are among some: int32 (r, k) -> bool (r, v)."""
    rows = ops.shape(words)[0]
    row = ops.broadcast_to(ops.arange(rows, dtype="int32")[:, None], ops.shape(words))
    index = ops.reshape(ops.stack([row, words], axis=-1), (-1, 2))
    return ops.scatter(index, ops.ones_like(index[:, 0]), (rows, size)) > 0


def pick(values: Tensor, chosen: Tensor) -> Tensor:
    """Take captions by number: (b, m, ...) and int (b, k) -> (b, k, ...)."""
    # As rows of one list: take_along_axis works out an index for every number of every row.
    rows = ops.reshape(values, (-1, *values.shape[2:]))  # (b * m, ...)
    return ops.take(rows, _rows_of(chosen, ops.shape(values)[1]), axis=0)


def follow(state: State, parent: Tensor, many: int) -> State:
    """Take the states of the captions that others go on from.

    Args:
        state: (b * m, ...) each.
        parent: number of that caption among its picture's, int (b, k).
        many: captions a picture, m.

    Returns:
        (b * k, ...) each.
    """
    rows = ops.reshape(_rows_of(parent, many), (-1,))  # (b * k,)
    followed: State = tree.map_structure(lambda part: ops.take(part, rows, axis=0), state)
    return followed


def _rows_of(chosen: Tensor, many: int | Tensor) -> Tensor:
    """Number captions among all pictures', m a picture: int (b, k) -> int32 (b, k)."""
    pictures = ops.shape(chosen)[0]
    return ops.cast(chosen, "int32") + many * ops.arange(pictures, dtype="int32")[:, None]


def distinct(found: Found) -> Found:
    """Sort by falling score, and leave each caption once: the places of others become empty."""
    tokens, scores, _ = found
    count = tokens.shape[1]
    same = ops.all(tokens[:, :, None] == tokens[:, None], axis=-1)  # (b, n, n)
    earlier = ops.arange(count)[None, :] < ops.arange(count)[:, None]  # column before row
    again = ops.any(ops.logical_and(same, earlier), axis=2)  # (b, n)
    scores, chosen = ops.top_k(ops.where(again, OUT, scores), count)
    return Found(pick(tokens, chosen), scores, pick(found.log_probs, chosen))
