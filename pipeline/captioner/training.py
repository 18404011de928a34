"""Training: fit a decoder to captions, keep the epoch whose decoded captions are best.

Each epoch ends with what the captioner is for: it captions the validation pictures (greedily) and
is scored by CIDEr-D against their references. The teacher-forced loss is logged too, but decides
nothing: it goes on falling, or rises, while captions get better.

After every epoch all that is needed to go on is written to a checkpoint, so that a training that
was killed continues, and ends with the same bytes as one that was not.
"""

import json
import logging
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
from pydantic import Field

from pipeline.backend import jit
from pipeline.captioner.batches import Batches, Captions, PictureFeatures, ahead
from pipeline.captioner.captioner import Captioner, SearchSettings
from pipeline.captioner.decoders.base import Decoder, DecoderSettings
from pipeline.evaluation.cider import CiderD
from pipeline.files import folder_written_whole, write_json
from pipeline.progress import Progress

log = logging.getLogger(__name__)

# What reading a checkpoint raises that was cut, emptied or changed.
_DAMAGE = (ValueError, LookupError, TypeError, OSError, EOFError, zipfile.BadZipFile, zlib.error)


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


@dataclass(frozen=True)
class Split:
    """Pictures and captions of one split.

    Attributes:
        features: float (pictures, f), or (pictures, h, w, f) for grids.
        captions: encoded, each with the row of its picture.
        references: for each picture the tokens of its captions.
    """

    features: PictureFeatures
    captions: Captions
    references: Sequence[Sequence[Sequence[str]]]


@dataclass
class History:
    """What training has reached: one row of metrics an epoch, and which was best."""

    epochs: list[dict[str, float]] = field(default_factory=list)
    best: int = -1  # its place in `epochs`

    @property
    def since_best(self) -> int:
        """Epochs that have passed since the best one."""
        return len(self.epochs) - 1 - self.best

    def add(self, metrics: dict[str, float]) -> bool:
        """Note an epoch; tell whether it is the best so far."""
        self.epochs.append(metrics)
        if self.best < 0 or metrics["val_cider_d"] > self.epochs[self.best]["val_cider_d"]:
            self.best = len(self.epochs) - 1
            return True
        return False


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
    state = _State(decoder, settings, checkpoint)
    history = state.restore()
    for metrics in history.epochs:
        on_epoch(metrics)
    validation = _Validation(captioner, val, settings)

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
    loss = _Mean()
    for number, (inputs, targets, weights) in enumerate(ahead(batches)):
        logs = decoder.train_on_batch(inputs, targets, weights, return_dict=True)
        loss.add(float(logs["loss"]), float(weights.sum()))
        progress.advance(batches.words(number), f"loss {loss.value:.3f}")
    return loss.value


class _Mean:
    """Mean of the batches' losses, each of which is a mean over the batch's words."""

    def __init__(self) -> None:
        self.total = self.words = 0.0

    def add(self, loss: float, words: float) -> None:
        """Count a batch."""
        self.total += loss * words
        self.words += words

    @property
    def value(self) -> float:
        """The mean so far, in nats a word."""
        return self.total / self.words if self.words else 0.0


def _reseed_dropout(decoder: Decoder, seed: int, epoch: int) -> None:
    """Let what is dropped depend on seed and epoch alone, not on the epochs run before."""
    rng = np.random.default_rng([seed, epoch])
    for layer in decoder._flatten_layers():
        for generator in getattr(layer, "_seed_generators", []):
            drawn = rng.integers(0, 2**31, generator.state.shape)
            generator.state.assign(drawn.astype(generator.state.dtype))


class _Validation:
    """Scores the decoder on the validation split."""

    def __init__(self, captioner: Captioner, val: Split, settings: TrainSettings) -> None:
        self.captioner, self.val = captioner, val
        self.batches = Batches(val.captions, val.features, settings.batch_size, seed=0)
        self.search = SearchSettings(beam_width=1, length_penalty=0.0, max_words=settings.max_words)
        self.scorer = CiderD(val.references)

    def metrics(self) -> dict[str, float]:
        """Tell the teacher-forced loss, in nats a word, and CIDEr-D of greedy captions."""
        loss = _Mean()
        for inputs, targets, weights in ahead(self.batches):
            logs = self.captioner.decoder.test_on_batch(inputs, targets, weights, return_dict=True)
            loss.add(float(logs["loss"]), float(weights.sum()))
        best = self.captioner.caption(self.val.features, self.search)
        cider = self.scorer.score([captions[0].words for captions in best])
        return {"val_loss": loss.value, "val_cider_d": float(np.mean(cider))}


class _State:
    """The checkpoint: weights, those of the best epoch, the optimizer's state and the history."""

    def __init__(self, decoder: Decoder, settings: TrainSettings, folder: Path) -> None:
        self.decoder, self.settings, self.folder = decoder, settings, folder
        self.best: list[np.ndarray] = decoder.get_weights()

    def restore(self) -> History:
        """Continue from the checkpoint, if there is one that can be read."""
        try:
            content = json.loads((self.folder / "history.json").read_text(encoding="utf-8"))
            history = History(content["epochs"], content["best"])
            weights = self._load("weights")
            self.best = self._load("best")
            optimizer = self._load("optimizer")
        except FileNotFoundError:
            return History()
        except _DAMAGE as error:
            log.warning("%s is damaged (%s); training begins anew", self.folder, error)
            return History()
        self.decoder.set_weights(weights)
        for variable, value in zip(self.decoder.optimizer.variables, optimizer, strict=True):
            variable.assign(value)
        log.info("train: continues after epoch %d", len(history.epochs))
        return history

    def keep(self, history: History, is_best: bool) -> None:
        """Write the state after an epoch; the one before stays until it is complete."""
        if is_best:
            self.best = self.decoder.get_weights()
        with folder_written_whole(self.folder) as new:
            self._save(new / "weights.npz", self.decoder.get_weights())
            self._save(new / "best.npz", self.best)
            self._save(
                new / "optimizer.npz",
                [keras.ops.convert_to_numpy(value) for value in self.decoder.optimizer.variables],
            )
            write_json(new / "history.json", {"epochs": history.epochs, "best": history.best})

    def take_best(self) -> None:
        """Give the decoder the weights of the best epoch."""
        self.decoder.set_weights(self.best)

    def _load(self, name: str) -> list[np.ndarray]:
        with np.load(self.folder / f"{name}.npz", allow_pickle=False) as arrays:
            return [arrays[f"{number:04d}"] for number in range(len(arrays.files))]

    @staticmethod
    def _save(path: Path, values: Sequence[Any]) -> None:
        arrays: dict[str, Any] = {f"{number:04d}": value for number, value in enumerate(values)}
        np.savez(path, **arrays)
