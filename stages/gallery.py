"""Pictures with their captions on one sheet (not a stage): `python -m stages.gallery OUT.png`."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.datasets.ingest import IngestSettings
from pipeline.errors import InputError
from pipeline.evaluation.predictions import Prediction, read_predictions, spread
from pipeline.files import written_whole
from pipeline.images.reading import Picture, read_known
from pipeline.params import load
from pipeline.reporting.labels import said
from pipeline.reporting.sheet import SIDE, Entry, draw_sheet
from pipeline.tables import IMAGES, read_table
from stages.command import run

FORMATS = (".png", ".jpg", ".jpeg")
MOST_OF_JPEG = 65_500  # pixels a side that its library writes


def gallery(
    out: Annotated[Path, typer.Argument(help="The sheet to write, .png or .jpg.")],
    raw: Annotated[
        Path | None, typer.Option(help="The data set's folder; ingest.folder of --params.")
    ] = None,
    images: Annotated[Path, typer.Option(help="What `ingest` wrote.")] = Path(
        "data/ingest/images.parquet"
    ),
    predictions: Annotated[Path, typer.Option(help="What `evaluate` wrote.")] = Path(
        "data/evaluate/predictions.jsonl"
    ),
    count: Annotated[int, typer.Option(min=1, help="Pictures on the sheet.")] = 8,
    columns: Annotated[int, typer.Option(min=1, help="Pictures in a row.")] = 4,
    params: Annotated[Path, typer.Option(help="Settings.")] = Path("params.yaml"),
) -> None:
    """Draw pictures spread evenly over the split, with their captions and one reference each."""
    if out.suffix.lower() not in FORMATS:
        raise InputError(f"{out}: expected a name that ends in {' or '.join(FORMATS)}")
    rows = read_predictions(predictions)
    chosen = spread(rows, count)
    folder = raw or Path(load(IngestSettings, "ingest", params).folder)
    pictures = {row["image_id"]: Picture.of(row) for row in read_table(images, IMAGES).to_pylist()}
    try:
        absent = [one.image_id for one in chosen if one.image_id not in pictures]
        if absent:
            raise InputError(f"{images}: expected picture {absent[0]!r}, which was captioned")
        entries = [_entry(one, pictures[one.image_id], folder) for one in chosen]
    except InputError as error:
        raise InputError(
            f"{error}. Where they lie elsewhere, name their folder with --raw, and what `ingest` "
            "wrote of it with --images"
        ) from error
    sheet = draw_sheet(entries, columns)
    if out.suffix.lower() != ".png" and max(sheet.size) > MOST_OF_JPEG:
        raise InputError(
            f"{out}: expected a sheet of at most {MOST_OF_JPEG:,} pixels a side, which is all that "
            f"JPEG has. Received: {sheet.width:,} x {sheet.height:,}. Lower --count, change "
            "--columns, or write a .png"
        )
    with written_whole(out) as temporary:
        sheet.save(temporary)
    typer.echo(f"{out}: {len(entries)} of {len(rows)} pictures with their captions")


def _entry(one: Prediction, picture: Picture, folder: Path) -> Entry:
    small = read_known(picture, folder, 2 * SIDE)
    person = f"a person: {one.references[0]}" if one.references else ""
    return Entry(small, said(one.caption), person)


if __name__ == "__main__":
    run(gallery)
