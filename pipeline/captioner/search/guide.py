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
        rows, size = ops.shape(tokens)[0], log_probs.shape[-1]
        row = ops.broadcast_to(ops.arange(rows, dtype="int32")[:, None], ops.shape(tokens))
        index = ops.reshape(ops.stack([row, tokens], axis=-1), (-1, 2))
        said = ops.scatter(index, ops.ones_like(index[:, 0]), (rows, size)) > 0
        said = ops.reshape(said, (ops.shape(self.worth)[0], -1, size))  # (b, m, v)
        return log_probs + ops.reshape(ops.where(said, 0.0, self.worth[:, None]), (-1, size))

    def earned(self, tokens: Tensor) -> Tensor:
        """Tell what `add` has added to whole captions: int32 (b, n, t) -> float32 (b, n)."""
        pictures, count, steps = ops.shape(tokens)[0], tokens.shape[1], tokens.shape[2]
        flat = ops.reshape(tokens, (pictures, count * steps))
        worth = ops.reshape(ops.take_along_axis(self.worth, flat, axis=1), ops.shape(tokens))
        same = tokens[..., :, None] == tokens[..., None, :]  # (b, n, t, t)
        earlier = ops.arange(steps)[None, :] < ops.arange(steps)[:, None]  # column before row
        again = ops.any(ops.logical_and(same, earlier), axis=-1)
        return ops.sum(ops.where(again, 0.0, worth), axis=-1)

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
