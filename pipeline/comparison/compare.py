"""Compare two runs: what was set otherwise, what it did to the scores, and to which captions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.comparison.revisions import Run
from pipeline.comparison.scoring import Pairs, Score, Scored, pair, score
from pipeline.comparison.settings import Change, Figure, changed, figures, remarks
from pipeline.evaluation.metrics_file import PTB
from pipeline.evaluation.predictions import Prediction

SAME = 1e-3  # up to which a score worked out now is the one that the run wrote down


@dataclass(frozen=True)
class Moved:
    """A picture whose caption scores otherwise."""

    image_id: str
    path: str  # relative to the data set's folder
    caption_a: str
    caption_b: str
    cider_a: float
    cider_b: float
    references: tuple[str, ...]

    @property
    def delta(self) -> float:
        """The difference of CIDEr-D, b - a."""
        return self.cider_b - self.cider_a


@dataclass(frozen=True)
class Comparison:
    """What differs between run `a`, the earlier one, and run `b`."""

    a: str  # titles
    b: str
    settings: list[Change]
    scores: list[Score]  # of the captions of common pictures, worked out now
    figures: list[Figure]  # the numbers of metrics.json, as each run wrote them
    remarks: list[Change]  # the rest of metrics.json, where it differs
    pictures: int  # compared
    changed_captions: int  # of these pictures
    gained: list[Moved]  # most first
    lost: list[Moved]
    notes: list[str]  # what to know when reading it
    rounds: int  # of the bootstrap


def compare(a: Run, b: Run, examples: int, rounds: int, seed: int) -> Comparison:
    """Compare two runs.

    Args:
        a: the earlier run.
        b: the later one.
        examples: pictures listed as gained, and as lost, at most.
        rounds: resamples of the bootstrap.
        seed: of the resamples.

    Raises:
        InputError: the runs have no picture with references in common.
    """
    pairs = pair(a.predictions, b.predictions, _other_bytes(a, b))
    scored = score(pairs, rounds, seed)
    captions = [(x.caption, y.caption) for x, y in zip(pairs.a, pairs.b, strict=True)]
    gained, lost = _moved(pairs, scored, examples)
    return Comparison(
        a=a.title,
        b=b.title,
        settings=changed(a.params, b.params),
        scores=scored.scores,
        figures=figures(a.metrics, b.metrics),
        remarks=remarks(a.metrics, b.metrics),
        pictures=len(captions),
        changed_captions=sum(x != y for x, y in captions),
        gained=gained,
        lost=lost,
        notes=[
            *_notes_on_runs(a, b),
            *_notes_on_pictures(pairs),
            *_notes_on_scores(a, b, pairs, scored),
        ],
        rounds=rounds,
    )


def _other_bytes(a: Run, b: Run) -> set[str]:
    """List the ids that are known to be of other files in the two runs."""
    return {name for name, sha256 in a.pictures.items() if b.pictures.get(name, sha256) != sha256}


def _moved(pairs: Pairs, scored: Scored, examples: int) -> tuple[list[Moved], list[Moved]]:
    """Find the pictures that gained and lost most; those that did not move are neither."""
    delta = scored.cider_b - scored.cider_a
    order = np.argsort(delta, kind="stable")  # equal ones in the order of their ids
    lost = [int(row) for row in order[:examples] if delta[row] < 0]
    gained = [int(row) for row in np.argsort(-delta, kind="stable")[:examples] if delta[row] > 0]

    def rows(chosen: Sequence[int]) -> list[Moved]:
        return [
            _one_moved(pairs.a[row], pairs.b[row], scored.cider_a[row], scored.cider_b[row])
            for row in chosen
        ]

    return rows(gained), rows(lost)


def _one_moved(a: Prediction, b: Prediction, cider_a: float, cider_b: float) -> Moved:
    return Moved(
        b.image_id, b.path, a.caption, b.caption, float(cider_a), float(cider_b), b.references
    )


def _notes_on_runs(a: Run, b: Run) -> list[str]:
    notes = []
    for name, run in (("a", a), ("b", b)):
        if run.not_run:
            notes.append(
                f"Settings of {name} have changed since it was run, and its captions do not know "
                f"of it: {', '.join(run.not_run)}. Run `dvc repro` first."
            )
        if run.behind:
            notes.append(
                f"Captions of {name} are older than what they are made of: "
                f"{', '.join(run.behind)}. Run `dvc repro` first."
            )
    return notes


def _notes_on_pictures(pairs: Pairs) -> list[str]:
    notes = []
    if pairs.only_a or pairs.only_b:
        notes.append(
            f"The runs captioned other pictures: {len(pairs.b) + pairs.unscored:,} are common, "
            f"{pairs.only_a:,} are in a alone and {pairs.only_b:,} in b alone. Scores here are of "
            "the common ones; those of metrics.json are of each run's own and do not compare."
            + (f" {pairs.only_id:,} ids are of another picture in each." if pairs.only_id else "")
        )
    if pairs.unscored:
        notes.append(f"{pairs.unscored:,} common pictures have no references and are left out.")
    if pairs.other_references:
        notes.append(
            f"The references of {pairs.other_references:,} pictures differ. Both runs are scored "
            "here against those of b."
        )
    return notes


def _notes_on_scores(a: Run, b: Run, pairs: Pairs, scored: Scored) -> list[str]:
    notes = []
    if scored.tokenisation != PTB:
        told = "Scores here are on other tokens than the official ones"
        notes.append(f"{told}: {scored.tokenisation}")
    if not (pairs.only_a or pairs.only_b or pairs.other_references):
        for name, run in (("a", a), ("b", b)):
            notes += _note_on_written(name, run, scored)
    return notes


def _note_on_written(name: str, run: Run, scored: Scored) -> list[str]:
    """Tell where the scores that a run wrote down are not those of its captions."""
    now = {one.metric: getattr(one, name) for one in scored.scores}
    other = [
        f"{metric} {run.metrics[metric]:.4f}, here {value:.4f}"
        for metric, value in now.items()
        if isinstance(run.metrics.get(metric), int | float)
        and abs(run.metrics[metric] - value) > SAME
    ]
    if not other:
        return []
    return [
        f"metrics.json of {name} does not have the scores of its captions ({'; '.join(other)}): "
        "another scorer, other tokens, or files that are not of one run."
    ]
