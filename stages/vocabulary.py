"""Stage `vocabulary`: the words of the training captions at or above a threshold."""

import csv
import io
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from pipeline.files import write_json, write_text
from pipeline.params import load
from pipeline.tables import CLEAN_CAPTIONS, IMAGES, read_table
from pipeline.text import embedding_match
from pipeline.text.embedding_match import Matched
from pipeline.text.embeddings import write_embeddings
from pipeline.text.marks import MARKS
from pipeline.text.tokens import tokens_by_split
from pipeline.text.vocabulary import Vocabulary, coverage, unknown_rate
from pipeline.text.vocabulary_settings import EmbeddingSettings, VocabularySettings
from stages.command import run

log = logging.getLogger(__name__)

LEAST_COVERED = 0.95  # share of what is said, below which a file of vectors hardly fits it
THRESHOLDS = (1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 50)  # where the coverage curve is drawn


def vocabulary(
    images: Annotated[Path, typer.Argument(help="Pictures and their splits (Parquet).")],
    captions: Annotated[Path, typer.Argument(help="Clean captions (Parquet).")],
    embeddings: Annotated[Path, typer.Argument(help="Folder with your files of word vectors.")],
    out: Annotated[Path, typer.Argument(help="Folder for the vocabulary and its metrics.")],
    params: Annotated[Path, typer.Option(help="Settings.")] = Path("params.yaml"),
) -> None:
    """Choose the words that the captioner knows, and tell what share of the captions they cover."""
    settings = load(VocabularySettings, "vocabulary", params)
    tokens = tokens_by_split(read_table(images, IMAGES), read_table(captions, CLEAN_CAPTIONS))
    words = Vocabulary.build(tokens["train"], settings.min_count)
    unknown = {split: unknown_rate(rows, words) for split, rows in tokens.items()}
    metrics: dict[str, Any] = {"words": len(words), "unknown_rate": unknown}
    matched = _match(words, embeddings, settings.embeddings)
    if matched:
        metrics["embeddings"] = _figures(matched, tokens)
        _warn_of_random(metrics["embeddings"]["coverage"]["train"])

    words.write(out / "vocabulary.json")
    nothing = np.zeros((len(words), 0), np.float32)
    write_embeddings(out / "embeddings.npy", matched.matrix if matched else nothing)
    _write_missing(out / "embeddings_missing.csv", words, matched)
    _write_curve(out / "coverage.csv", coverage(tokens, THRESHOLDS))
    write_json(out / "metrics.json", metrics)
    log.info(
        "vocabulary: %d words and %d marks; unknown: %s",
        *(len(words) - len(MARKS), len(MARKS)),
        ", ".join(f"{rate:.2%} in {split}" for split, rate in unknown.items()),
    )


def _match(words: Vocabulary, folder: Path, settings: EmbeddingSettings) -> Matched | None:
    """Read the vectors of the file that is named, if one is, and tell how it went."""
    if settings.file is None:
        return None
    matched = embedding_match.match(words, folder / settings.file, settings.format, settings.seed)
    counts = embedding_match.count_sources(matched.sources)
    width = matched.file.layout.width
    log.info(
        "vocabulary: vectors of %d numbers (train.embedding: %d) from %s: %s",
        width,
        width,
        settings.file,
        ", ".join(f"{count} {how}" for how, count in counts.items()),
    )
    skipped = [f"{count} {why}" for why, count in matched.file.skipped.items() if count]
    if skipped:
        log.warning("vocabulary: skipped in %s: %s", settings.file, ", ".join(skipped))
    if matched.file.first_broken:
        log.warning("vocabulary: the first broken one is %s", matched.file.first_broken)
    return matched


def _warn_of_random(covered: float) -> None:
    """Tell where much of what training captions say has no vector of the file.

    Here and not in `train`, which is not told where a vector comes from: whoever names a file comes
    by here first.
    """
    if covered < LEAST_COVERED:
        log.warning(
            "vocabulary: of the words said in train, %.1f%% begin at random; with"
            " train.word_vectors: frozen they stay so, with trained they are learned",
            100 * (1 - covered),
        )


def _figures(matched: Matched, tokens: Mapping[str, Iterable[Sequence[str]]]) -> dict[str, Any]:
    """Gather what is told of the vectors in metrics.json."""
    return {
        "width": matched.file.layout.width,
        "words_in_file": matched.file.words,
        "skipped": matched.file.skipped,
        "words": embedding_match.count_sources(matched.sources),
        "coverage": embedding_match.coverage(tokens, matched.sources),
    }


def _write_missing(path: Path, words: Vocabulary, matched: Matched | None) -> None:
    """List the words that the file has not as they are, the most frequent first."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["word", "count", "vector", "of"])
    for word, source in (matched.sources if matched else {}).items():
        if source.how != "exact":
            count = words.counts[words.ids[word]]
            writer.writerow([word, count, source.how, " ".join(source.spellings)])
    write_text(path, text.getvalue())


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
