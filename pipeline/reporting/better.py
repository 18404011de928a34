"""Did `sweep` find a better search than the one that `evaluate` was set to?"""

from pathlib import Path
from typing import NamedTuple

from pipeline.captioner.search.settings import SearchSettings
from pipeline.reporting.report.inputs import (
    BEST,
    CONSENSUS,
    SETTINGS,
    Trial,
    not_best,
    read_best,
    read_sweep,
)

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


def better_search(folder: Path, search: SearchSettings, ensemble: bool) -> Better | None:
    """Look through what `sweep` tried: beams of several widths, without constraints.

    Args:
        folder: of what it wrote.
        search: as it is set.
        ensemble: whether of several seeds all together are scored.

    Returns:
        None where nothing was better, or where the search that is set is none like those that were
        tried, in another bound of words or of the seeds otherwise, so that it is not known.

    Raises:
        InputError: a file is absent or is not what `sweep` writes.
    """
    tried = read_sweep(folder / "sweep.csv")
    path = folder / BEST
    best = read_best(path)
    metric = best["metric"]
    try:
        settings, score = {name: best[name] for name in SETTINGS}, float(best[metric])
        trials = [(_chosen(trial), trial.scores[metric]) for trial in tried]
        # Neither stands in what earlier versions wrote, nor `ensemble` where there is one seed.
        is_bound_so = best.get("max_words", search.max_words) == search.max_words
        is_alike = is_bound_so and best.get("ensemble") in (None, ensemble)
    except (ValueError, LookupError, TypeError) as error:
        raise not_best(path, error) from error
    present = _chosen(search)
    alike = [trial for trial in trials if _but_consensus(trial[0]) == _but_consensus(present)]
    if not is_alike or not alike or settings == present or search.beyond_a_beam:
        return None
    exact = [trial for trial in alike if trial[0] == present]
    known, reached = max(exact or alike, key=lambda trial: trial[1])
    if known != settings and score <= reached * (1 + WORTH):
        return None
    changed = {name: value for name, value in settings.items() if value != present[name]}
    return Better(changed, metric, score, reached if known == present else None)


def _chosen(one: Trial | SearchSettings) -> dict[str, float]:
    return {name: getattr(one, name) for name in SETTINGS}


def _but_consensus(settings: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in settings.items() if name != CONSENSUS}
