"""Captions drawn at random: nucleus sampling with temperature. Shapes: see `base`.

The random numbers are given, so that a search is a function of its inputs, the same when run
eagerly, compiled, exported, and under every backend.
"""

import zlib

import numpy as np
from keras import ops, tree

from pipeline.captioner.decoders.base import State, Tensor
from pipeline.captioner.search.base import EMPTY, OUT, Found, Step, distinct, normaliser
from pipeline.captioner.search.constraints import NONE, Constraints
from pipeline.text.marks import END, PAD, START


def sample(
    step: Step,
    state: State,
    uniforms: Tensor,
    max_words: int,
    top_p: float,
    temperature: float,
    length_penalty: float = 0.0,
    constraints: Constraints = NONE,
) -> Found:
    """Draw captions word by word, from the likeliest words alone.

    Source: Holtzman et al. 2020, "The curious case of neural text degeneration", section 3.1.
    After `max_words` words END is taken.

    Args:
        step: the model, see `base`.
        state: before the first word, (b, ...) each.
        uniforms: random numbers in [0, 1), float32 (b, n, max_words + 1): one for each step of
            each caption, see `uniforms_of`.
        max_words: bound on a caption's words.
        top_p: chance of the words that are drawn from, in (0, 1]; see `draw`.
        temperature: above 0; below 1 likely words become likelier, above 1 less so.
        length_penalty: exponent of the length in the score, >= 0.
        constraints: what captions may not contain.

    Returns:
        The captions drawn, each once, by falling score: places of captions drawn before have a
        score below `EMPTY`. Scores and log-probabilities are those of the model itself, whatever
        the temperature.
    """
    pictures, count = ops.shape(state[0])[0], uniforms.shape[1]
    steps = max_words + 1
    place = ops.reshape(ops.arange(steps, dtype="int32"), (1, steps))
    uniforms = ops.reshape(uniforms, (-1, steps))  # (b * n, t)

    def unfinished(at: Tensor, last: Tensor, *_: Tensor) -> Tensor:
        return ops.logical_and(at < steps, ops.any(last != END))

    def advance(
        at: Tensor, last: Tensor, tokens: Tensor, total: Tensor, length: Tensor, state: State
    ) -> tuple[Tensor, ...]:
        log_probs, state = step(last, state)  # (b * n, v)
        log_probs = constraints.apply(log_probs, tokens, at)
        word = draw(log_probs, ops.take(uniforms, at, axis=1), top_p, temperature)
        word = ops.where(at == steps - 1, END, word)
        gain = ops.take_along_axis(log_probs, word[:, None], axis=1)[:, 0]
        going = last != END
        tokens = ops.where(ops.logical_and(place == at, going[:, None]), word[:, None], tokens)
        total = ops.where(going, total + gain, total)
        length = ops.where(going, at + 1, length)
        return at + 1, ops.where(going, word, END), tokens, total, length, state

    loop = (
        ops.convert_to_tensor(0, "int32"),
        ops.full((pictures * count,), START, "int32"),
        ops.full((pictures * count, steps), PAD, "int32"),
        ops.zeros((pictures * count,), "float32"),
        ops.zeros((pictures * count,), "int32"),
        tree.map_structure(lambda part: ops.repeat(part, count, axis=0), state),
    )
    _, _, tokens, total, length, _ = ops.while_loop(unfinished, advance, loop)
    norm = ops.take(normaliser(steps, length_penalty), length, axis=0)
    scores = ops.where(total > EMPTY, total / norm, OUT)  # the impossible must not be divided
    return distinct(
        Found(
            ops.reshape(tokens, (-1, count, steps)),
            ops.reshape(scores, (-1, count)),
            ops.reshape(total, (-1, count)),
        )
    )


def draw(log_probs: Tensor, uniforms: Tensor, top_p: float, temperature: float) -> Tensor:
    """Draw a word from the nucleus: the likeliest words whose chances first add up to `top_p`.

    Args:
        log_probs: of all words, float32 (r, v).
        uniforms: in [0, 1), float32 (r,).
        top_p: in (0, 1]; 1: all words.
        temperature: above 0; what the log-probabilities are divided by before the nucleus is cut.

    Returns:
        int32 (r,).
    """
    chances = ops.softmax(log_probs / temperature, axis=-1)
    chances, words = ops.top_k(chances, chances.shape[-1])  # by falling chance, (r, v)
    before = ops.cumsum(chances, axis=-1) - chances
    inside = ops.logical_and(before < top_p, chances > 0)
    reach = ops.cumsum(ops.where(inside, chances, 0.0), axis=-1)
    passed = reach <= uniforms[:, None] * reach[:, -1:]
    number = ops.sum(ops.cast(passed, "int32"), axis=-1, keepdims=True)
    last = ops.sum(ops.cast(inside, "int32"), axis=-1, keepdims=True) - 1
    number = ops.minimum(number, last)  # rounding must not lead out of the nucleus
    return ops.cast(ops.take_along_axis(words, number, axis=1)[:, 0], "int32")


def uniforms_of(features: np.ndarray, seed: int, count: int, max_words: int) -> np.ndarray:
    """Draw the random numbers for pictures.

    Those of a picture depend on its features, on the seed and on `max_words` alone: not on the
    pictures that are searched beside it, their order, or how many are searched at once.

    Args:
        features: float32 (b, ...).
        seed: 0 or above.
        count: captions a picture, n.
        max_words: bound on a caption's words.

    Returns:
        float32 (b, n, max_words + 1), in [0, 1).
    """
    shape = (count, max_words + 1)
    keys = [zlib.crc32(np.ascontiguousarray(picture).tobytes()) for picture in features]
    drawn = [np.random.default_rng([seed, key]).random(shape, "float32") for key in keys]
    return np.stack(drawn) if drawn else np.zeros((0, *shape), "float32")
