"""Stage `evaluate`: caption a split with the trained bundle and score the captions."""

import csv
import io
import json
import logging
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
import typer

from pipeline.captioner.captioner import SearchSettings
from pipeline.datasets.scenes.facts import is_true
from pipeline.evaluation.attention_file import ATTENTION, write_attention
from pipeline.evaluation.by_length import by_length
from pipeline.evaluation.coco_results import coco_results
from pipeline.evaluation.corpus import CorpusFigures, describe
from pipeline.evaluation.metrics_file import PTB, UNSCORED, missing_of_seeds, other_tokens
from pipeline.evaluation.over_seeds import over_seeds
from pipeline.evaluation.per_picture import METRICS, NO_SPICE
from pipeline.evaluation.scores import Scores, score, unscored
from pipeline.evaluation.significance import interval, mean_of
from pipeline.evaluation.split import Candidates, ScoredSplit, Searcher, select
from pipeline.evaluation.tokenise import AGAIN
from pipeline.files import write_json, write_json_lines, write_text
from pipeline.params import load
from pipeline.tables import CAPTIONS, CLEAN_CAPTIONS, FACTS, IMAGES, read_table
from pipeline.text.marks import MARKS
from pipeline.text.tokens import tokens_by_split
from stages.command import run

log = logging.getLogger(__name__)

TRUE = "fact_accuracy"
# Of one caption. BLEU-2 to BLEU-4 are of a corpus, and nearly always 0 of one caption.
SENTENCE_METRICS = ("bleu_1", "bleu_4_smoothed", "meteor", "rouge_l", "cider_d", "spice", TRUE)


class EvaluateSettings(SearchSettings):
    """Section `evaluate` of params.yaml."""

    split: Literal["train", "val", "test"]  # what is scored
    coco_splits: list[Literal["train", "val", "test"]]  # what COCO results are written of
    ensemble: bool  # of several train.seeds, all together are scored; else the best of them
    spice: str | None  # folder of SPICE's program and models, see pipeline/evaluation/spice.py


def evaluate(
    ingested: Annotated[Path, typer.Argument(help="Folder of images, captions and facts.")],
    captions: Annotated[Path, typer.Argument(help="Clean captions, for what is novel (Parquet).")],
    features: Annotated[Path, typer.Argument(help="Folder of feature shards.")],
    model: Annotated[Path, typer.Argument(help="The trained bundle.")],
    out: Annotated[Path, typer.Argument(help="Folder for scores and captions.")],
    params: Annotated[Path, typer.Option(help="Settings.")] = Path("params.yaml"),
) -> None:
    """Caption the split's pictures, and score the captions.

    Writes metrics.json, predictions.jsonl, by_length.csv, coco/, and attention.parquet, which has
    rows where the decoder attends.
    """
    settings = load(EvaluateSettings, "evaluate", params)
    images = read_table(ingested / "images.parquet", IMAGES)
    texts = read_table(ingested / "captions.parquet", CAPTIONS)
    split = select(settings.split, images, texts)
    training = tokens_by_split(images, read_table(captions, CLEAN_CAPTIONS))["train"]
    searcher = Searcher(model, features)
    search = SearchSettings(**settings.model_dump(include=set(SearchSettings.model_fields)))
    chosen = searcher.captioner if settings.ensemble else searcher.members[0]
    found = searcher.caption(split.ids, search, chosen)
    log.info("evaluate: %d pictures captioned", len(found))

    scores = _score(found, split, settings.spice)
    words = searcher.captioner.vocabulary.words[len(MARKS) :]
    figures = describe([candidates[0].words for candidates in found.values()], training, words)
    true = _true(found, ingested / "facts.parquet")
    metrics = _metrics(scores, figures, true, split)
    if len(searcher.members) > 1:
        rows = [
            metrics  # its captions are scored already
            if member is chosen
            else _alone(searcher.caption(split.ids, search, member), split, ingested, settings)
            for member in searcher.members
        ]
        metrics["seeds"] = _of_seeds(rows, metrics["missing"])
    write_json(out / "metrics.json", metrics)
    write_json_lines(out / "predictions.jsonl", _predictions(split, found, scores, true))
    write_text(out / "by_length.csv", _lengths(scores, found))
    looked = searcher.look(found, chosen) if chosen.attends else {}
    write_attention(out / ATTENTION, looked)
    (out / "coco").mkdir(parents=True, exist_ok=True)  # DVC wants its outputs, also an empty one
    for name in _with_pictures(settings.coco_splits, images):
        own = name == split.name
        of_split = (
            found if own else searcher.caption(select(name, images, texts).ids, search, chosen)
        )
        best = {image_id: candidates[0].text for image_id, candidates in of_split.items()}
        write_json(out / "coco" / f"captions_{name}_results.json", coco_results(best))
    _tell(metrics)


