"""Several decoders of one shape, trained from different seeds, that score words together."""

from collections.abc import Sequence

import keras
from keras import ops

from pipeline.captioner.decoders.base import Decoder, Memory, State, Tensor


class Ensemble(Decoder):
    """Averages the log-probabilities of its members, word by word.

    The mean of log-probabilities (the geometric mean of probabilities) is scaled so that those of
    all words add up to 1 again, and a caption's log-probability is one. Members have read the same
    words before: there is one search, not one a member. Vinyals et al., "Show and Tell: Lessons
    Learned" (2017), section 4.3.2.

    Args:
        members: of the same settings, vocabulary and features; one or more.
    """

    def __init__(self, members: Sequence[Decoder]) -> None:
        # Not `Decoder.__init__`: an ensemble has no layers of its own.
        keras.Model.__init__(self, name="ensemble")
        first = members[0]
        self.members = list(members)
        self.settings = first.settings
        self.vocabulary_size = first.vocabulary_size
        self.feature_shape = first.feature_shape
        self.needs_grid = first.needs_grid
        self.attends = first.attends
        self.supports_jit = all(member.supports_jit for member in members)
        self.built = True  # as all its members are

    def call(self, inputs: tuple[Tensor, Tensor], training: bool = False) -> Tensor:
        """See `Decoder.call`; the logits are log-probabilities."""
        scores = [ops.log_softmax(member(inputs, training=training)) for member in self.members]
        return together(scores)

    def start(self, features: Tensor) -> State:
        """See `Decoder.start`: the states of all members, one after another."""
        return tuple(part for member in self.members for part in member.start(features))

    def memory(self, features: Tensor) -> Memory:
        """See `Decoder.memory`: those of all members, one after another."""
        return tuple(part for member in self.members for part in member.memory(features))

    def step(self, tokens: Tensor, state: State, memory: Memory = ()) -> tuple[Tensor, State]:
        """See `Decoder.step`."""
        scores: list[Tensor] = []
        after: list[Tensor] = []
        for member, own, known in zip(
            self.members, self._shared_out(state), self._shared_out(memory), strict=True
        ):
            log_probs, own = member.step(tokens, own, known)
            scores.append(log_probs)
            after.extend(own)
        return together(scores), tuple(after)

    def attend_all(
        self, inputs: tuple[Tensor, Tensor], training: bool = False
    ) -> tuple[Tensor, Tensor]:
        """See `Decoder.attend_all`; of both, the mean over the members."""
        found = [member.attend_all(inputs, training) for member in self.members]
        outputs, weights = (sum(parts) / len(found) for parts in zip(*found, strict=True))
        return outputs, weights

    def _shared_out(self, parts: tuple[Tensor, ...]) -> list[tuple[Tensor, ...]]:
        """Give each member its own: all have as many, being of one shape."""
        size = len(parts) // len(self.members)
        return [parts[size * place : size * (place + 1)] for place in range(len(self.members))]


def together(scores: Sequence[Tensor]) -> Tensor:
    """Average log-probabilities, (..., v) each, to such that add up to 1, (..., v)."""
    if len(scores) == 1:
        return scores[0]
    return ops.log_softmax(sum(scores) / len(scores), axis=-1)
