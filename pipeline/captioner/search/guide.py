"""What is to be said: words whose first mention in a caption is worth something.

A guide adds to the log-probability of the next word what the word is worth for the picture, unless
the caption has it already. Who knows what a picture shows from elsewhere can so steer a decoder
without training it again, as Fang et al., "From Captions to Visual Concepts and Back" (CVPR 2015,
section 4), do with the words that a network detects, where each counts until it is mentioned.

Letters as in `base`; `m` captions of a picture, side by side: r = b * m.
"""

from dataclasses import dataclass

from keras import ops

from pipeline.captioner.decoders.base import Tensor
from pipeline.captioner.search.base import among


@dataclass(frozen=True)
class Guide:
    """Steers a search.

    Attributes:
        worth: of each word for each picture, in nats, float32 (b, v); 0 for the marks.
    """

    worth: Tensor

    def add(self, log_probs: Tensor, tokens: Tensor) -> Tensor:
        """Add to each next word what it is worth.

        Args:
            log_probs: of the next word, float32 (r, v).
            tokens: the words so far, int32 (r, t), padded.

        Returns:
            float32 (r, v).
        """
        left = ops.where(self._said(tokens), 0.0, self.worth[:, None])  # (b, m, v)
        return log_probs + ops.reshape(left, ops.shape(log_probs))

    def earned(self, tokens: Tensor) -> Tensor:
        """Tell what `add` has added to whole captions: int32 (b, n, t) -> float32 (b, n)."""
        said = self._said(ops.reshape(tokens, (-1, tokens.shape[2])))
        return ops.sum(ops.where(said, self.worth[:, None], 0.0), axis=-1)

    def _said(self, tokens: Tensor) -> Tensor:
        """Tell which words captions have: int32 (r, t) -> bool (b, m, v)."""
        pictures, size = ops.shape(self.worth)[0], self.worth.shape[1]
        return ops.reshape(among(tokens, size), (pictures, -1, size))

    def at_best(self, scores: Tensor, steps: int) -> Tensor:
        """Add the most that unfinished captions may still earn.

        Args:
            scores: their log-probabilities, those of a picture side by side in all.
            steps: of a caption, t: no more words can be said.

        Returns:
            As `scores`.
        """
        gains = ops.maximum(self.worth, 0.0)
        most = ops.sum(ops.top_k(gains, min(steps, gains.shape[-1]))[0], axis=-1)  # (b,)
        by_picture = ops.reshape(scores, (ops.shape(most)[0], -1))
        return ops.reshape(by_picture + most[:, None], ops.shape(scores))