def _score(
    found: Mapping[str, Candidates], split: ScoredSplit, spice: str | None, beside: bool = True
) -> Scores:
    """Score captions of a split.

    Args:
        found: captions of every picture.
        split: the pictures.
        spice: folder of SPICE's program, if there is one.
        beside: whether to work out what people's captions score, and the best of the n as well.
    """
    best = {image_id: candidates[0].text for image_id, candidates in found.items()}
    if not split.references:
        return unscored(best)
    every = {image_id: [one.text for one in group] for image_id, group in found.items()}
    folder = None if spice is None else Path(spice)
    scores = score(best, split.references, every if beside else None, folder, human=beside)
    if scores.without_references:
        log.info("evaluate: %d have no references: not scored", len(scores.without_references))
    return scores


def _true(found: Mapping[str, Candidates], facts: Path) -> dict[str, float]:
    """Tell whether captions are true, 1 or 0, of those pictures whose facts are known."""
    known = {row["image_id"]: row["facts"] for row in read_table(facts, FACTS).to_pylist()}
    return {
        image_id: float(is_true(candidates[0].words, json.loads(known[image_id])))
        for image_id, candidates in found.items()
        if image_id in known
    }


def _metrics(
    scores: Scores, figures: CorpusFigures, true: Mapping[str, float], split: ScoredSplit
) -> dict[str, Any]:
    """Gather what metrics.json holds; `<score>_low` and `_high` are its 95% interval."""
    metrics: dict[str, Any] = {
        **scores.corpus,
        **figures.__dict__,
        "pictures": len(split.images),
        "scored_pictures": len(scores.pictures),
    }
    sums_of = dict(scores.statistics)
    if true:
        sums_of[TRUE] = mean_of(np.array(list(true.values())))
        metrics[TRUE] = sums_of[TRUE].score()
    for name, sums in sums_of.items():
        metrics[f"{name}_low"], metrics[f"{name}_high"] = interval(sums)
    if scores.oracle:
        metrics["oracle_cider_d"] = scores.oracle.cider_d
        metrics["oracle_bleu_4"] = scores.oracle.bleu_4
    if scores.human_cider_d is not None:
        metrics["human_cider_d"] = scores.human_cider_d
    rounded = {name: _rounded(value) for name, value in metrics.items()}
    told = {"missing": scores.missing, "tokenisation": scores.tokenisation, "split": split.name}
    return {**rounded, **told}


def _alone(
    found: Mapping[str, Candidates], split: ScoredSplit, ingested: Path, settings: EvaluateSettings
) -> dict[str, Any]:
    """Work out what one seed's captions score, and what of it could not be worked out."""
    scores = _score(found, split, settings.spice, beside=False)
    alone: dict[str, Any] = dict(scores.corpus)
    if true := _true(found, ingested / "facts.parquet"):
        alone[TRUE] = mean_of(np.array(list(true.values()))).score()
    return {**alone, "missing": scores.missing, "tokenisation": scores.tokenisation}


def _of_seeds(rows: Sequence[Mapping[str, Any]], known: Mapping[str, str]) -> dict[str, Any]:
    """Tell what the seeds score by themselves: the mean, and how far they lie apart.

    A score that one seed lacks is told by no mean; nor is any where seeds are on other tokens.
    Both are told as `missing`, but for what is `known` to be missing of all together, too.
    """
    missing = {name: why for row in rows for name, why in row["missing"].items()}
    tokens = sorted({row["tokenisation"] for row in rows})
    if len(tokens) > 1:
        missing |= dict.fromkeys(METRICS, f"seeds are on different tokens: {'; '.join(tokens)}")
    scores = [
        {name: row[name] for name in (*METRICS, TRUE) if name in row and name not in missing}
        for row in rows
    ]
    told: dict[str, Any] = {
        name: {key: _rounded(value) for key, value in over_seeds(scores, reduce).items()}
        for name, reduce in (("mean", statistics.mean), ("deviation", statistics.stdev))
    }
    if own := {name: why for name, why in missing.items() if name not in known}:
        told["missing"] = own
    return {"trained": len(rows), **told}


