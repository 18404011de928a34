"""What a run has reached, in a few lines (not a stage): `python -m stages.summary`."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.errors import InputError
from pipeline.evaluation.metrics_file import read_metrics
from pipeline.reporting.labels import LABELS, label, other_tokens, said
from pipeline.reporting.predictions import Prediction, read_predictions, spread
from stages.command import run

SHOWN = (*LABELS, "distinct_share", "novel_share", "words_used", "mean_words")  # of metrics.json


def summary(
    evaluated: Annotated[Path, typer.Argument(help="What `evaluate` wrote.")] = Path(
        "data/evaluate"
    ),
    examples: Annotated[int, typer.Option(min=1, help="Pictures shown with their captions.")] = 3,
) -> None:
    """Print the scores and a few captions with their references."""
    path = evaluated / "metrics.json"
    if not path.is_file():
        raise InputError(f"{path}: no such file. Run the pipeline first: make repro")
    metrics = read_metrics(path)
    predictions = read_predictions(evaluated / "predictions.jsonl")
    pictures = metrics.get("scored_pictures", len(predictions))
    typer.echo(f"\nScores on {pictures} pictures ({path}):\n")
    for name in SHOWN:
        if name in metrics:
            typer.echo(f"  {label(name):<34}{_number(metrics[name]):>8}")
    for name, reason in (metrics.get("missing") or {}).items():
        typer.echo(f"  {label(name):<34} missing: {reason}")
    if told := other_tokens(metrics):
        typer.echo(f"\n  {told}")
    for one in spread(predictions, examples):
        _show(one)
    typer.echo(
        "\nNext, after `. .venv/bin/activate`: caption a picture with `caption PICTURE`. Or commit "
        "this run (`git commit -a`),\nchange params.yaml, run `dvc repro`, and compare with "
        "`dvc metrics diff` and `python -m stages.compare`."
    )


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.3f}"


def _show(one: Prediction) -> None:
    typer.echo(f"\n  {one.path}")
    typer.echo(f"    says      {said(one.caption)}")
    if one.references:
        typer.echo(f"    a person  {one.references[0]}")


if __name__ == "__main__":
    run(summary)
