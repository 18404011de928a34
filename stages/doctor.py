"""Is everything there that a run needs? (not a stage): `python -m stages.doctor`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from pipeline.doctor import examine
from stages.command import run

CHECK = sys.executable, "-m", "stages.settings", "--params"
MARKS = {"ok": "ok  ", "note": "note", "problem": "BAD "}


def doctor(
    root: Annotated[Path, typer.Argument(help="The repository.")] = Path(),
) -> None:
    """Say for each thing that a run needs whether it is there, and what to do where it is not.

    The exit code is 1 where something is missing without which nothing runs.
    """
    problems = 0
    for finding in examine(root, CHECK):
        typer.echo(f"{MARKS[finding.state]}  {finding.name:<17} {finding.found}")
        if finding.advice:
            typer.echo(f"{'':6}{'':<17} -> {finding.advice}")
        problems += finding.state == "problem"
    if problems:
        typer.echo(f"\n{problems} to be mended before `dvc repro` can run.")
        raise typer.Exit(1)
    typer.echo("\nReady: dvc repro")


if __name__ == "__main__":
    run(doctor)
