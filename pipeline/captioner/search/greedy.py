"""Greedy search: the likeliest word each time. Shapes: see `base`."""

from keras import ops

from pipeline.captioner.decoders.base import State, Tensor
from pipeline.captioner.search.base import Found, Step
from pipeline.captioner.search.constraints import NONE, Constraints
from pipeline.text.marks import END, PAD, START


def greedy(step: Step, state: State, max_words: int, constraints: Constraints = NONE) -> Found:
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
        log_probs = constraints.apply(log_probs, tokens, at)
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
