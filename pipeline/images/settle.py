"""Settle the encoder: which network, and where its weights come from."""

import re
from pathlib import Path, PurePath
from typing import Literal

import keras
from pydantic import Field, field_validator, model_validator

from pipeline.errors import InputError
from pipeline.images.encoder import Encoder, load_weights
from pipeline.images.finetune import FinetuneSettings
from pipeline.images.networks import NETWORKS, beside
from pipeline.images.train_encoder import CompactSettings
from pipeline.params import Settings

TRAIN, IMAGENET = "train", "imagenet"


class EncoderSettings(Settings):
    """Section `encoder` of params.yaml."""

    network: Literal[
        "compact",
        "ResNet50",
        "ResNet101",
        "InceptionV3",
        "Xception",
        "MobileNetV2",
        "EfficientNetV2B0",
        "EfficientNetV2B1",
        "EfficientNetV2B2",
        "EfficientNetV2B3",
        "EfficientNetV2S",
    ]
    weights: str = Field(min_length=1)  # "train", "imagenet", or a file in weights_folder
    weights_folder: str  # for dvc.yaml: the command line has it
    side: int | None = Field(ge=32, le=1024)  # pixels; null: the network's own
    layers: list[str]  # earlier ones, whose maps stand beside the network's own features
    compact: CompactSettings
    finetune: bool  # whether pretrained weights are continued on the captions' words
    finetuning: FinetuneSettings

    @field_validator("weights")
    @classmethod
    def _check_file(cls, weights: str) -> str:
        # DVC looks at weights_folder alone: a file elsewhere could change unnoticed.
        if PurePath(weights).is_absolute() or ".." in PurePath(weights).parts:
            raise ValueError(
                "expected train, imagenet or the name of a file in encoder.weights_folder"
            )
        return weights

    @model_validator(mode="after")
    def _check_network(self) -> "EncoderSettings":
        if self.weights == TRAIN and self.network != "compact":
            raise ValueError(
                "weights: train is for network: compact alone. Write imagenet, or the name of a"
                " weights file"
            )
        if self.weights == IMAGENET and self.network == "compact":
            raise ValueError(
                "expected weights: train, or a weights file, for network: compact, which was never"
                " trained on ImageNet"
            )
        return self

    @model_validator(mode="after")
    def _check_side(self) -> "EncoderSettings":
        least, side = NETWORKS[self.network].least, side_of(self)
        if side < least:
            raise ValueError(
                f"side: expected at least {least} pixels for {self.network}, not {side}"
            )
        return self

    @model_validator(mode="after")
    def _check_layers(self) -> "EncoderSettings":
        if self.layers and self.network == "compact":
            raise ValueError("layers is for the networks of keras.applications, not for compact")
        if len(set(self.layers)) < len(self.layers):
            raise ValueError(f"layers: expected each once. Received: {', '.join(self.layers)}")
        return self

    @model_validator(mode="after")
    def _check_finetune(self) -> "EncoderSettings":
        if self.finetune and self.weights == TRAIN:
            raise ValueError(
                "finetune is for pretrained weights; with weights: train the network learns the"
                " words of the captions from the start"
            )
        return self


def pretrained(settings: EncoderSettings, weights_folder: Path) -> Encoder:
    """Build the network of `settings` with ImageNet weights or those of a file.

    Raises:
        InputError: there are no such weights, they do not fit, or they cannot be fetched; or the
            network has not one of the earlier layers.
    """
    network, side = settings.network, side_of(settings)
    if settings.weights == IMAGENET:
        body = beside(_imagenet(network, side, weights_folder), settings.layers)
        return Encoder(body, network, side, IMAGENET)
    path = weights_folder / settings.weights
    if not path.is_file():
        there = sorted(file.name for file in weights_folder.glob("*.h5")) or ["no .h5 file"]
        raise InputError(
            f"{path}: no such file. encoder.weights must be 'train' (for compact), 'imagenet', or "
            f"the name of a weights file in {weights_folder}, where there is: {', '.join(there)}"
        )
    body = NETWORKS[network].body(None, side)
    load_weights(body, path, network)
    return Encoder(beside(body, settings.layers), network, side, path.name)


def untrained(settings: EncoderSettings) -> Encoder:
    """Build `compact` with random weights, to be trained here."""
    side = side_of(settings)
    return Encoder(NETWORKS["compact"].body(None, side), "compact", side, TRAIN)


def weights_file(settings: EncoderSettings) -> str | None:
    """The name of the file in `weights_folder` that the weights come from; None: from elsewhere."""
    return None if settings.weights in (TRAIN, IMAGENET) else settings.weights


def side_of(settings: EncoderSettings) -> int:
    """The side of the pictures in pixels: as set, else the network's own."""
    return settings.side or NETWORKS[settings.network].side


def _imagenet(network: str, side: int, weights_folder: Path) -> keras.Model:
    try:
        return NETWORKS[network].body(IMAGENET, side)
    except Exception as error:
        address = re.search(r"https?://[^\s:]+", str(error))
        if address is None:
            raise InputError(f"encoder: no ImageNet weights for {network}: {error}") from error
        name = address[0].rsplit("/", 1)[-1]
        raise InputError(
            f"encoder: the ImageNet weights of {network} could not be fetched. Fetch {address[0]} "
            f"where there is a network, put it into {weights_folder}, and write "
            f"encoder.weights: {name}"
        ) from error
