"""Pictures with their captions on one sheet (not a stage): `python -m stages.gallery OUT.png`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from pipeline.errors import InputError
from pipeline.files import written_whole
from pipeline.reporting.sheet import Entry, draw_sheet
from stages.command import run


def gallery(
    out: Annotated[Path, typer.Argument(help="The sheet to write, .png or .jpg.")],
    raw: Annotated[Path, typer.Option(help="The data set's folder.")] = Path("data/raw/scenes"),
    predictions: Annotated[Path, typer.Option(help="What `evaluate` wrote.")] = Path(
        "data/evaluate/predictions.jsonl"
    ),
    count: Annotated[int, typer.Option(min=1, help="Pictures on the sheet.")] = 8,
    columns: Annotated[int, typer.Option(min=1, help="Pictures in a row.")] = 4,
) -> None:
    """Draw pictures spread evenly over the split, with their captions and one reference each."""
    if not predictions.is_file():
        raise InputError(f"{predictions}: no such file. Run the pipeline first: dvc repro")
    rows = [json.loads(line) for line in predictions.read_text(encoding="utf-8").splitlines()]
    chosen = rows[:: max(1, len(rows) // count)][:count]
    entries = [
        Entry(raw / row["path"], row["caption"], f"a person: {row['references'][0]}")
        for row in chosen
    ]
    try:
        sheet = draw_sheet(entries, columns)
    except (OSError, ValueError) as error:
        raise InputError(f"{error}. Name the folder of the pictures with --raw") from error
    with written_whole(out) as temporary:
        sheet.save(temporary)
    typer.echo(f"{out}: {len(entries)} of {len(rows)} pictures with their captions")


if __name__ == "__main__":
    run(gallery)
