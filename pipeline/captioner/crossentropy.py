"""Cross-entropy of the next word, in nats a word.

Letters as in `decoders/base`.
"""

from typing import Any, NamedTuple

import keras
from keras import ops

from pipeline.captioner.decoders.recurrence import Tensor, with_gradient


def crossentropy() -> keras.losses.Loss:
    """Make the loss that every training and validation tells: nats a word."""
    return keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, reduction="mean_with_sample_weight"
    )


class Nats(NamedTuple):
    """Cross-entropy of each next word, float32 (b, t) each.

    Attributes:
        plain: of the true word.
        smoothed: of the true word mixed with others.
    """

    plain: Tensor
    smoothed: Tensor


def nats_of(logits: Tensor, targets: Tensor, smoothing: float = 0.0, others: Tensor = None) -> Nats:
    """Cross-entropy of each next word, with a gradient written by hand.

    The gradient that a backend derives is the same, softmax less what was wanted. But where
    additions have to come in a fixed order, it puts the true words' part together on one core,
    which takes longer than all else that is done with the logits.

    Args:
        logits: float32 (b, t, v).
        targets: ids of the true words, int (b, t).
        smoothing: share of the wanted distribution that is `others`: Szegedy et al., "Rethinking
            the Inception Architecture for Computer Vision" (CVPR 2016), section 7.
        others: what the true word is mixed with, float32 (v,), whose sum is 1.
    """

    def run(logits: Tensor) -> Any:
        log_probs = ops.log_softmax(logits, axis=-1)
        plain = -ops.take_along_axis(log_probs, targets[..., None], axis=-1)[..., 0]
        smoothed = plain
        if smoothing:
            mixed_in = -ops.matmul(log_probs, others[:, None])[..., 0]
            smoothed = (1.0 - smoothing) * plain + smoothing * mixed_in

        def back(d_plain: Tensor, d_smoothed: Tensor) -> tuple[Tensor]:
            ids = ops.arange(logits.shape[-1], dtype=targets.dtype)
            wanted = (d_plain + (1.0 - smoothing) * d_smoothed)[..., None]  # of the true word
            d_logits = (d_plain + d_smoothed)[..., None] * ops.exp(log_probs)
            d_logits = ops.where(ids == targets[..., None], d_logits - wanted, d_logits)
            if smoothing:
                d_logits = d_logits - (smoothing * d_smoothed)[..., None] * others
            return (d_logits,)

        return (plain, smoothed), back

    return Nats(*with_gradient(run)(logits))
