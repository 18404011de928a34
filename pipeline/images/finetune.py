"""Continue a pretrained encoder on the words of the captions: its features then fit the data set.

    a head alone, on the network as it came      one epoch
    the head and the upper layers                epoch after epoch more of them

Upper layers first: they are the ones that depend on the task (Yosinski et al., "How transferable
are features in deep neural networks?" (2014), section 4), and a head that has learned nothing yet
would spoil them (Howard and Ruder, "Universal Language Model Fine-tuning" (2018), section 3.3).
Batch normalisation keeps the statistics it came with: batches here are too small for new ones.
What is learned are the labels of `train_encoder.py`, but for each the share of a picture's captions
that have it, and not only whether one of them has. (docs/findings.md: after three epochs, the
features tell as much either way.)
"""

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
from keras import layers
from pydantic import Field

from pipeline.backend import jit, memory_told
from pipeline.errors import InputError
from pipeline.images.compact import NormalisedPointwise
from pipeline.images.reading import Picture, read_batches
from pipeline.images.train_encoder import moved, start_at_frequencies
from pipeline.params import Settings
from pipeline.progress import Progress

HEAD_RATE = 1e-3  # Adam's usual one, for a head that begins at nothing
DROPOUT = 0.3
REACH = 1 / 16  # of the side: how far a picture is moved


class FinetuneSettings(Settings):
    """Section `encoder.finetuning` of params.yaml; read where `encoder.finetune` is true."""

    labels: int = Field(ge=1)  # words and pairs of words that it learns to predict, at most
    share: float = Field(gt=0, le=1)  # of the network's layers with weights, from the top
    epochs: int = Field(ge=1)  # beside the one of the head alone
    batch_size: int = Field(ge=1)
    learning_rate: float = Field(gt=0)  # Adam, at its highest; falls to 0 along a cosine
    weight_decay: float = Field(ge=0)  # AdamW's
    mirror: bool  # whether half of the pictures, drawn anew each epoch, are mirrored
    seed: int = Field(ge=0, lt=2**32)


def finetune(
    encoder: keras.Model,
    body: keras.Model,
    pictures: Sequence[Picture],
    raw: Path,
    wanted: np.ndarray,
    settings: FinetuneSettings,
) -> None:
    """Train the upper layers of `body` in place. Pictures are read anew for every epoch.

    Args:
        encoder: RGB in [0, 255], (b, side, side, 3) -> (b, f); `body` with its preprocessing.
        body: the network itself.
        pictures: n training pictures.
        raw: the data set's folder.
        wanted: float32 (n, labels), 0 to 1.
        settings: the training.

    Raises:
        InputError: a picture is not the one that `ingest` saw, or the network has no layers that
            could be trained.
    """
    upper = upper_layers(body, settings.share)
    _set_measuring(body, False)
    head = layers.Dense(wanted.shape[1], name="labels")
    model = keras.Sequential([encoder, layers.Dropout(DROPOUT, seed=settings.seed), head])
    side = encoder.input_shape[1]
    model(np.zeros((1, side, side, 3), "uint8"))
    start_at_frequencies(head, wanted)

    steps = -(-len(pictures) // settings.batch_size)
    optimizer = None
    with Progress("encoder", (1 + settings.epochs) * len(pictures), "pictures") as progress:
        for epoch in range(1 + settings.epochs):
            _set_trainable(body, learning(upper, epoch, settings.epochs))
            if epoch > 0:
                optimizer = _optimizer(settings, steps, model.trainable_variables, optimizer)
            model.compile(
                optimizer or keras.optimizers.Adam(HEAD_RATE),
                keras.losses.BinaryCrossentropy(from_logits=True),
                jit_compile=jit(),
            )
            rng = np.random.default_rng([settings.seed, epoch])
            order = rng.permutation(len(pictures))
            shuffled = [pictures[row] for row in order]
            done = 0
            for batch, pixels in read_batches(shuffled, raw, side, settings.batch_size):
                rows = order[done : done + len(batch)]
                done += len(batch)
                views = moved(pixels, rng, max(1, round(side * REACH)))
                if settings.mirror:
                    views = half_mirrored(views, rng)
                with memory_told("encoder.finetuning.batch_size", settings.batch_size):
                    logs = model.train_on_batch(views, wanted[rows], return_dict=True)
                progress.advance(len(batch), f"loss {logs['loss']:.4f}")
    _set_trainable(body, body.layers)
    _set_measuring(body, True)


def half_mirrored(pictures: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Swap left and right of each picture (b, h, w, c) with a chance of one half."""
    swapped = rng.random(len(pictures)) < 0.5
    return np.where(swapped[:, None, None, None], pictures[:, :, ::-1], pictures)


def upper_layers(body: keras.Model, share: float) -> list[keras.Layer]:
    """List the upper `share` of the layers that can be trained, the uppermost first.

    Batch normalisation is none of them: see the module's head.

    Raises:
        InputError: the network has none.
    """
    found = [
        layer
        for layer in body.layers
        if layer.weights and not isinstance(layer, layers.BatchNormalization)
    ]
    if not found:
        raise InputError(f"encoder.finetune: {body.name} has no layers with weights to train")
    return found[::-1][: max(1, round(share * len(found)))]


def learning(upper: list[keras.Layer], epoch: int, epochs: int) -> list[keras.Layer]:
    """Choose the layers that learn in an epoch: none in epoch 0, all in the last, `epochs`.

    At least one from epoch 1 on, also where there are fewer layers than epochs.
    """
    return upper[: max(min(epoch, 1), epoch * len(upper) // epochs)]


def _optimizer(
    settings: FinetuneSettings,
    steps: int,
    weights: list[keras.Variable],
    before: keras.optimizers.Optimizer | None,
) -> keras.optimizers.Optimizer:
    """Make the optimizer of an epoch, which goes on from where the one `before` stopped.

    Under JAX an optimizer updates just the weights that it was built with, in their order: one that
    was built with all could not begin with some. Under TensorFlow the numbers are the same as such
    a one's.

    Args:
        settings: the training.
        steps: of an epoch.
        weights: that learn now.
        before: of the last epoch, whose weights are among them; None in the first.
    """
    rate = keras.optimizers.schedules.CosineDecay(settings.learning_rate, settings.epochs * steps)
    optimizer = keras.optimizers.AdamW(rate, weight_decay=settings.weight_decay)
    optimizer.build(weights)
    if before is not None:
        optimizer.iterations.assign(before.iterations)
        averages = {average.name: average for average in optimizer.variables[1:]}
        for average in before.variables[1:]:  # two of each weight; the first is `iterations`
            averages[average.name].assign(average)
    return optimizer


def _set_trainable(body: keras.Model, chosen: Sequence[keras.Layer]) -> None:
    """Have the chosen layers learn, and no others. Each by itself: `body` takes no second True."""
    for layer in body.layers:
        layer.trainable = any(layer is one for one in chosen)


def _set_measuring(body: keras.Model, measures: bool) -> None:
    """Have the layers that normalise batches by themselves measure them, or keep what they have.

    `BatchNormalization` keeps it where it is not trainable, which it never is here.
    """
    for layer in body.layers:
        if isinstance(layer, NormalisedPointwise):
            layer.measures = measures
