"""Stage `ingest`: read a data set in whatever layout it has, and look at every picture."""

import logging
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from pipeline.datasets import ingest as ingesting
from pipeline.datasets.ingest import Ingested, IngestSettings
from pipeline.errors import InputError
from pipeline.params import load
from pipeline.tables import CAPTIONS, DROPPED, FACTS, IMAGES, SPLITS, write_rows
from stages.command import run

log = logging.getLogger(__name__)

FILES = 3  # tar files with something wrong that are told by name


def ingest(
    raw: Annotated[Path, typer.Argument(help="The data set's folder; it is only read.")],
    out: Annotated[Path, typer.Argument(help="Folder for the tables, created here.")],
    params: Annotated[Path, typer.Option(help="The settings file.")] = Path("params.yaml"),
) -> None:
    """Write images, captions, dropped and facts (.parquet) of the data set RAW to OUT."""
    settings = load(IngestSettings, "ingest", params)
    ingested = ingesting.ingest(raw, settings)
    save_dropped(ingested, out)
    problem = ingesting.problem(ingested, settings, out / "dropped.parquet")
    if problem is not None:
        raise InputError(f"{raw}: {problem}")
    save(ingested, out)
    tell(ingested)


def save_dropped(ingested: Ingested, out: Path) -> None:
    """Write what was left out, to be looked up even when the run stops; clear the rest away."""
    for name in ("images", "captions", "facts"):
        (out / f"{name}.parquet").unlink(missing_ok=True)  # of an earlier run
    by = ("kind", "item", "source", "reason", "raw")
    write_rows(out / "dropped.parquet", ingested.dropped, DROPPED, by)


def save(ingested: Ingested, out: Path) -> None:
    """Write the tables that later stages read."""
    write_rows(out / "facts.parquet", ingested.facts, FACTS, ("image_id",))
    write_rows(out / "captions.parquet", ingested.captions, CAPTIONS, ("image_id", "caption_id"))
    write_rows(out / "images.parquet", ingested.images, IMAGES, ("image_id",))


def tell(ingested: Ingested) -> None:
    """Log how much there is of each split, and what was left out for which reason."""
    split_of = {row["image_id"]: row["split"] for row in ingested.images}
    pictures = Counter(split_of.values())
    captions = Counter(split_of[row["image_id"]] for row in ingested.captions)
    log.info("layout: %s", ingested.layout)
    if ingested.hashed_splits:
        log.info("split by a hash of the picture's id: %s", ", ".join(ingested.hashed_splits))
    for split in SPLITS:
        log.info("%s: %s pictures, %s captions", split, pictures[split], captions[split])
    left_out = Counter((row["reason"], row["kind"]) for row in ingested.dropped)
    for (reason, kind), count in sorted(left_out.items()):
        log.info("left out: %s %s (%s)", count, f"{kind}s" if count > 1 else kind, reason)
    whole = (row for row in ingested.dropped if row["item"] == row["source"])
    for row in islice((row for row in whole if row["item"].lower().endswith(".tar")), FILES):
        log.warning("%s: not read to its end: %s (%s)", row["item"], row["raw"], row["reason"])
    if ingested.unseen:
        log.warning(
            "some %s more pictures and captions are lost, if the files that cannot be read to their"
            " end held as many as the fullest of the others, or as they have by their size",
            f"{ingested.unseen:,}",
        )


if __name__ == "__main__":
    run(ingest)
