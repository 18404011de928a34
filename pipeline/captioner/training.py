"""Training: fit a decoder to captions, keep the epoch whose decoded captions are best.

Each epoch ends with what the captioner is for: it captions the validation pictures (`validation`)
and is scored by CIDEr-D against their references. The teacher-forced loss is logged too, but
decides only between epochs of the very same CIDEr-D, as where it is 0: it goes on falling, or
rises, while captions get better.

After every epoch all that is needed to go on is written to a checkpoint, so that a training that
was killed continues, and ends with the same bytes as one that was not.
"""

import logging
import math
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Literal

import keras
import numpy as np
from pydantic import Field

from pipeline.ahead import ahead
from pipeline.backend import jit, memory_told
from pipeline.captioner.batches import Batch, Batches, Split
from pipeline.captioner.captioner import Captioner
from pipeline.captioner.checkpoint import Checkpoint, History, score, take_finished
from pipeline.captioner.crossentropy import crossentropy
from pipeline.captioner.decoders.base import Decoder, DecoderSettings
from pipeline.captioner.objective import Objective, ObjectiveSettings
from pipeline.captioner.schedule import Rate, ScheduleSettings
from pipeline.captioner.search.settings import MOST_WORDS
from pipeline.captioner.tracing import trace, words_at_once
from pipeline.captioner.updates import Accumulating, UpdateSettings, adam, averaged
from pipeline.captioner.validation import Mean, Validation
from pipeline.errors import InputError
from pipeline.progress import Progress

log = logging.getLogger(__name__)


class FitSettings(DecoderSettings, ObjectiveSettings, ScheduleSettings, UpdateSettings):
    """The decoder's shape, and how it is fitted, whatever the seed."""

    word_vectors: Literal["random", "frozen", "trained"]  # what word vectors begin as
    epochs: int = Field(ge=1)  # at most
    patience: int = Field(ge=1)  # epochs without a better validation CIDEr-D before it stops
    batch_size: int = Field(ge=1)  # captions a step
    max_words: int = Field(ge=1, le=MOST_WORDS)  # bound on the captions decoded for validation


