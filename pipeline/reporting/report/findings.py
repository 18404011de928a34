"""Gather what the report tells, before any of it is drawn."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.evaluation.predictions import Prediction
from pipeline.evaluation.tokens import Tokens
from pipeline.reporting.report.gallery import choose
from pipeline.reporting.report.inputs import Curve, Trial
from pipeline.reporting.report.nearest import Nearest, nearest
from pipeline.reporting.report.settings import ReportSettings
from pipeline.reporting.report.words import Grounding, ground
from pipeline.tables import SPLITS
from pipeline.text.clean import tokenise

READ_AT_ONCE = 20_000  # training captions


@dataclass(frozen=True)
class Counts:
    """How much there is of a split."""

    split: str
    pictures: int
    captions: int


@dataclass(frozen=True)
class Findings:
    """All that the page tells; places are places among the predictions."""

    data: list[Counts]  # of the splits that there are
    metrics: Mapping[str, Any]  # metrics.json of `evaluate`
    predictions: Sequence[Prediction]
    gallery: dict[str, list[int]]  # see gallery.choose
    ungrounded: list[int]  # captions with the most words that stand alone
    incomplete: list[int]  # captions that leave out the most words
    grounding: Grounding
    nearest: Mapping[int, Nearest | None]  # of the places shown
    curves: Sequence[Curve]
    sweep: Sequence[Trial]  # none where there was no sweep
    chosen_by: str | None  # the score that the sweep chose by, where that is known


def gather(
    images: pa.Table,
    captions: pa.Table,
    metrics: Mapping[str, Any],
    predictions: Sequence[Prediction],
    curves: Sequence[Curve],
    sweep: Sequence[Trial],
    settings: ReportSettings,
    chosen_by: str | None = None,
) -> Findings:
    """Work out what the page tells.

    Args:
        images: rows of `tables.IMAGES`.
        captions: rows of `tables.CLEAN_CAPTIONS`.
        metrics: metrics.json of `evaluate`.
        predictions: of the split that was evaluated.
        curves: of the training.
        sweep: trials of decoding settings; may be none.
        settings: how many pictures and words to show.
        chosen_by: the score that the sweep chose by, where that is known.
    """
    said = [one.caption.split() for one in predictions]
    grounding = ground(said, _references(predictions))
    gallery = choose(predictions, settings.examples, settings.seed)
    ungrounded = _most([len(one.alone) for one in grounding.verdicts], settings.examples)
    incomplete = _most([len(one.left_out) for one in grounding.verdicts], settings.examples)
    shown = sorted({place for places in gallery.values() for place in places})
    found = nearest([said[place] for place in shown], _training(images, captions))
    return Findings(
        data=_count(images, captions),
        metrics=metrics,
        predictions=predictions,
        gallery=gallery,
        ungrounded=ungrounded,
        incomplete=incomplete,
        grounding=grounding,
        nearest=dict(zip(shown, found, strict=True)),
        curves=curves,
        sweep=sweep,
        chosen_by=chosen_by,
    )


def shown_ids(found: Findings) -> list[str]:
    """List the pictures that the page shows."""
    lists = [*found.gallery.values(), found.ungrounded, found.incomplete]
    places = sorted({place for places in lists for place in places})
    return [found.predictions[place].image_id for place in places]


def _most(numbers: Sequence[int], limit: int) -> list[int]:
    """Find the places of the largest numbers above 0, largest first, equal ones in order."""
    places = [place for place, number in enumerate(numbers) if number]
    return sorted(places, key=lambda place: -numbers[place])[:limit]


def _references(predictions: Sequence[Prediction]) -> list[list[Tokens]]:
    """Take the references apart as they are shown: `clean` may have left some out."""
    return [[tokenise(text) for text in one.references] for one in predictions]


def _training(images: pa.Table, captions: pa.Table) -> Iterator[Tokens]:
    """Yield the words of the training captions, some at a time."""
    train = images.filter(pc.equal(images["split"], "train"))["image_id"].combine_chunks()
    own = captions.filter(pc.is_in(captions["image_id"], value_set=train))["tokens"]
    for first in range(0, len(own), READ_AT_ONCE):
        yield from own.slice(first, READ_AT_ONCE).to_pylist()


def _count(images: pa.Table, captions: pa.Table) -> list[Counts]:
    found = []
    for split in SPLITS:
        own = images.filter(pc.equal(images["split"], split))["image_id"].combine_chunks()
        told = pc.sum(pc.is_in(captions["image_id"], value_set=own)).as_py() or 0
        found.append(Counts(split, len(own), told))
    return [one for one in found if one.pictures]
