"""Are all settings of params.yaml fit to be run? (not a stage): `python -m stages.settings`."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.captioner.decoders.find import DECODERS
from pipeline.checks.settings import ValidateSettings
from pipeline.datasets.find import SCENES
from pipeline.datasets.ingest import IngestSettings
from pipeline.datasets.scenes.sample import SampleSettings
from pipeline.errors import InputError
from pipeline.evaluation.sweep import SweepSettings
from pipeline.exploration.settings import ExploreSettings
from pipeline.images.features import FeaturesSettings
from pipeline.images.networks import build
from pipeline.images.settle import EncoderSettings, side_of, weights_file
from pipeline.params import Settings, load
from pipeline.reporting.report.settings import ReportSettings
from pipeline.text.clean import CleanSettings
from pipeline.text.embedding_files import layout_of
from pipeline.text.vocabulary_settings import EmbeddingSettings, VocabularySettings
from stages.command import run
from stages.evaluate import EvaluateSettings
from stages.train import TrainStageSettings

log = logging.getLogger(__name__)

MOST_NAMED = 10  # files that an error lists
README = "README.md"  # which tells what the folder is for

SECTIONS: Mapping[str, type[Settings]] = {
    "sample": SampleSettings,
    "ingest": IngestSettings,
    "validate": ValidateSettings,
    "clean": CleanSettings,
    "explore": ExploreSettings,
    "vocabulary": VocabularySettings,
    "encoder": EncoderSettings,
    "features": FeaturesSettings,
    "train": TrainStageSettings,
    "evaluate": EvaluateSettings,
    "sweep": SweepSettings,
    "report": ReportSettings,
}


def settings(
    params: Annotated[Path, typer.Option(help="Settings.")] = Path("params.yaml"),
) -> None:
    """Read every section as its stage will, so that no wrong one is met hours later.

    `make repro` begins with this where params.yaml has changed since the last run.
    """
    read: dict[str, Any] = {}
    wrong = []
    for section, cls in SECTIONS.items():
        try:
            read[section] = load(cls, section, params)
        except InputError as error:
            wrong.append(str(error))
    if not wrong:
        found = [*_absent(read), *_no_such_layer(read["encoder"]), *_at_odds(read)]
        wrong += [f"{params}: {told}" for told in found]
    if wrong:
        raise InputError("; ".join(dict.fromkeys(wrong)))  # a broken file is wrong for them all
    log.info("settings: every section of %s can be run", params)


def _absent(read: Mapping[str, Any]) -> list[str]:
    """Tell of what is not there: a folder, of which DVC would say that a dependency is missing.

    And of a file in one, which its stage would miss, after all stages before it.
    """
    encoder, embeddings = read["encoder"], read["vocabulary"].embeddings
    told = []
    if Path(read["ingest"].folder) != Path(SCENES):
        mend = "Put the data set there"
        told += _no_folder("ingest.folder", "the data set", read["ingest"].folder, mend)
    weights = encoder.weights_folder, weights_file(encoder)
    told += _no_files("encoder.weights_folder", "encoder.weights", "weights", *weights)
    if read["evaluate"].spice:
        mend = "Put it there"
        told += _no_folder("evaluate.spice", "what SPICE needs", read["evaluate"].spice, mend)
    vectors = embeddings.folder, embeddings.file
    names = "vocabulary.embeddings.folder", "vocabulary.embeddings.file"
    told += _no_files(*names, "word vectors", *vectors)
    return told


def _no_files(name: str, name_of_file: str, what: str, folder: str, file: str | None) -> list[str]:
    """Tell of a folder that is not there, or of the file that is wanted of it."""
    mend = "Put them there" if file else "Make it, empty"
    return _no_folder(name, what, folder, mend) or _no_file(name_of_file, folder, file)


def _no_folder(name: str, what: str, folder: str, mend: str) -> list[str]:
    """Tell of a folder that is not there, and what to do."""
    if Path(folder).is_dir():
        return []
    home = ", as ~ stands for no home here" if folder.startswith("~") else ""
    mend = f"{mend}, or write its whole path"
    if Path(f"{Path(folder)}.dvc").is_file():
        mend = "DVC keeps it: dvc pull, or dvc checkout"
    return [
        f"{name}: expected a folder with {what}. Received: {folder!r}, where there is none{home}."
        f" {mend}"
    ]


def _no_file(name: str, folder: str, file: str | None) -> list[str]:
    """Tell of a file that is not in its folder, and of those that are."""
    if file is None or (Path(folder) / file).is_file():
        return []
    files = (path for path in Path(folder).iterdir() if path.is_file())
    there = sorted(path.name for path in files if path.name != README)
    return [
        f"{name}: expected a file in {folder}. Received: {file!r}, where there is:"
        f" {', '.join(there[:MOST_NAMED]) or 'none'}. Put it there, or name another"
    ]


def _no_such_layer(encoder: EncoderSettings) -> list[str]:
    """Tell of an earlier layer that the network has not: it is built, where any is named."""
    try:
        if encoder.layers:
            build(encoder.network, side_of(encoder), encoder.layers)
    except InputError as error:
        return [str(error)]
    return []


def _at_odds(read: Mapping[str, Any]) -> list[str]:
    """Tell which settings of one section cannot be run with those of another."""
    train, evaluate, sweep = read["train"], read["evaluate"], read["sweep"]
    told = []
    weights = [evaluate.guide, evaluate.consensus, *sweep.guides, *sweep.consensus]
    if max(weights) > 0 and not train.consensus.pictures:
        told.append(
            "guide and consensus, of evaluate and sweep, need what people said of the training "
            "pictures. Set train.consensus.pictures, such as 10000, or those weights to 0"
        )
    if DECODERS[train.decoder].needs_grid and read["features"].pooling != "grid":
        told.append(
            f"train.decoder: {train.decoder} needs a grid. Set features.pooling: grid, or choose "
            "another decoder"
        )
    if train.word_vectors != "random":
        told += _unfit_vectors(train, read["vocabulary"].embeddings)
    return told


def _unfit_vectors(train: TrainStageSettings, embeddings: EmbeddingSettings) -> list[str]:
    """Tell why a decoder cannot begin with the word vectors that are named, if it cannot.

    That the file is not there is told before; another width would only be by `train`.
    """
    if embeddings.file is None:
        return [
            f"train.word_vectors: {train.word_vectors} needs pretrained word vectors. Set "
            "vocabulary.embeddings.file, or train.word_vectors: random"
        ]
    path = Path(embeddings.folder) / embeddings.file
    if not path.is_file():
        return []
    try:
        width = layout_of(path, embeddings.format).width
    except InputError as error:
        return [str(error)]
    if width == train.embedding:
        return []
    return [
        f"train.embedding: expected {width}, as {path} has vectors of so many numbers. Received: "
        f"{train.embedding}. Set it to {width}, or name another vocabulary.embeddings.file"
    ]


if __name__ == "__main__":
    run(settings)
