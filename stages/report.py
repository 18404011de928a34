"""Stage `report`: one page of what a run has reached, and where it errs."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from pipeline.evaluation.attention_file import ATTENTION, read_attention
from pipeline.evaluation.metrics_file import read_metrics
from pipeline.evaluation.predictions import read_predictions
from pipeline.files import write_text
from pipeline.params import load
from pipeline.reporting.pictures import read_at_hand
from pipeline.reporting.report.attention import looked_ids
from pipeline.reporting.report.findings import gather, shown_ids
from pipeline.reporting.report.inputs import chosen_by, read_curves, read_sweep
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
        read_metrics(evaluated / "metrics.json"),
        read_predictions(evaluated / "predictions.jsonl"),
        read_curves(curves),
        read_sweep(sweep) if sweep else [],
        settings,
        chosen_by(sweep) if sweep else None,
    )
    pictures = read_at_hand(shown_ids(found), images, raw, settings.picture_side)
    looked = read_attention(evaluated / ATTENTION, looked_ids(found))
    write_text(out / "index.html", draw_page(found, pictures, looked, settings))
    log.info("report: %d captions, %d pictures shown", len(found.predictions), len(pictures))
    log.info("report: open %s", out / "index.html")


if __name__ == "__main__":
    run(report)
