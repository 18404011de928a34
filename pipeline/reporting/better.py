"""Did `sweep` find a better search than the one that `evaluate` was set to?"""

import json
from pathlib import Path
from typing import NamedTuple

from pipeline.captioner.search.settings import SearchSettings
from pipeline.errors import InputError
from pipeline.reporting.report.inputs import BEAM, CONSENSUS, GUIDE, PENALTY, Trial, read_sweep

WORTH = 0.01  # of the score: less than that is not worth a change


class Better(NamedTuple):
    """A search that was better on the validation pictures.

    Attributes:
        settings: of section `evaluate`, those that are to be changed.
        metric: that the sweep chooses by.
        score: that it reached.
        present: that of the search as it is set, or None where it is only known to be no better, as
            the sweep keeps of several weights of consensus the best.
    """

    settings: dict[str, float]
    metric: str
    score: float
    present: float | None


def better_search(folder: Path, search: SearchSettings) -> Better | None:
    """Look through what `sweep` tried: beams of several widths, without constraints.

    Args:
        folder: of what it wrote.
        search: as it is set.

    Returns:
        None where nothing was better, or where the search that is set is none like those that were
        tried, so that it is not known.

    Raises:
        InputError: a file is absent or is not what `sweep` writes.
    """
    tried = read_sweep(folder / "sweep.csv")
    path = folder / "best.json"
    try:
        metric = str(json.loads(path.read_text(encoding="utf-8"))["metric"])
        trials = [(_settings(trial), trial.scores[metric]) for trial in tried]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise InputError(f"{path}: expected what `sweep` writes. Received: {error}") from error
    set_now = {name: getattr(search, name) for name in (BEAM, PENALTY, GUIDE, CONSENSUS)}
    alike = [trial for trial in trials if _but_consensus(trial[0]) == _but_consensus(set_now)]
    settings, score = max(trials, key=lambda trial: trial[1])
    if not alike or settings == set_now or not _is_plain(search):
        return None
    known, reached = alike[0]
    present = reached if known == set_now else None  # else it reached no more than that
    if known != settings and score <= reached * (1 + WORTH):
        return None
    changed = {name: value for name, value in settings.items() if value != set_now[name]}
    return Better(changed, metric, score, present)


def _but_consensus(settings: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in settings.items() if name != CONSENSUS}


def _is_plain(search: SearchSettings) -> bool:
    """Whether it is a beam without constraints."""
    constraints = (
        *search.forbidden_words,
        *search.required_words,
        search.min_words,
        search.block_ngrams,
    )
    return search.method == "beam" and not any(constraints)


def _settings(trial: Trial) -> dict[str, float]:
    return {
        BEAM: trial.beam_width,
        PENALTY: trial.length_penalty,
        GUIDE: trial.guide,
        CONSENSUS: trial.consensus,
    }
