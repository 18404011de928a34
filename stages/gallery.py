"""Pictures with their captions on one sheet (not a stage): `python -m stages.gallery OUT.png`."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.comparison.predictions import lines_of
from pipeline.datasets.ingest import IngestSettings
from pipeline.errors import InputError
from pipeline.files import written_whole
from pipeline.images.reading import Picture, read_known
from pipeline.params import load
from pipeline.reporting.sheet import SIDE, Entry, draw_sheet
from pipeline.tables import IMAGES, read_table
from stages.command import run

FORMATS = (".png", ".jpg", ".jpeg")


def gallery(
    out: Annotated[Path, typer.Argument(help="The sheet to write, .png or .jpg.")],
    raw: Annotated[
        Path | None, typer.Option(help="The data set's folder.  [default: ingest.folder]")
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
    if not predictions.is_file():
        raise InputError(f"{predictions}: no such file. Run the pipeline first: dvc repro")
    rows = [json.loads(line) for line in lines_of(predictions.read_text(encoding="utf-8"))]
    chosen = rows[:: max(1, len(rows) // count)][:count]
    folder = raw or Path(load(IngestSettings, "ingest", params).folder)
    pictures = {row["image_id"]: Picture.of(row) for row in read_table(images, IMAGES).to_pylist()}
    try:
        absent = [row["image_id"] for row in chosen if row["image_id"] not in pictures]
        if absent:
            raise InputError(f"{images}: expected picture {absent[0]!r}, which was captioned")
        entries = [_entry(row, pictures[row["image_id"]], folder) for row in chosen]
    except InputError as error:
        raise InputError(
            f"{error}. Where they lie elsewhere, name their folder with --raw, and what `ingest` "
            "wrote of it with --images"
        ) from error
    sheet = draw_sheet(entries, columns)
    with written_whole(out) as temporary:
        sheet.save(temporary)
    typer.echo(f"{out}: {len(entries)} of {len(rows)} pictures with their captions")


def _entry(row: dict[str, Any], picture: Picture, folder: Path) -> Entry:
    """Make an entry of a line of predictions.jsonl."""
    small = read_known(picture, folder, 2 * SIDE)
    references = row["references"]
    return Entry(small, row["caption"], f"a person: {references[0]}" if references else "")


if __name__ == "__main__":
    run(gallery)
