"""How a comparison is told: names of scores, numbers with their signs, verdicts."""

from pipeline.comparison.compare import Comparison
from pipeline.comparison.scoring import Score
from pipeline.comparison.settings import Figure
from pipeline.reporting.labels import label, signed

SIGNIFICANT = 0.05  # p below which a difference is called so; the intervals hold the rest
SEEDS = (
    "p covers the choice of test pictures alone. Of two trainings that differ in their seed, one "
    "is better on these pictures, by luck, and may be called significantly so. To tell a method "
    "apart from luck, train each with several seeds."
)
ABSENT = "(none)"


def setting(written: str | None) -> str:
    """Write a setting, or that a run does not have it; an empty text is one of two marks."""
    return ABSENT if written is None else written or '""'


def number(value: float | None, digits: int = 4) -> str:
    """Write a figure: whole numbers as they are."""
    if value is None:
        return ABSENT
    return f"{value:,}" if isinstance(value, int) else f"{value:.{digits}f}"


def p_value(p: float, rounds: int) -> str:
    """Write a p-value; the smallest that so many rounds can give is a bound."""
    smallest = 2 / (rounds + 1)
    at_most = "\N{LESS-THAN OR EQUAL TO} " if p <= smallest else ""
    return f"{at_most}{p:.3f}" if p >= 0.0005 else f"{at_most}{p:.1g}"


def shown_figures(found: Comparison) -> list[Figure]:
    """List the numbers of metrics.json, but for the ends of intervals: the scores have better."""
    names = {one.name for one in found.figures}
    return [
        one
        for one in found.figures
        if not any(
            one.name.endswith(end) and one.name.removesuffix(end) in names
            for end in ("_low", "_high")
        )
    ]


def verdict(score: Score) -> str:
    """Say whether the difference is more than the choice of pictures explains."""
    found = score.difference
    if found.delta == found.low == found.high == 0:
        return "the same"
    if found.p >= SIGNIFICANT:
        return "not significant"
    return "b is better" if found.delta > 0 else "b is worse"


def summary(found: Comparison) -> str:
    """Say in a sentence what came of it."""
    if not found.changed_captions:
        return f"No difference: all {found.pictures:,} captions are the same."
    main = next((one for one in found.scores if one.metric == "cider_d"), found.scores[0])
    told = {
        "the same": "the same",
        "not significant": "not significantly different",
        "b is better": "significantly better",
        "b is worse": "significantly worse",
    }[verdict(main)]
    return (
        f"{found.changed_captions:,} of {found.pictures:,} captions differ; by "
        f"{label(main.metric)}, b is {told} ({signed(main.difference.delta)}, 95% interval "
        f"{signed(main.difference.low)} to {signed(main.difference.high)})."
    )
