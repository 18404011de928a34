"""Stage `report`: one page of what a run has reached, and where it errs."""

import json
import logging
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.errors import InputError
from pipeline.files import write_text
from pipeline.params import load
from pipeline.reporting.pictures import read_at_hand
from pipeline.reporting.predictions import read_predictions
from pipeline.reporting.report.findings import gather, shown_ids
from pipeline.reporting.report.inputs import read_curves, read_sweep
from pipeline.reporting.report.settings import ReportSettings
from pipeline.reporting.report.view import draw_page
from pipeline.tables import CLEAN_CAPTIONS, IMAGES, read_table
from stages.command import run

log = logging.getLogger(__name__)


def report(
    raw: Annotated[Path, typer.Argument(help="The data set's folder.")],
    images: Annotated[Path, typer.Argument(help="Pictures and their splits (Parquet).")],
    captions: Annotated[Path, typer.Argument(help="Clean captions (Parquet).")],
    curves: Annotated[Path, typer.Argument(help="Folder of learning curves.")],
    evaluated: Annotated[Path, typer.Argument(help="Folder of scores and captions.")],
    out: Annotated[Path, typer.Argument(help="Folder for index.html.")],
    sweep: Annotated[
        Path | None, typer.Option(help="Scores by decoding setting (CSV), where there are any.")
    ] = None,
    params: Annotated[Path, typer.Option(help="Settings.")] = Path("params.yaml"),
) -> None:
    """Tell what the captioner has reached: scores, captions, words, curves, on one page."""
    settings = load(ReportSettings, "report", params)
    found = gather(
        read_table(images, IMAGES),
        read_table(captions, CLEAN_CAPTIONS),
        _metrics(evaluated / "metrics.json"),
        read_predictions(evaluated / "predictions.jsonl"),
        read_curves(curves),
        read_sweep(sweep) if sweep else [],
        settings,
    )
    pictures = read_at_hand(shown_ids(found), images, raw, settings.picture_side)
    write_text(out / "index.html", draw_page(found, pictures, settings))
    log.info("report: %d captions, %d pictures shown", len(found.predictions), len(pictures))
    log.info("report: open %s", out / "index.html")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file. Run `dvc repro evaluate`") from error


def _metrics(path: Path) -> dict[str, Any]:
    try:
        metrics = json.loads(_text(path))
    except ValueError as error:
        raise InputError(f"{path}: expected JSON. Received: {error}") from error
    if not isinstance(metrics, dict):
        raise InputError(f"{path}: expected names with values. Received: {metrics!r:.60}")
    return metrics


if __name__ == "__main__":
    run(report)
