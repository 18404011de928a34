"""The charts of `report`: learning curves, and scores by decoding setting."""

import re
from collections.abc import Sequence

from pipeline.reporting.figures import Axis, Chart, Colour, Line, Mark, line_chart
from pipeline.reporting.page import Html
from pipeline.reporting.report.inputs import Curve, Trial

LOOKS: tuple[tuple[Colour, bool], ...] = (  # colour, dashed: as many lines can be told apart
    ("blue", False),
    ("orange", False),
    ("green", False),
    ("blue", True),
    ("orange", True),
    ("green", True),
)
MOST = len(LOOKS)
MARGIN = 0.15  # of the range of the scores, above and below them


def curves(title: str, lines: Sequence[Curve], mark: Mark | None = None) -> Html:
    """Draw the first `MOST` curves of one unit by step; several trainings' are named by run."""
    lines = lines[:MOST]
    drawn = [
        Line(_label(curve, lines), curve.steps, curve.values, colour, dashed, label_at="start")
        for curve, (colour, dashed) in zip(lines, LOOKS, strict=False)
    ]
    told = "; ".join(
        f"{_label(curve, lines) or title} from {curve.values[0]:.3g} to {curve.values[-1]:.3g}"
        for curve in lines
    )
    chart = Chart(
        f"curve-{_id(title)}",
        f"Curves by epoch: {told}.",
        Axis("epoch"),
        Axis(title, limits=_limits([value for curve in lines for value in curve.values])),
    )
    return line_chart(chart, drawn, [mark] if mark else [])


def sweep(metric: str, label: str, trials: Sequence[Trial]) -> Html:
    """Draw a score by length penalty, a line for each beam width; of many, the `MOST` best."""
    widths = _best_widths(metric, trials)
    trials = [trial for trial in trials if trial.beam_width in widths]
    lines = []
    for width, (colour, dashed) in zip(widths, LOOKS, strict=False):
        own = sorted(
            (trial.length_penalty, trial.scores[metric])
            for trial in trials
            if trial.beam_width == width
        )
        x, y = [penalty for penalty, _ in own], [value for _, value in own]
        lines.append(Line(f"beam {width}", x, y, colour, dashed, label_at="start"))
    values = [trial.scores[metric] for trial in trials]
    chart = Chart(
        f"sweep-{_id(metric)}",
        f"{label} of the validation split by length penalty, from {min(values):.3f} to "
        f"{max(values):.3f}, for beams of {', '.join(map(str, widths))}.",
        Axis("length penalty"),
        Axis(label, limits=_limits(values)),
    )
    return line_chart(chart, lines)


def _best_widths(metric: str, trials: Sequence[Trial]) -> list[int]:
    best: dict[int, float] = {}
    for trial in trials:
        score = trial.scores[metric]
        best[trial.beam_width] = max(score, best.get(trial.beam_width, score))
    return sorted(sorted(best, key=lambda width: -best[width])[:MOST])


def _label(curve: Curve, lines: Sequence[Curve]) -> str:
    several = len({other.name for other in lines}) > 1
    parts = [curve.name if several else "", curve.run]
    return " ".join(part for part in parts if part)


def _limits(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    margin = MARGIN * (high - low) or 0.1 * abs(high) or 1.0
    return low - margin, high + margin


def _id(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
