"""Cross-entropy of the next word, in nats a word.

Letters as in `decoders/base`.
"""

from typing import Any, NamedTuple

import keras
from keras import ops

from pipeline.backend import has_gpu
from pipeline.captioner.decoders.products import Tensor, with_gradient


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
        shares = ops.softmax(logits, axis=-1)
        # The logarithm of the sum of exponentials, of what is there: a word of the highest logit
        # has the highest share, exp(logit - that logarithm), and it is never so small as to be 0.
        total = ops.max(logits, axis=-1) - ops.log(ops.max(shares, axis=-1))  # (b, t)
        plain = total - at(targets, logits)
        smoothed = plain
        if smoothing:
            mixed_in = total - ops.matmul(logits, others[:, None])[..., 0]
            smoothed = (1.0 - smoothing) * plain + smoothing * mixed_in

        def back(d_plain: Tensor, d_smoothed: Tensor) -> tuple[Tensor]:
            d_logits = (d_plain + d_smoothed)[..., None] * shares
            if smoothing:
                d_logits = d_logits - (smoothing * d_smoothed)[..., None] * others
            wanted = d_plain + (1.0 - smoothing) * d_smoothed  # of the true word
            return (subtracted_at(targets, d_logits, wanted),)

        return (plain, smoothed), back

    return Nats(*with_gradient(run)(logits))


def at(ids: Tensor, values: Tensor) -> Tensor:
    """Take of each row the value of its id: ids (b, t), values (b, t, v) -> (b, t)."""
    return ops.take(ops.reshape(values, (-1,)), _places(ids, values.shape[-1]))


def subtracted_at(ids: Tensor, values: Tensor, amounts: Tensor) -> Tensor:
    """Subtract from each row's value of its id: ids, amounts (b, t), values (b, t, v)."""
    if has_gpu():
        # Where additions have to come in a fixed order, TensorFlow would do it on the CPU instead.
        is_its_own = ops.arange(values.shape[-1], dtype=ids.dtype) == ids[..., None]
        return ops.where(is_its_own, values - amounts[..., None], values)
    places = ops.reshape(_places(ids, values.shape[-1]), (-1, 1))
    less = ops.reshape(at(ids, values) - amounts, (-1,))
    flat = ops.scatter_update(ops.reshape(values, (-1,)), places, less)
    return ops.reshape(flat, ops.shape(values))


def _places(ids: Tensor, width: int) -> Tensor:
    """Where the values of ids (b, t) lie among all values of (b, t, width): int (b, t)."""
    rows = ops.arange(ops.size(ids), dtype=ids.dtype)
    return ops.reshape(rows * width, ops.shape(ids)) + ids
