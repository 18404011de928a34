"""Put right what a killed run left (not a stage): `python -m stages.mend`."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from pipeline import dvc_files
from pipeline.files import put_right
from stages.command import run

log = logging.getLogger(__name__)


def mend(root: Annotated[Path, typer.Argument(help="The repository.")] = Path()) -> None:
    """Mend DVC's own files, and remove what is half-written; `make repro` begins with this.

    A stage removes what killed ones left when it runs. But DVC may take its outputs from the cache
    instead, and then it does not run.
    """
    for told in dvc_files.mend(root):
        log.warning("%s", told)
    for folder in list(_folders(root / "data")):
        for left in put_right(folder):
            log.warning("%s: half-written, of a stage that was killed: put right", left)


def _folders(data: Path) -> Iterator[Path]:
    """List where stages write: not within the data sets in data/raw."""
    yield from (data, data / "raw")
    for path in sorted(data.glob("*")):
        if path.name != "raw" and path.is_dir() and not path.is_symlink():
            yield path
            yield from (below for below in sorted(path.rglob("*")) if below.is_dir())


if __name__ == "__main__":
    run(mend)
