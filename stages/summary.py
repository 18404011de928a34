"""What a run has reached, in a few lines (not a stage): `python -m stages.summary`."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.comparison.predictions import lines_of
from pipeline.errors import InputError
from pipeline.reporting.labels import LABELS, label
from stages.command import run

FIGURES = {  # of metrics.json, beside the scores
    "distinct_share": "captions that are distinct",
    "novel_share": "captions not in the training set",
    "words_used": "different words used",
    "mean_words": "words a caption",
}


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
    metrics = json.loads(path.read_text(encoding="utf-8"))
    typer.echo(f"\nScores on {metrics['scored_pictures']} pictures ({path}):\n")
    for name, told in {**LABELS, **FIGURES}.items():
        if name in metrics:
            typer.echo(f"  {told:<34}{_number(metrics[name]):>8}")
    for name, reason in metrics["missing"].items():
        typer.echo(f"  {label(name):<34} missing: {reason}")
    lines = lines_of((evaluated / "predictions.jsonl").read_text(encoding="utf-8"))
    for line in lines[:: max(1, len(lines) // examples)][:examples]:
        _show(json.loads(line))
    typer.echo(
        "\nNext, after `. .venv/bin/activate`: caption a picture with `caption PICTURE`, change "
        "params.yaml and run\n`dvc repro`, then compare with `dvc metrics diff` and "
        "`python -m stages.compare`."
    )


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.3f}"


def _show(prediction: dict[str, Any]) -> None:
    typer.echo(f"\n  {prediction['path']}")
    typer.echo(f"    says      {prediction['caption']}")
    if prediction["references"]:
        typer.echo(f"    a person  {prediction['references'][0]}")


if __name__ == "__main__":
    run(summary)
