"""What a run has reached, in a few lines (not a stage): `python -m stages.summary`."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.captioner.search.settings import SearchSettings
from pipeline.errors import InputError
from pipeline.evaluation.metrics_file import other_tokens, read_metrics
from pipeline.evaluation.per_picture import NO_SPICE
from pipeline.evaluation.predictions import Prediction, read_predictions, spread
from pipeline.reporting.better import better_search
from pipeline.reporting.labels import LABELS, label, said
from stages.command import run
from stages.trained import evaluated_search, evaluated_together

USUAL = SearchSettings.usual()
SHOWN = (*LABELS, "distinct_share", "novel_share", "words_used", "mean_words")  # of metrics.json


def summary(
    evaluated: Annotated[Path, typer.Argument(help="What `evaluate` wrote.")] = Path(
        "data/evaluate"
    ),
    examples: Annotated[int, typer.Option(min=1, help="Pictures shown with their captions.")] = 3,
    params: Annotated[Path, typer.Option(help="Settings of the run.")] = Path("params.yaml"),
) -> None:
    """Print the scores, a few captions with their references, and what to do next."""
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
        if reason != NO_SPICE:  # which is for whoever asks for it
            typer.echo(f"  {label(name):<34} missing: {reason}")
    if told := other_tokens(metrics):
        typer.echo(f"\n  {told}")
    for one in spread(predictions, examples):
        _show(one)
    search = evaluated_search(params) if params.is_file() else USUAL
    if (evaluated.parent / "sweep" / "best.json").is_file():
        _tell_better(evaluated.parent / "sweep", search, params)
    command = "caption PICTURE" if _is_usual(search) else f"caption --params {params} PICTURE"
    typer.echo(
        f"\nNext, after `. .venv/bin/activate`: caption a picture with `{command}`. Or commit this "
        "run\n(`git add -A data && git commit -a`), change params.yaml, run `dvc repro`, and "
        "compare with `dvc metrics diff`\nand `python -m stages.compare`."
    )


def _is_usual(search: SearchSettings) -> bool:
    """Whether `caption` searches so by itself."""
    unused = {"diverse", "sampling"}  # by a beam
    return search.model_dump(exclude=unused) == USUAL.model_dump(exclude=unused)


def _tell_better(swept: Path, search: SearchSettings, params: Path) -> None:
    """Tell what `sweep` found: it says so itself only where it runs, in the middle of a log."""
    together = evaluated_together(params) if params.is_file() else True
    if better := better_search(swept, search, together):
        changed = ", ".join(f"{name}: {value:g}" for name, value in better.settings.items())
        present = "" if better.present is None else f" instead of {better.present:.3f}"
        typer.echo(
            f"\nOn the validation pictures, the last `sweep` reached a {label(better.metric)} of "
            f"{better.score:.3f}{present} with {changed}.\nTo use that, write it into section "
            f"`evaluate` of {params}. All that was tried: {swept / 'sweep.csv'}"
        )


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.3f}"


def _show(one: Prediction) -> None:
    typer.echo(f"\n  {one.image_id}")
    typer.echo(f"    says      {said(one.caption)}")
    if one.references:
        typer.echo(f"    a person  {one.references[0]}")


if __name__ == "__main__":
    run(summary)
