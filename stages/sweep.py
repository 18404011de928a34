"""Stage `sweep`: try decoding settings on the validation split, without training again.

The validation split chooses, so that the test split stays unseen.
"""

import csv
import io
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.evaluation.metrics_file import other_tokens
from pipeline.evaluation.split import Searcher, select
from pipeline.evaluation.sweep import SCORES, SweepSettings, best, try_all
from pipeline.evaluation.tokenise import AGAIN
from pipeline.files import write_json, write_text
from pipeline.params import load
from pipeline.tables import CAPTIONS, IMAGES, read_table
from stages.command import run

log = logging.getLogger(__name__)

SPLIT = "val"
TRIED = {  # settings of `evaluate`, and those of `sweep` that say which values are tried
    "beam_width": "beam_widths",
    "length_penalty": "length_penalties",
    "guide": "guides",
    "consensus": "consensus",
}


def sweep(
    ingested: Annotated[Path, typer.Argument(help="Folder of images and captions.")],
    features: Annotated[Path, typer.Argument(help="Folder of feature shards.")],
    model: Annotated[Path, typer.Argument(help="The trained bundle.")],
    out: Annotated[Path, typer.Argument(help="Folder for the scores and the suggestion.")],
    params: Annotated[Path, typer.Option(help="Settings.")] = Path("params.yaml"),
) -> None:
    """Score settings, each with each; write OUT/sweep.csv, and the best to OUT/best.json."""
    settings = load(SweepSettings, "sweep", params)
    images = read_table(ingested / "images.parquet", IMAGES)
    captions = read_table(ingested / "captions.parquet", CAPTIONS)
    split = select(SPLIT, images, captions)
    searcher = Searcher(model, features)
    rows, tokenisation = try_all(searcher, split, settings)
    first = best(rows, settings.metric)
    write_text(out / "sweep.csv", _csv(rows))
    together = settings.ensemble if len(searcher.members) > 1 else None
    how = {"metric": settings.metric, "max_words": settings.max_words, "ensemble": together}
    write_json(out / "best.json", {**first, **how, "tokenisation": tokenisation})
    _tell(rows, first, settings)
    if told := other_tokens({"tokenisation": tokenisation}):
        log.warning("sweep: %s", told)
        log.warning("sweep: %s", AGAIN)


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _tell(
    rows: Sequence[Mapping[str, Any]], best: Mapping[str, Any], settings: SweepSettings
) -> None:
    """Print the scores as a table, and of what was tried the best as lines for params.yaml."""
    titles = [f"{'beam_width':>10} {'length_penalty':>14} {'guide':>6} {'consensus':>9}"]
    typer.echo(" ".join([*titles, *(f"{score:>10}" for score in SCORES)]))
    for row in rows:
        scores = " ".join(f"{row[name]:10.4f}" for name in SCORES)
        mark = "  <- best " + settings.metric if row is best else ""
        tried = f"{row['beam_width']:>10} {row['length_penalty']:>14g} {row['guide']:>6g}"
        typer.echo(f"{tried} {row['consensus']:>9g} {scores}{mark}")
    choices = {name: set(getattr(settings, TRIED[name])) for name in TRIED}
    # A beam of 1 has no consensus, whatever was asked of the wider ones.
    varied = [
        f"  {name}: {best[name]}"
        for name, values in choices.items()
        if len(values) > 1 or best[name] not in values
    ]
    if varied:
        typer.echo("\nThe best on the validation split, for params.yaml:\n\nevaluate:")
        typer.echo("\n".join(varied))
    for name, values in choices.items():
        if values == {best[name]}:
            typer.echo(f"# {name} was {best[name]} in all of them: sweep.{TRIED[name]}")


if __name__ == "__main__":
    run(sweep)
