"""Let DVC run again after it was killed (not a stage): `python -m stages.mend`."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from pipeline import dvc_files
from stages.command import run

log = logging.getLogger(__name__)


def mend(root: Annotated[Path, typer.Argument(help="The repository.")] = Path()) -> None:
    """Put right what DVC left half-written where it was killed; `make repro` begins with this."""
    for told in dvc_files.mend(root):
        log.warning("%s", told)


if __name__ == "__main__":
    run(mend)
