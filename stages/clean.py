"""Stage `clean`: normalise and tokenise captions; drop what is unusable, with its reason."""

import logging
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from pipeline.params import load
from pipeline.tables import CAPTIONS, CLEAN_CAPTIONS, DROPPED, read_table, write_rows
from pipeline.text import clean as cleaning
from stages.command import run

log = logging.getLogger(__name__)


def clean(
    captions: Annotated[Path, typer.Argument(help="Captions as found (Parquet).")],
    out: Annotated[Path, typer.Argument(help="Folder for captions.parquet and dropped.parquet.")],
    params: Annotated[Path, typer.Option(help="Settings.")] = Path("params.yaml"),
) -> None:
    """Turn CAPTIONS into tokens; write those that stay and those that go into OUT."""
    settings = load(cleaning.CleanSettings, "clean", params)
    cleaned = cleaning.clean(read_table(captions, CAPTIONS).to_pylist(), settings)
    listed = out / "dropped.parquet"  # to be looked up even where the run stops
    write_rows(listed, cleaned.dropped, DROPPED, sort_by=["item"])
    cleaning.check_share(cleaned, settings.max_dropped, str(listed))
    write_rows(
        out / "captions.parquet",
        cleaned.captions,
        CLEAN_CAPTIONS,
        sort_by=["image_id", "caption_id"],
    )
    reasons = Counter(row["reason"] for row in cleaned.dropped)
    log.info(
        "clean: %d captions kept, %d dropped%s",
        len(cleaned.captions),
        len(cleaned.dropped),
        "".join(f", {count} {reason}" for reason, count in sorted(reasons.items())),
    )


if __name__ == "__main__":
    run(clean)
