"""Stage `evaluate`: caption a split with the trained bundle and score the captions."""

import json
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import typer

from pipeline.captioner import bundle
from pipeline.captioner.captioner import Caption, SearchSettings
from pipeline.datasets.scenes.facts import fact_accuracy
from pipeline.errors import InputError
from pipeline.evaluation.corpus import describe
from pipeline.evaluation.scores import METRICS, Scores, score, unscored
from pipeline.files import write_json, write_json_lines
from pipeline.images.shards import read_shards
from pipeline.params import load
from pipeline.tables import CAPTIONS, CLEAN_CAPTIONS, FACTS, IMAGES, read_table
from pipeline.text.marks import MARKS
from stages.command import run

log = logging.getLogger(__name__)


class EvaluateSettings(SearchSettings):
    """Section `evaluate` of params.yaml."""

    split: Literal["train", "val", "test"]


def evaluate(
    ingested: Annotated[Path, typer.Argument(help="Folder of images, captions and facts.")],
    captions: Annotated[Path, typer.Argument(help="Clean captions, for what is novel (Parquet).")],
    features: Annotated[Path, typer.Argument(help="Folder of feature shards.")],
    model: Annotated[Path, typer.Argument(help="The trained bundle.")],
    out: Annotated[Path, typer.Argument(help="Folder for scores and captions.")],
    params: Annotated[Path, typer.Option(help="Settings.")] = Path("params.yaml"),
) -> None:
    """Caption the split's pictures; write metrics.json, predictions.jsonl and coco_results.json."""
    settings = load(EvaluateSettings, "evaluate", params)
    images = read_table(ingested / "images.parquet", IMAGES).to_pylist()
    split_of = {row["image_id"]: row["split"] for row in images}
    wanted = sorted(image_id for image_id, split in split_of.items() if split == settings.split)
    if not wanted:
        raise InputError(f"evaluate: split {settings.split!r} has no pictures")

    description = bundle.read_description(model)
    known = read_shards(features, description.encoder)
    row_of = known.row_of()
    absent = [image_id for image_id in wanted if image_id not in row_of]
    if absent:
        raise InputError(
            f"{features}: expected features of every picture of split {settings.split!r}. "
            f"Received: none of {len(absent)}, such as {absent[0]}. Run `dvc repro`"
        )
    captioner = bundle.load_captioner(model)
    values = known.values[[row_of[image_id] for image_id in wanted]]
    found = dict(zip(wanted, captioner.caption(values, settings), strict=True))
    log.info("evaluate: %d pictures captioned", len(found))

    references = defaultdict(list)
    for row in read_table(ingested / "captions.parquet", CAPTIONS).to_pylist():
        references[row["image_id"]].append(row["text"])
    best = {image_id: candidates[0] for image_id, candidates in found.items()}
    texts = {image_id: caption.text for image_id, caption in best.items()}
    captioned = {key: references[key] for key in wanted if key in references}
    scores = score(texts, captioned) if captioned else unscored(texts)
    if scores.without_references:
        log.info("evaluate: %d have no references: not scored", len(scores.without_references))

    training = [
        row["tokens"]
        for row in read_table(captions, CLEAN_CAPTIONS).to_pylist()
        if split_of[row["image_id"]] == "train"
    ]
    words = captioner.vocabulary.words[len(MARKS) :]
    figures = describe([caption.words for caption in best.values()], training, words)
    facts = {
        row["image_id"]: json.loads(row["facts"])
        for row in read_table(ingested / "facts.parquet", FACTS).to_pylist()
    }
    metrics = _metrics(scores, figures.__dict__, best, facts)
    write_json(out / "metrics.json", metrics)
    write_json(out / "coco_results.json", [_coco(key, text) for key, text in texts.items()])
    write_json_lines(
        out / "predictions.jsonl",
        [_prediction(row, found, references, scores) for row in images if row["image_id"] in found],
    )
    _tell(metrics)


def _metrics(
    scores: Scores,
    figures: Mapping[str, Any],
    best: Mapping[str, Caption],
    facts: Mapping[str, Any],
) -> dict[str, Any]:
    """Gather what metrics.json holds."""
    metrics: dict[str, Any] = {
        **scores.corpus,
        **figures,
        "pictures": len(best),
        "scored_pictures": len(scores.pictures),
    }
    with_facts = {key: caption.words for key, caption in best.items() if key in facts}
    if with_facts:
        metrics["fact_accuracy"] = fact_accuracy(with_facts, facts)
    rounded = {name: _rounded(value) for name, value in metrics.items()}
    return {**rounded, "missing": scores.missing, "tokenisation": scores.tokenisation}


def _prediction(
    image: Mapping[str, Any],
    found: Mapping[str, Sequence[Caption]],
    references: Mapping[str, Sequence[str]],
    scores: Scores,
) -> dict[str, Any]:
    """Gather a line of predictions.jsonl: the n best, the references and the picture's scores."""
    image_id = image["image_id"]
    own = scores.pictures.get(image_id, {})
    return {
        "image_id": image_id,
        "path": image["path"],
        "caption": found[image_id][0].text,
        "candidates": [
            {
                "caption": candidate.text,
                "log_prob": _rounded(candidate.log_prob),
                "score": _rounded(candidate.score),
            }
            for candidate in found[image_id]
        ],
        "references": references[image_id],
        "scores": {name: _rounded(value) for name, value in own.items()},
    }


def _coco(image_id: str, caption: str) -> dict[str, Any]:
    """One entry of the COCO results format, whose ids are numbers where they can be."""
    number = image_id.isascii() and image_id.isdigit()
    return {"image_id": int(image_id) if number else image_id, "caption": caption}


def _rounded(value: Any) -> Any:
    """Keep six digits: the rest is noise of the machine."""
    return round(float(value), 6) if isinstance(value, float | np.floating) else value


def _tell(metrics: Mapping[str, Any]) -> None:
    for name in (*METRICS, "fact_accuracy"):
        if name in metrics:
            log.info("evaluate: %-13s %.4f", name, metrics[name])
    for name, reason in metrics["missing"].items():
        log.warning("evaluate: %-13s missing: %s", name, reason)


if __name__ == "__main__":
    run(evaluate)
