"""The learning rate over a training."""

import math
from collections.abc import Sequence
from typing import Literal

import keras
from pydantic import Field

from pipeline.params import Settings

FIRST = 0.01  # share of the highest rate that warming up begins at
FACTOR = 0.5  # of the rate when validation stands still: two of them make a quarter


class ScheduleSettings(Settings):
    """How the learning rate changes."""

    learning_rate: float = Field(gt=0)  # Adam, at its highest
    schedule: Literal["cosine", "plateau", "constant"]  # after warming up
    warmup: float = Field(ge=0, lt=1)  # share of all steps in which the rate grows to its highest
    plateau: int = Field(ge=1)  # epochs without a better validation CIDEr-D that halve the rate


def needed_epochs(settings: ScheduleSettings, epochs: int) -> int:
    """Tell how many epochs `plateau` takes to halve the rate once, at the earliest.

    Those in which the rate still grows do not count, and the first one is nothing to stand still
    at: it takes `plateau` epochs after them, and another one that the lower rate is for.

    Args:
        settings: how.
        epochs: of the whole training, of which a share is those in which the rate grows.

    Returns:
        `epochs`, where they suffice; else the fewest that do.
    """
    while True:
        warm = math.ceil(round(settings.warmup * epochs, 6))
        least = max(1, warm) + settings.plateau + 1
        if least <= epochs:
            return epochs
        epochs = least


class Rate:
    """The learning rate of each update.

    cosine     falls to 0 along half a cosine (Loshchilov and Hutter, "SGDR", 2017, no restarts)
    plateau    stays, and is halved whenever validation stands still
    constant   stays

    Which halvings there were follows from the history alone, so a training that continues after a
    kill needs no other memory of them.

    Args:
        settings: how.
        updates: of an epoch.
        epochs: of the whole training, were it to take them all.
    """

    def __init__(self, settings: ScheduleSettings, updates: int, epochs: int) -> None:
        self.settings = settings
        self.updates = updates * epochs
        self.warmup = int(self.updates * settings.warmup)
        self.warm = -(-self.warmup // updates)  # the first epoch that begins at the highest rate

    def at_first(self) -> float | keras.optimizers.schedules.LearningRateSchedule:
        """Give what an optimizer is made with: all of it, or a number that `at` replaces."""
        highest = self.settings.learning_rate
        if self.settings.schedule != "cosine":
            return highest
        return keras.optimizers.schedules.CosineDecay(
            FIRST * highest,
            max(1, self.updates - self.warmup),
            alpha=0.0,
            warmup_target=highest,
            warmup_steps=self.warmup,
        )

    def at(self, update: int, scores: Sequence[tuple[float, float]]) -> float | None:
        """Tell the rate of an update, or None where the optimizer knows by itself.

        Args:
            update: updates taken before it.
            scores: what the epochs before it are compared by, see `checkpoint.score`.
        """
        if self.settings.schedule == "cosine":
            return None
        rate = self.settings.learning_rate
        if update < self.warmup:
            return rate * (FIRST + (1 - FIRST) * update / self.warmup)
        if self.settings.schedule == "plateau":
            rate *= FACTOR ** standstills(scores, self.settings.plateau, self.warm)
        return rate


def standstills(scores: Sequence[tuple[float, float]], epochs: int, first: int = 0) -> int:
    """Count how often so many epochs in a row brought no better score; each counts once.

    Args:
        scores: of all epochs so far.
        epochs: how many in a row.
        first: epoch that counts; those before it only have to be beaten.
    """
    best, still, count = (-math.inf, -math.inf), 0, 0
    for epoch, score in enumerate(scores):
        still = 0 if score > best or epoch < first else still + 1
        best = max(best, score)
        if still == epochs:
            still, count = 0, count + 1
    return count