class TrainSettings(FitSettings):
    """All that one training depends on, beside its data."""

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
        captioner: with fresh weights, its decoder built in the settings' precision.
        train: what is fitted.
        val: what decides on the best epoch.
        settings: how.
        checkpoint: folder to continue from and to keep the state of each epoch in; its name has
            to change with anything that changes the training.
        on_epoch: told each epoch's metrics, those of epochs done before a restart included.

    Raises:
        InputError: a setting does not fit the decoder, or the loss is no number any more.
    """
    decoder = captioner.decoder
    finished = take_finished(decoder, checkpoint, settings.epochs, settings.patience)
    if finished is not None:
        for metrics in finished.epochs:
            on_epoch(metrics)
        return finished

    batches = Batches(
        train.captions, train.features, settings.batch_size, settings.seed, words_at_once()
    )
    trainer = Trainer(decoder, batches, settings)
    state = Checkpoint(decoder, checkpoint, trainer.optimizer)
    history = state.restore("train", first=1)
    for metrics in history.epochs:
        on_epoch(metrics)
    validation = Validation(captioner, val, settings.batch_size, settings.max_words)

    words = int(batches.lengths.sum()) - len(train.captions)  # targets an epoch: words and ends
    with Progress("train", words * settings.epochs, "words") as progress:
        progress.skip(words * len(history.epochs))
        for epoch in range(len(history.epochs), settings.epochs):
            if history.is_over(settings.epochs, settings.patience):
                break
            loss = finite(trainer.run_epoch(history, progress), "train", epoch)
            with averaged(decoder, trainer.optimizer, settings.ema):
                metrics = {"loss": loss, **validation.metrics()}
                is_best = history.add(metrics)
                validated = decoder.get_weights() if is_best else None
            state.keep(history, is_best, validated)
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


def finite(loss: float, section: str, epoch: int) -> float:
    """Return the loss of an epoch, unless it is none, after which nothing can be learnt.

    Args:
        loss: of all its steps.
        section: of params.yaml, that has the settings of the steps.
        epoch: from 0.

    Raises:
        InputError: it is infinite or not a number.
    """
    if math.isfinite(loss):
        return loss
    raise InputError(
        f"{section}: expected a loss of epoch {epoch + 1} that is a number. Received: {loss}. The "
        f"steps were too large: lower {section}.learning_rate or {section}.clip_norm, or set "
        "train.precision: float32"
    )


def compiled(
    decoder: Decoder, settings: ObjectiveSettings, optimizer: keras.optimizers.Optimizer
) -> Objective:
    """Make what is trained, with its step compiled for batches of any size.

    Args:
        decoder: with its weights.
        settings: what is asked of it.
        optimizer: that makes the updates; `Accumulating` where several batches make one.
    """
    several = isinstance(optimizer, Accumulating)
    made = Objective(decoder, settings, words_of_update=several)
    made.compile(optimizer, crossentropy(), jit_compile=jit(), auto_scale_loss=False)
    made.optimizer.build(decoder.trainable_variables)
    trace(made, decoder.feature_shape)
    return made


class Trainer:
    """Takes the steps of a training.

    Args:
        decoder: with its weights.
        batches: of the training captions.
        settings: how.

    Attributes:
        optimizer: that makes the updates; beside the weights, its variables are all to be kept.
    """

    def __init__(self, decoder: Decoder, batches: Batches, settings: TrainSettings) -> None:
        self.decoder, self.batches, self.settings = decoder, batches, settings
        self.updates = -(-len(batches) // settings.accumulate)  # an epoch
        self.rate = Rate(settings, self.updates, settings.epochs)
        self.optimizer = adam(self.rate.at_first(), settings)
        self.accumulating = Accumulating(self.optimizer) if settings.accumulate > 1 else None
        self.objective = compiled(decoder, settings, self.accumulating or self.optimizer)
        self.rate_set: float | None = None  # that the optimizer has been told

    def run_epoch(self, history: History, progress: Progress) -> float:
        """Train the epoch that follows on a history; return its mean loss, in nats a word."""
        epoch, loss, done = len(history.epochs), Mean(), 0
        scores = [score(metrics) for metrics in history.epochs]
        self._begin(epoch)
        for number, group in enumerate(self._groups()):
            self._set_rate(epoch * self.updates + number, scores)
            if self.accumulating:
                words = sum(float(weights.sum()) for _, _, weights in group)
                self.objective.update_words.assign(max(1.0, words))
            for inputs, targets, weights in group:
                with memory_told("train.batch_size", self.settings.batch_size):
                    logs = self.objective.train_on_batch(inputs, targets, weights, return_dict=True)
                loss.add(float(logs.get("nats", logs["loss"])), float(weights.sum()))
                progress.advance(self.batches.words(done), f"loss {loss.value:.3f}")
                done += 1
            if self.accumulating:
                self.accumulating.finish(self.decoder.trainable_variables)
        return loss.value

    def _begin(self, epoch: int) -> None:
        """Let all that is random depend on seed and epoch alone, not on the epochs run before."""
        settings = self.settings
        self.batches.begin(epoch)
        _reseed(self.decoder._flatten_layers(), np.random.default_rng([settings.seed, epoch]))
        if settings.scheduled_sampling:
            _reseed([self.objective], np.random.default_rng([settings.seed, epoch, 1]))
            share = settings.scheduled_sampling * epoch / max(1, settings.epochs - 1)
            self.objective.own_share.assign(share)

    def _groups(self) -> Iterator[list[Batch]]:
        """Put the batches that make one update together; the last ones may be fewer."""
        coming = ahead(self.batches)
        while group := list(islice(coming, self.settings.accumulate)):
            yield group

    def _set_rate(self, update: int, scores: list[tuple[float, float]]) -> None:
        rate = self.rate.at(update, scores)
        if rate is not None and rate != self.rate_set:
            self.optimizer.learning_rate = self.rate_set = rate


def _reseed(layers: Iterable[keras.Layer], rng: np.random.Generator) -> None:
    for layer in layers:
        for generator in getattr(layer, "_seed_generators", []):
            drawn = rng.integers(0, 2**31, generator.state.shape)
            generator.state.assign(drawn.astype(generator.state.dtype))
