"""The state of a training after an epoch, so that a killed training continues where it was."""

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
from pipeline.files import folder_written_whole, write_json

log = logging.getLogger(__name__)

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

    def add(self, metrics: dict[str, float]) -> bool:
        """Note an epoch; tell whether it is the best so far."""
        self.epochs.append(metrics)
        if self.best < 0 or metrics["val_cider_d"] > self.epochs[self.best]["val_cider_d"]:
            self.best = len(self.epochs) - 1
            return True
        return False


class Checkpoint:
    """Weights, those of the best epoch, the optimizer's state and the history.

    Args:
        decoder: built and compiled; its weights and its optimizer's are kept and restored.
        folder: where to.
    """

    def __init__(self, decoder: Decoder, folder: Path) -> None:
        self.decoder, self.folder = decoder, folder
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
