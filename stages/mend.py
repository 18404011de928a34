"""Let DVC run again after it was killed (not a stage): `python -m stages.mend`."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from pipeline import dvc_lock
from stages.command import run

log = logging.getLogger(__name__)


def mend(root: Annotated[Path, typer.Argument(help="The repository.")] = Path()) -> None:
    """Put dvc.lock right where DVC was killed while it wrote it; `make repro` begins with this."""
    told = dvc_lock.mend(root)
    if told is not None:
        log.warning("%s", told)


if __name__ == "__main__":
    run(mend)
