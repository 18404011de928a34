"""Stage `vocabulary`: the words of the training captions at or above a threshold."""

import csv
import io
import logging
from pathlib import Path
from typing import Annotated

import typer

from pipeline.files import write_json, write_text
from pipeline.params import load
from pipeline.tables import CLEAN_CAPTIONS, IMAGES, read_table
from pipeline.text.tokens import tokens_by_split
from pipeline.text.vocabulary import Vocabulary, VocabularySettings, coverage, unknown_rate
from stages.command import run

log = logging.getLogger(__name__)

THRESHOLDS = (1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 50)  # where the coverage curve is drawn


def vocabulary(
    images: Annotated[Path, typer.Argument(help="Pictures and their splits (Parquet).")],
    captions: Annotated[Path, typer.Argument(help="Clean captions (Parquet).")],
    out: Annotated[Path, typer.Argument(help="Folder for the vocabulary and its metrics.")],
    params: Annotated[Path, typer.Option(help="Settings.")] = Path("params.yaml"),
) -> None:
    """Choose the words that the captioner knows, and tell what share of the captions they cover."""
    settings = load(VocabularySettings, "vocabulary", params)
    tokens = tokens_by_split(read_table(images, IMAGES), read_table(captions, CLEAN_CAPTIONS))
    words = Vocabulary.build(tokens["train"], settings.min_count)
    unknown = {split: unknown_rate(rows, words) for split, rows in tokens.items()}

    words.write(out / "vocabulary.json")
    write_json(out / "metrics.json", {"words": len(words), "unknown_rate": unknown})
    _write_curve(out / "coverage.csv", coverage(tokens, THRESHOLDS))
    log.info(
        "vocabulary: %d words; unknown: %s",
        len(words),
        ", ".join(f"{rate:.2%} in {split}" for split, rate in unknown.items()),
    )


def _write_curve(path: Path, rows: list[dict[str, float]]) -> None:
    """Write one row a threshold and split: DVC draws one curve a split."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["min_count", "words", "split", "coverage"])
    for row in rows:
        for split in ("train", "val", "test"):
            writer.writerow([row["min_count"], row["words"], split, round(row[split], 6)])
    write_text(path, text.getvalue())


if __name__ == "__main__":
    run(vocabulary)
