"""Training: fit a decoder to captions, keep the epoch whose decoded captions are best.

Each epoch ends with what the captioner is for: it captions the validation pictures (greedily) and
is scored by CIDEr-D against their references. The teacher-forced loss is logged too, but decides
nothing: it goes on falling, or rises, while captions get better.

After every epoch all that is needed to go on is written to a checkpoint, so that a training that
was killed continues, and ends with the same bytes as one that was not.
"""

import logging
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
from pydantic import Field

from pipeline.backend import jit
from pipeline.captioner.batches import Batches, Split, ahead
from pipeline.captioner.captioner import Captioner
from pipeline.captioner.checkpoint import Checkpoint, History
from pipeline.captioner.decoders.base import Decoder, DecoderSettings
from pipeline.captioner.validation import Mean, Validation
from pipeline.progress import Progress

log = logging.getLogger(__name__)


class TrainSettings(DecoderSettings):
    """Section `train` of params.yaml: the decoder's shape, and how it is fitted."""

    epochs: int = Field(ge=1)  # at most
    patience: int = Field(ge=1)  # epochs without a better validation CIDEr-D before it stops
    batch_size: int = Field(ge=1)  # captions a step
    learning_rate: float = Field(gt=0)  # Adam, at its highest
    warmup: float = Field(ge=0, lt=1)  # share of all steps in which the rate grows to its highest
    clip_norm: float = Field(gt=0)  # bound on the norm of all gradients together
    max_words: int = Field(ge=1)  # bound on the captions decoded for validation
    seed: int = Field(ge=0)


OnEpoch = Callable[[dict[str, float]], None]


def fit(
    captioner: Captioner,
    train: Split,
    val: Split,
    settings: TrainSettings,
    checkpoint: Path,
    on_epoch: OnEpoch,
) -> History:
    """Train the captioner's decoder in place; it ends with the weights of its best epoch.

    Args:
        captioner: with fresh weights.
        train: what is fitted.
        val: what decides on the best epoch.
        settings: how.
        checkpoint: folder to continue from and to keep the state of each epoch in; its name has
            to change with anything that changes the training.
        on_epoch: told each epoch's metrics, those of epochs done before a restart included.
    """
    decoder = captioner.decoder
    batches = Batches(train.captions, train.features, settings.batch_size, settings.seed)
    _compile(decoder, len(batches), settings)
    state = Checkpoint(decoder, checkpoint)
    history = state.restore()
    for metrics in history.epochs:
        on_epoch(metrics)
    validation = Validation(captioner, val, settings.batch_size, settings.max_words)

    words = int(batches.lengths.sum()) - len(train.captions)  # targets an epoch: words and ends
    with Progress("train", words * settings.epochs, "words") as progress:
        progress.skip(words * len(history.epochs))
        for epoch in range(len(history.epochs), settings.epochs):
            if history.since_best >= settings.patience:
                break
            batches.begin(epoch)
            _reseed_dropout(decoder, settings.seed, epoch)
            loss = _run_epoch(decoder, batches, progress)
            metrics = {"loss": loss, **validation.metrics()}
            is_best = history.add(metrics)
            state.keep(history, is_best)
            on_epoch(metrics)
            log.info(
                "train: epoch %d of %d, %s%s",
                epoch + 1,
                settings.epochs,
                ", ".join(f"{name} {value:.4f}" for name, value in metrics.items()),
                " (best)" if is_best else "",
            )
    state.take_best()
    return history


def _compile(decoder: Decoder, steps_per_epoch: int, settings: TrainSettings) -> None:
    steps = steps_per_epoch * settings.epochs
    rate = keras.optimizers.schedules.CosineDecay(
        0.01 * settings.learning_rate,
        max(1, steps - int(steps * settings.warmup)),
        alpha=0.0,
        warmup_target=settings.learning_rate,
        warmup_steps=int(steps * settings.warmup),
    )
    decoder.compile(
        keras.optimizers.Adam(rate, global_clipnorm=settings.clip_norm),
        keras.losses.SparseCategoricalCrossentropy(
            from_logits=True, reduction="mean_with_sample_weight"
        ),
        jit_compile=jit(),
    )
    decoder.optimizer.build(decoder.trainable_variables)


def _run_epoch(decoder: Decoder, batches: Batches, progress: Progress) -> float:
    """Train one epoch; return its mean loss, in nats a word."""
    loss = Mean()
    for number, (inputs, targets, weights) in enumerate(ahead(batches)):
        logs = decoder.train_on_batch(inputs, targets, weights, return_dict=True)
        loss.add(float(logs["loss"]), float(weights.sum()))
        progress.advance(batches.words(number), f"loss {loss.value:.3f}")
    return loss.value


def _reseed_dropout(decoder: Decoder, seed: int, epoch: int) -> None:
    """Let what is dropped depend on seed and epoch alone, not on the epochs run before."""
    rng = np.random.default_rng([seed, epoch])
    for layer in decoder._flatten_layers():
        for generator in getattr(layer, "_seed_generators", []):
            drawn = rng.integers(0, 2**31, generator.state.shape)
            generator.state.assign(drawn.astype(generator.state.dtype))
