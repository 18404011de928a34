"""Stage `explore`: what the pictures and captions are like, told before they are modelled."""

import csv
import io
import logging
from pathlib import Path
from typing import Annotated

import typer

from pipeline.exploration.pictures import read_pictures
from pipeline.exploration.settings import ExploreSettings
from pipeline.exploration.survey import Rows, curves, metrics, survey
from pipeline.exploration.view import draw_page, shown_rows
from pipeline.files import write_json, write_text
from pipeline.params import load
from pipeline.tables import CLEAN_CAPTIONS, IMAGES, read_table
from stages.command import run

log = logging.getLogger(__name__)


def explore(
    raw: Annotated[Path, typer.Argument(help="The data set's folder.")],
    images: Annotated[Path, typer.Argument(help="Pictures and their splits (Parquet).")],
    captions: Annotated[Path, typer.Argument(help="Clean captions (Parquet).")],
    out: Annotated[Path, typer.Argument(help="Folder for index.html, metrics and curves.")],
    params: Annotated[Path, typer.Option(help="Settings.")] = Path("params.yaml"),
) -> None:
    """Describe pictures and captions: one page to read, metrics and curves to compare."""
    settings = load(ExploreSettings, "explore", params)
    pictures, texts = read_table(images, IMAGES), read_table(captions, CLEAN_CAPTIONS)
    found = survey(pictures, texts, settings)
    shown = read_pictures(pictures, shown_rows(found, settings), raw, settings.picture_side)
    page = draw_page(found, texts, shown, settings)

    for name, rows in curves(found).items():
        write_text(out / name, _csv(rows))
    write_json(out / "metrics.json", metrics(found))
    write_text(out / "index.html", page)
    people = ", ".join(f"{one.cider_d:.3f} in {split}" for split, one in found.agreement.items())
    log.info("explore: CIDEr-D of people: %s", people or "unknown, as captions have no others")
    log.info("explore: open %s", out / "index.html")


def _csv(rows: Rows) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


if __name__ == "__main__":
    run(explore)
