"""Stage `encoder`: settle the CNN, with weights from elsewhere, fine-tuned or not, or its own."""

import logging
from collections import defaultdict
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
import typer

from pipeline import backend, machine
from pipeline.errors import InputError
from pipeline.images import finetune, train_encoder
from pipeline.images.encoder import Encoder
from pipeline.images.reading import Picture, read_batches
from pipeline.images.settle import TRAIN, EncoderSettings, pretrained, untrained
from pipeline.images.spec import FINETUNED
from pipeline.params import load
from pipeline.tables import CLEAN_CAPTIONS, IMAGES, read_table
from stages.command import run

log = logging.getLogger(__name__)

MOST_OF_MEMORY = 0.8  # for the pictures: the rest is TensorFlow's, and others'


def encoder(
    raw: Annotated[Path, typer.Argument(help="The data set's folder, with its pictures.")],
    images: Annotated[Path, typer.Argument(help="Pictures and their splits (Parquet).")],
    captions: Annotated[Path, typer.Argument(help="Clean captions (Parquet).")],
    weights: Annotated[Path, typer.Argument(help="Folder with your weights files.")],
    out: Annotated[Path, typer.Argument(help="Encoder folder, made here.")],
    params: Annotated[Path, typer.Option(help="Settings.")] = Path("params.yaml"),
) -> None:
    """Settle the encoder that features are made with; CAPTIONS are read only to train it."""
    settings = load(EncoderSettings, "encoder", params)
    if settings.weights == TRAIN:
        made = _train(raw, *_tables(images, captions), settings)
    else:
        if settings.finetune:  # EfficientNetV2 draws what it drops when it is built
            backend.seed(settings.finetuning.seed)
        made = pretrained(settings, weights)
        if settings.finetune:
            made = _finetune(made, raw, *_tables(images, captions), settings.finetuning)
    _check_finite(made, settings)
    made.save(out)
    log.info("encoder: %s, %s", made.spec.network, made.spec.fingerprint[:12])


def _check_finite(made: Encoder, settings: EncoderSettings) -> None:
    """See that the weights are numbers.

    Raises:
        InputError: training has left some that are none, or they came so.
    """
    if all(np.isfinite(weight).all() for weight in made.body.get_weights()):
        return
    mend = "The file is damaged: take another"
    if settings.weights == TRAIN:
        mend = "The steps were too large: lower encoder.compact.learning_rate"
    elif settings.finetune:
        mend = "The steps were too large: lower encoder.finetuning.learning_rate"
    raise InputError(
        f"encoder: expected weights of {made.spec.network} that are numbers. Received: infinite"
        f" ones, or none, from {made.spec.source}. {mend}"
    )


def _tables(images: Path, captions: Path) -> tuple[pa.Table, pa.Table]:
    return read_table(images, IMAGES), read_table(captions, CLEAN_CAPTIONS)


def _train(raw: Path, images: pa.Table, captions: pa.Table, settings: EncoderSettings) -> Encoder:
    """Train `compact` on the pictures and captions of the training split."""
    backend.seed(settings.compact.seed)
    pictures, texts, labels = _lessons(images, captions, settings.compact.labels)
    wanted = train_encoder.targets(texts, labels)
    made = untrained(settings)
    pixels = _read_all(pictures, raw, made.spec.side)
    train_encoder.fit(made.model, pixels, wanted, settings.compact)
    # Anew, as the weights have changed.
    return Encoder(made.body, made.spec.network, made.spec.side, TRAIN)


def _read_all(pictures: list[Picture], raw: Path, side: int) -> np.ndarray:
    """Read every picture, uint8 (n, side, side, 3): 2.8 GB for 100,000 of 96 pixels, held once.

    Raises:
        InputError: this machine has no memory for that.
    """
    needed, there = len(pictures) * side * side * 3, machine.memory()
    if there is not None and needed > MOST_OF_MEMORY * there:
        raise InputError(
            f"encoder.side: expected {len(pictures):,} training pictures of {side} pixels to fit "
            f"into memory, as `weights: train` holds them all: {needed / 2**30:.1f} GiB. Received: "
            f"a machine with {there / 2**30:.1f} GiB. Lower encoder.side, or take an "
            "encoder.network with weights: imagenet"
        )
    pixels = np.empty((len(pictures), side, side, 3), np.uint8)
    done = 0
    for batch, read in read_batches(pictures, raw, side, 256):
        pixels[done : done + len(batch)] = read
        done += len(batch)
    return pixels


def _finetune(
    made: Encoder,
    raw: Path,
    images: pa.Table,
    captions: pa.Table,
    settings: finetune.FinetuneSettings,
) -> Encoder:
    """Continue a pretrained network on the pictures and captions of the training split."""
    backend.seed(settings.seed)
    pictures, texts, labels = _lessons(images, captions, settings.labels)
    wanted = train_encoder.shares(texts, labels)
    finetune.finetune(made.model, made.body, pictures, raw, wanted, settings)
    spec = made.spec
    return Encoder(made.body, spec.network, spec.side, f"{spec.source}{FINETUNED}")


def _lessons(
    images: pa.Table, captions: pa.Table, number: int
) -> tuple[list[Picture], list[list[list[str]]], list[str]]:
    """Gather the training pictures, the tokens of each one's captions, and what is learnt of them.

    Raises:
        InputError: the captions share no words that tell pictures apart.
    """
    tokens = defaultdict(list)
    for row in captions.to_pylist():
        tokens[row["image_id"]].append(row["tokens"])
    every = [row for row in images.to_pylist() if row["split"] == "train"]
    # A picture that lost its captions in `clean` would teach that it has none of the words.
    train = [row for row in every if row["image_id"] in tokens]
    if len(train) < len(every):
        told = len(every) - len(train)
        log.info("encoder: %d training pictures have no caption left, and teach nothing", told)
    texts = [tokens[row["image_id"]] for row in train]
    labels = train_encoder.choose_labels(texts, number)
    if not labels:
        raise InputError(
            "encoder: expected training pictures whose captions share words, to train on. "
            f"Received: {len(train)} training pictures, no word in {train_encoder.MIN_PICTURES} of "
            "them that tells one from another. Use more pictures, or an encoder.network with "
            "weights: imagenet"
        )
    log.info("encoder: learns %d words and pairs of words, such as %s", len(labels), labels[:5])
    return [Picture.of(row) for row in train], texts, labels


if __name__ == "__main__":
    run(encoder)
