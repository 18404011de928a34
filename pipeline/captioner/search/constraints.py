"""What a caption may not contain, and what it should: changes of the next word's log-probabilities.

They are made before a search chooses, and so work with every search alike. What is allowed keeps
its log-probability, so that a caption's score is the one that the model itself gives it; a guide
adds to it.
"""

from dataclasses import dataclass

import numpy as np
from keras import ops

from pipeline.captioner.decoders.base import Tensor
from pipeline.captioner.search.base import OUT, among
from pipeline.captioner.search.guide import Guide
from pipeline.text.marks import END, PAD


@dataclass(frozen=True)
class Constraints:
    """Bounds on captions, and what they are steered to.

    Attributes:
        min_words: a caption does not end before it has as many.
        block_ngrams: no words in a row, as many as this, come twice (Paulus et al. 2018,
            section 2.5); 0: they may.
        forbidden: ids that no caption contains.
        guide: what words are worth; none: nothing.
    """

    min_words: int = 0
    block_ngrams: int = 0
    forbidden: tuple[int, ...] = ()
    guide: Guide | None = None

    def apply(self, log_probs: Tensor, tokens: Tensor, at: Tensor) -> Tensor:
        """Add what words are worth, and make impossible what is not allowed.

        Without a guide and any bounds, this is nothing.

        Args:
            log_probs: of the next word, float32 (r, v).
            tokens: the words so far, int32 (r, t), padded.
            at: how many words there are, an integer.

        Returns:
            float32 (r, v); `OUT` is not allowed.
        """
        size = log_probs.shape[-1]
        if self.guide is not None:
            log_probs = self.guide.add(log_probs, tokens)
        if self.forbidden:
            never = np.isin(np.arange(size), self.forbidden)  # (v,)
            log_probs = ops.where(never[None], OUT, log_probs)
        if self.min_words:
            too_early = ops.logical_and(ops.arange(size) == END, at < self.min_words)  # (v,)
            log_probs = ops.where(too_early[None], OUT, log_probs)
        if 0 < self.block_ngrams < tokens.shape[1]:  # longer ones do not fit into a caption
            log_probs = ops.where(_repeats(tokens, at, self.block_ngrams, size), OUT, log_probs)
        return log_probs

    def at_best(self, scores: Tensor, steps: int) -> Tensor:
        """Tell what the log-probabilities of unfinished captions can come to: as `scores`.

        Those of words only take away; a guide may add.
        """
        return scores if self.guide is None else self.guide.at_best(scores, steps)


NONE = Constraints()


def _repeats(tokens: Tensor, at: Tensor, n: int, size: int) -> Tensor:
    """Tell which next words would end an n-gram that is there already: (r, t) -> bool (r, v)."""
    rows, begins = ops.shape(tokens)[0], tokens.shape[1] - n  # places where an n-gram may begin
    complete = ops.arange(begins, dtype="int32") + n <= at  # (begins,)
    match = ops.broadcast_to(complete[None], (rows, begins))
    for offset in range(n - 1):  # its first words are those that the caption ends in now
        now = ops.take(tokens, ops.maximum(at - (n - 1) + offset, 0), axis=1)  # (r,)
        alike = tokens[:, offset : offset + begins] == now[:, None]
        match = ops.logical_and(match, alike)
    # Where nothing matches, padding is blocked, which no caption contains anyway.
    return among(ops.where(match, tokens[:, n - 1 : n - 1 + begins], PAD), size)
