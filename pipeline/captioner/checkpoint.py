"""The state of a training after an epoch, so that a killed training continues where it was.

    history.json      one row of metrics an epoch, and which was best
    weights.npz       of the decoder, as training goes on from them
    best.npz          of the best epoch: those that were validated, averages where they are kept
    optimizer.npz     all that the optimizer remembers, averages of the weights among it
    manifest.json     sha256 of each, so that a flipped byte is noticed

The learning rate and what is random follow from the history's length and scores.
"""

import json
import logging
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from pipeline.captioner.decoders.base import Decoder
from pipeline.files import folder_written_whole, restore_folder, sha256_of, write_json

log = logging.getLogger(__name__)

HISTORY, MANIFEST = "history.json", "manifest.json"
ARRAYS = ("weights", "best", "optimizer")

# What reading a checkpoint raises that was cut, emptied or changed.
_DAMAGE = (ValueError, LookupError, TypeError, OSError, EOFError, zipfile.BadZipFile, zlib.error)


@dataclass
class History:
    """What training has reached: one row of metrics an epoch, and which was best."""

    epochs: list[dict[str, float]] = field(default_factory=list)
    best: int = -1  # its place in `epochs`

    @property
    def since_best(self) -> int:
        """Epochs that have passed since the best one."""
        return len(self.epochs) - 1 - self.best

    def is_over(self, epochs: int, patience: int) -> bool:
        """Whether no epoch is to follow: all are done, or too many brought nothing better."""
        return len(self.epochs) >= epochs or self.since_best >= patience

    def add(self, metrics: dict[str, float]) -> bool:
        """Note an epoch; tell whether it is the best so far."""
        self.epochs.append(metrics)
        if self.best < 0 or score(metrics) > score(self.epochs[self.best]):
            self.best = len(self.epochs) - 1
            return True
        return False


def score(metrics: dict[str, float]) -> tuple[float, float]:
    """Tell what an epoch is compared by; the greater, the better.

    That is CIDEr-D of validation and, where two epochs have the very same, their loss: CIDEr-D is 0
    as long as no caption shares a few words with its references, and always of a single picture.
    """
    return metrics["val_cider_d"], -metrics["val_loss"]


class Checkpoint:
    """Weights, those of the best epoch, the optimizer's state and the history.

    Args:
        decoder: built and compiled; its weights and its optimizer's are kept and restored.
        folder: where to.
        optimizer: to be kept, where the decoder is not compiled with it.
    """

    def __init__(
        self,
        decoder: Decoder | keras.Model,
        folder: Path,
        optimizer: keras.optimizers.Optimizer | None = None,
    ) -> None:
        self.decoder, self.folder = decoder, folder
        self.optimizer = decoder.optimizer if optimizer is None else optimizer
        self.best: list[np.ndarray] = decoder.get_weights()

    def restore(self, name: str, first: int) -> History:
        """Continue from the checkpoint, if there is one that can be read.

        Args:
            name: of the training, as it tells its epochs.
            first: number that it gives the first epoch.
        """
        restore_folder(self.folder)
        if not self.folder.exists():
            return History()
        try:
            history = _read_history(self.folder)
            weights, best, optimizer = (_load(self.folder, name) for name in ARRAYS)
        except _DAMAGE as error:
            log.warning("%s is damaged (%s); training begins anew", self.folder, error)
            return History()
        self.decoder.set_weights(weights)
        self.best = best
        for variable, value in zip(self.optimizer.variables, optimizer, strict=True):
            variable.assign(value)
        log.info("%s: continues after epoch %d", name, len(history.epochs) - 1 + first)
        return history

    def keep(
        self, history: History, is_best: bool, validated: list[np.ndarray] | None = None
    ) -> None:
        """Write the state after an epoch; the one before stays until it is complete.

        Args:
            history: with the epoch.
            is_best: whether no epoch was better.
            validated: the weights that it was judged by, where these are not the decoder's own.
        """
        if is_best:
            self.best = self.decoder.get_weights() if validated is None else validated
        memory = [keras.ops.convert_to_numpy(value) for value in self.optimizer.variables]
        with folder_written_whole(self.folder) as new:
            for name, values in zip(
                ARRAYS, (self.decoder.get_weights(), self.best, memory), strict=True
            ):
                self._save(new / f"{name}.npz", values)
            write_json(new / HISTORY, {"epochs": history.epochs, "best": history.best})
            write_json(new / MANIFEST, {path.name: sha256_of(path) for path in new.iterdir()})

    def take_best(self) -> None:
        """Give the decoder the weights of the best epoch."""
        self.decoder.set_weights(self.best)

    @staticmethod
    def _save(path: Path, values: Sequence[Any]) -> None:
        arrays: dict[str, Any] = {f"{number:04d}": value for number, value in enumerate(values)}
        np.savez(path, **arrays)


def take_finished(
    decoder: Decoder | keras.Model, folder: Path, epochs: int, patience: int
) -> History | None:
    """Give a decoder the best weights of a training that is over, of which nothing is compiled.

    Returns:
        Its history; None where there is none, or it is not over, or is damaged, and the decoder is
        as it was. (`Checkpoint.restore` tells of damage.)
    """
    restore_folder(folder)
    try:
        history = _read_history(folder)
        if not history.is_over(epochs, patience):
            return None
        decoder.set_weights(_load(folder, "best"))
    except _DAMAGE:
        return None
    log.info("train: all of its epochs are done, in %s", folder)
    return history


def _read_history(folder: Path) -> History:
    """Compare every file with its hash, and read what has been reached.

    Raises:
        ValueError: one is not what was written. Or as for reading it.
    """
    known = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    for name in (HISTORY, *(f"{name}.npz" for name in ARRAYS)):
        if known[name] != sha256_of(folder / name):
            raise ValueError(f"{name}: its bytes are not those that {MANIFEST} names")
    content = json.loads((folder / HISTORY).read_text(encoding="utf-8"))
    return History(content["epochs"], content["best"])


def _load(folder: Path, name: str) -> list[np.ndarray]:
    with np.load(folder / f"{name}.npz", allow_pickle=False) as arrays:
        return [arrays[f"{number:04d}"] for number in range(len(arrays.files))]
