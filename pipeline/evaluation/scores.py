"""The official scores of a set of captions, on PTB tokens, as COCO's evaluation computes them.

What cannot be computed here is missing with its reason, and takes no other score with it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from pipeline.errors import InputError
from pipeline.evaluation.human import human_agreement
from pipeline.evaluation.metrics_file import UNSCORED
from pipeline.evaluation.oracle import Oracle, oracle
from pipeline.evaluation.per_picture import METRICS, measure
from pipeline.evaluation.significance import Statistics
from pipeline.evaluation.tokenise import split_spaces, tokenise


@dataclass(frozen=True)
class Scores:
    """Scores of captions: BLEU, METEOR, ROUGE-L, SPICE in [0, 1], CIDEr-D from 0 to 10."""

    corpus: dict[str, float]  # by metric, of METRICS; one that is missing has no entry
    pictures: dict[str, dict[str, float]]  # by image id, sorted, then by metric
    missing: dict[str, str]  # metric -> why it could not be computed
    # PTB, or "clean (PTB unavailable: <reason>)": not comparable to others'; or UNSCORED.
    tokenisation: str
    without_references: list[str]  # image ids with a prediction, which is not scored
    without_prediction: list[str]  # image ids with references, which count for nothing
    oracle: Oracle | None = None  # of the n best captions, in the order of `pictures`
    human_cider_d: float | None = None  # of people's captions; None where it cannot be told
    # What the corpus scores are worked out from, a row a picture in the order of `pictures`.
    statistics: dict[str, Statistics] = field(default_factory=dict, compare=False)


def unscored(predictions: Mapping[str, str]) -> Scores:
    """Say that captions cannot be scored, as nobody has captioned their pictures."""
    reason = "no picture of the split has captions to compare with"
    return Scores({}, {}, dict.fromkeys(METRICS, reason), UNSCORED, sorted(predictions), [])


def score(
    predictions: Mapping[str, str],
    references: Mapping[str, Sequence[str]],
    candidates: Mapping[str, Sequence[str]] | None = None,
    spice_folder: Path | None = None,
    human: bool = True,
) -> Scores:
    """Tokenise and score one caption a picture against the picture's references.

    Args:
        predictions: image id -> caption, as text.
        references: image id -> captions that people wrote, as text. A picture with none is as one
            that is not listed.
        candidates: image id -> the n best captions of the search, one or more; for the oracle.
        spice_folder: see `spice.py`; without it SPICE is missing.
        human: whether to tell how well people's own captions score, which depends on the
            references alone.

    Raises:
        InputError: there are no predictions, or none of a picture with references.
    """
    known = {image_id for image_id, group in references.items() if group}
    images = sorted(known & predictions.keys())
    _check_any(len(images), len(predictions), len(known))
    groups = [[[predictions[image_id]] for image_id in images]]
    groups.append([list(references[image_id]) for image_id in images])
    if candidates is not None:
        groups.append([list(candidates[image_id]) for image_id in images])
    tokens, tokenisation = tokenise(list(chain.from_iterable(groups)))
    captions = [caption for (caption,) in tokens[: len(images)]]
    people, found = tokens[len(images) : 2 * len(images)], tokens[2 * len(images) :]
    measured = measure(captions, people, spice_folder)
    words = [split_spaces(group) for group in people]
    return Scores(
        corpus={name: measured.corpus[name] for name in METRICS if name in measured.corpus},
        pictures={
            image_id: {name: float(column[row]) for name, column in measured.pictures.items()}
            for row, image_id in enumerate(images)
        },
        missing=measured.missing,
        tokenisation=tokenisation,
        without_references=sorted(predictions.keys() - known),
        without_prediction=sorted(known - predictions.keys()),
        oracle=oracle([split_spaces(group) for group in found], words) if found else None,
        human_cider_d=human_agreement(words) if human else None,
        statistics=measured.statistics,
    )


def _check_any(scored: int, predictions: int, known: int) -> None:
    if not predictions:
        raise InputError("predictions: expected at least one caption to score. Received: none")
    if not scored:
        raise InputError(
            f"predictions: expected captions of pictures with references. Received: {predictions} "
            f"of other pictures ({known} have references). Do the image ids have the same form?"
        )