def _predictions(
    split: ScoredSplit, found: Mapping[str, Candidates], scores: Scores, true: Mapping[str, float]
) -> list[dict[str, Any]]:
    """Gather the lines of predictions.jsonl: n best, references and scores of each picture."""
    ciders = scores.oracle.candidates if scores.oracle else []
    cider_of = dict(zip(scores.pictures, ciders, strict=True))
    rows = []
    for image in split.images:
        image_id = image["image_id"]
        own = dict(scores.pictures.get(image_id, {}))
        if image_id in true:
            own[TRUE] = true[image_id]
        rows.append(
            {
                "image_id": image_id,
                "path": image["path"],
                "caption": found[image_id][0].text,
                "candidates": _candidates(found[image_id], cider_of.get(image_id)),
                "references": split.references.get(image_id, []),
                "scores": {name: _rounded(own[name]) for name in SENTENCE_METRICS if name in own},
            }
        )
    return rows


def _candidates(found: Candidates, ciders: Sequence[float] | None) -> list[dict[str, Any]]:
    """Tell the n best captions with what the search, and the references, make of them."""
    rows: list[dict[str, Any]] = [
        {
            "caption": candidate.text,
            "log_prob": _rounded(candidate.log_prob),
            "score": _rounded(candidate.score),
        }
        for candidate in found
    ]
    for row, cider in zip(rows, ciders or (), strict=False):
        row["cider_d"] = _rounded(cider)
    return rows


def _lengths(scores: Scores, found: Mapping[str, Candidates]) -> str:
    """Write scores by length as CSV."""
    lengths = [len(found[image_id][0].words) for image_id in scores.pictures]
    rows = by_length(lengths, scores.statistics)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else ["words"], lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _rounded(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def _with_pictures(names: Sequence[str], images: pa.Table) -> list[str]:
    """Leave out splits that the data set does not have."""
    there = set(images["split"].to_pylist())
    for name in names:
        if name not in there:
            log.info("evaluate: no COCO results of split %r: it has no pictures", name)
    return [name for name in names if name in there]


def _rounded(value: Any) -> Any:
    """Keep six digits: the rest is noise of the machine."""
    return round(float(value), 6) if isinstance(value, float | np.floating) else value


def _tell(metrics: Mapping[str, Any]) -> None:
    for name in (*METRICS, TRUE):
        if name in metrics:
            values = metrics[name], metrics[f"{name}_low"], metrics[f"{name}_high"]
            log.info("evaluate: %-13s %.4f  (%.4f to %.4f)", name, *values)
    if "seeds" in metrics:
        means, deviations = metrics["seeds"]["mean"], metrics["seeds"]["deviation"]
        log.info("evaluate: of the %d seeds by themselves:", metrics["seeds"]["trained"])
        for name in (name for name in (*METRICS, TRUE) if name in means):
            log.info("evaluate: %-13s %.4f +- %.4f", name, means[name], deviations[name])
    for name, reason in metrics["missing"].items():
        log.warning("evaluate: %-13s missing: %s", name, reason)
    for name, reason in missing_of_seeds(metrics).items():
        log.warning("evaluate: %-13s missing of a seed: %s", name, reason)
    if told := other_tokens(metrics):
        log.warning("evaluate: %s", told)
    if _has_failed(metrics):
        log.warning("evaluate: %s", AGAIN)


def _has_failed(metrics: Mapping[str, Any]) -> bool:
    """Whether something is missing that no setting, and no data set, leaves out."""
    if metrics["tokenisation"] == UNSCORED:
        return False
    missing = [*metrics["missing"].values(), *missing_of_seeds(metrics).values()]
    return metrics["tokenisation"] != PTB or bool({*missing} - {NO_SPICE})


if __name__ == "__main__":
    run(evaluate)
