"""What changed between two commits (not a stage): `python -m stages.compare [REV_A [REV_B]]`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from pipeline.comparison.compare import compare as compare_runs
from pipeline.comparison.revisions import WORK_TREE, Paths, Run, read_run
from pipeline.comparison.text import as_text
from pipeline.comparison.view import as_data, as_page
from pipeline.files import write_text
from pipeline.reporting.pictures import read_at_hand
from stages.command import run

HERE = Path()
PAGE = Path("compare.html")


def compare(
    rev_a: Annotated[
        str, typer.Argument(help="The earlier run: a commit, branch, tag or experiment of DVC's.")
    ] = "HEAD",
    rev_b: Annotated[
        str, typer.Argument(help="The later run; `workspace` is the files as they are.")
    ] = WORK_TREE,
    out: Annotated[Path | None, typer.Option(help="The page to write; compare.html.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON, and write no page unless --out is given.")
    ] = False,
    examples: Annotated[int, typer.Option(min=0, help="Captions listed each way.")] = 8,
    rounds: Annotated[int, typer.Option(min=100, help="Resamples of the bootstrap.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of the resamples.")] = 1,
    evaluated: Annotated[Path, typer.Option(help="What `evaluate` wrote.")] = Path("data/evaluate"),
    images: Annotated[Path, typer.Option(help="What `ingest` wrote, for the pictures.")] = Path(
        "data/ingest/images.parquet"
    ),
    raw: Annotated[
        Path | None, typer.Option(help="The data set's folder; ingest.folder of --params.")
    ] = None,
    side: Annotated[int, typer.Option(min=16, help="Pixels of a picture's longer side.")] = 320,
    params: Annotated[Path, typer.Option(help="Settings.")] = Path("params.yaml"),
) -> None:
    """Compare two runs: settings, scores with their significance, captions that moved most."""
    paths = Paths(
        params=params.as_posix(),
        metrics=(evaluated / "metrics.json").as_posix(),
        predictions=(evaluated / "predictions.jsonl").as_posix(),
        images=images.as_posix(),
    )
    a, b = (read_run(HERE, revision, paths) for revision in (rev_a, rev_b))
    found = compare_runs(a, b, examples, rounds, seed)
    if as_json:
        typer.echo(json.dumps(as_data(found), indent=2, ensure_ascii=False, sort_keys=True))
    else:
        typer.echo(as_text(found), nl=False)
    page = out or (None if as_json else PAGE)
    if page is None:
        return
    shown = [one.image_id for one in (*found.gained, *found.lost)]
    pictures = read_at_hand(shown, images, raw or _folder(b), side, b.pictures)
    write_text(page, as_page(found, pictures))
    if not as_json:
        typer.echo(f"\nWith the pictures: {page}")


def _folder(later: Run) -> Path:
    """The data set's folder of a run: of any that it names, as pictures are checked by hash."""
    ingest = later.params.get("ingest")
    folder = ingest.get("folder") if isinstance(ingest, dict) else None
    return Path(str(folder or ""))


if __name__ == "__main__":
    run(compare)
