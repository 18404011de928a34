"""Get a captioning set of TensorFlow Datasets (not a stage): `python -m stages.fetch NAME OUT`.

It is outside of the DVC graph, which only reads what lies in data/raw. Pictures stay as they were
encoded; tfds writes them into TFRecord shards, from which `ingest` and later stages read them.
"""

import difflib
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.datasets.tfds_layout import FORMAT, choose_features, open_builder
from pipeline.errors import InputError
from stages.command import run

NAMES_TOLD = 5


def fetch(
    name: Annotated[
        str,
        typer.Argument(help="As in tfds's catalog, or name/config:version."),
    ],
    out: Annotated[Path, typer.Argument(help="Folder for the data set and what is downloaded.")],
) -> None:
    """Download the data set NAME into OUT and prepare it; print what to put into params.yaml."""
    builder = _find(name, out)
    choose_features(builder.info.features, name)  # before anything large is downloaded
    typer.echo(f"{name}: downloading into {out}; without a network this gives up after minutes")
    _prepare(builder, name)
    folder = Path(builder.data_dir)
    splits = open_builder(folder).info.splits
    sizes = ", ".join(f"{split} {splits[split].num_examples:,}" for split in splits)
    typer.echo(f"{name}: {sizes} pictures. For params.yaml:\n\ningest:\n  folder: {folder}")


def _find(name: str, out: Path) -> Any:
    """Find the code that downloads a data set."""
    import tensorflow_datasets as tfds

    try:
        return tfds.builder(name, data_dir=str(out))
    except tfds.core.DatasetNotFoundError as error:
        raise InputError(
            f"{name}: TensorFlow Datasets has no data set of this name. Similar: {_similar(name)}"
        ) from error
    except Exception as error:
        raise InputError(f"{name}: {_line(error)}") from error


def _similar(name: str) -> str:
    import tensorflow_datasets as tfds

    known = tfds.list_builders(with_community_datasets=False)
    alike = difflib.get_close_matches(name, known, NAMES_TOLD)
    return ", ".join(alike or [n for n in known if "caption" in n][:NAMES_TOLD])


def _prepare(builder: Any, name: str) -> None:
    import tensorflow_datasets as tfds

    try:
        builder.download_and_prepare(
            download_config=tfds.download.DownloadConfig(try_download_gcs=False),
            file_format=FORMAT,
        )
    except Exception as error:  # tfds's own, of requests, of the system, and of the builders' code
        raise InputError(
            f"{name}: cannot be downloaded and prepared: {_line(error)}. Is the network there? What"
            " was downloaded is kept: run the command again, or prepare the data set on another"
            f' machine with file_format="{FORMAT}" and copy its folder'
        ) from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


if __name__ == "__main__":
    run(fetch)
