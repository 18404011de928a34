"""Charts as SVG that becomes part of a page: its colours, its font, its theme.

matplotlib draws; then every colour is replaced by a variable of the page (`page.PALETTE`), so that
one drawing does for the light and the dark theme. A chart is as wide as half a page or a phone: a
figure of several is made of several, which the page puts side by side or one below the other, and
so its text is never scaled down to be unreadable. Equal numbers give equal bytes.

Texts from captions have no place here, as matplotlib measures them by a font that may lack their
letters: `page.bar_table` draws bars that have words for names.
"""

import html
import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from pipeline.reporting.page import PALETTE, Html

WIDTH, HEIGHT = 360, 230  # of a chart, in pixels of a page on which it is not scaled
TEXT = 11.5  # pixels
LARGEST_AREA = 500  # of a disc, in square pixels

Colour = Literal["ink", "muted", "line", "blue", "pale", "orange", "green"]

# What matplotlib is told to draw with: no chart has these by chance.
_MARKERS = {name: f"#fe{place:02x}a5" for place, name in enumerate(PALETTE)}
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "caption-pipeline",  # ids would be drawn by lot
    "text.parse_math": False,  # a $ is a $
    "font.family": "DejaVu Sans",  # comes with matplotlib: every machine measures alike
    "font.size": TEXT,
    "text.color": _MARKERS["ink"],
    "axes.edgecolor": _MARKERS["muted"],
    "axes.labelcolor": _MARKERS["muted"],
    "axes.titlecolor": _MARKERS["muted"],
    "axes.titlesize": TEXT,
    "axes.labelsize": TEXT,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "axes.spines.left": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": _MARKERS["line"],
    "grid.linewidth": 1,
    "xtick.color": _MARKERS["muted"],
    "ytick.color": _MARKERS["muted"],
    "ytick.left": False,
    "path.simplify": False,
}
_PIXELS_AN_INCH = 72  # of matplotlib's SVG


@dataclass(frozen=True)
class Axis:
    """One axis of a chart."""

    title: str  # with its unit
    kind: Literal["number", "percent"] = "number"  # a percentage is given as a share in [0, 1]
    log: bool = False
    limits: tuple[float, float] | None = None  # by default those of the numbers
    ticks: Mapping[float, str] = field(default_factory=dict)  # by default round numbers


@dataclass(frozen=True)
class Chart:
    """What every kind of chart has."""

    name: str  # unique on the page
    alt: str  # what it shows, for those who do not see it
    x: Axis
    y: Axis


@dataclass(frozen=True)
class Mark:
    """A place on the x axis with its name."""

    x: float
    label: str


@dataclass(frozen=True)
class Line:
    """One curve and its name, which is written at one of its ends."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    colour: Colour
    dashed: bool = False
    label_at: Literal["start", "end"] = "end"


def bar_chart(
    chart: Chart,
    centres: Sequence[float],
    heights: Sequence[float],
    width: float,
    pale: Sequence[bool] = (),
    marks: Sequence[Mark] = (),
) -> Html:
    """Draw bars, such as those of a histogram.

    Args:
        chart: its name and axes.
        centres: of the bars, on the x axis.
        heights: of the bars.
        width: of a bar, on the x axis.
        pale: which bars are not the point; by default none.
        marks: places on the x axis to name.
    """
    with _drawn(chart) as (axes, done):
        colours = [_MARKERS["pale" if dim else "blue"] for dim in pale] or _MARKERS["blue"]
        axes.bar(centres, heights, width=width, color=colours)
        _apply(chart, axes)
        axes.xaxis.grid(False)
        if marks:  # their names stand above the bars
            axes.set_ylim(top=axes.get_ylim()[1] * 1.12)
        for mark in marks:
            _draw_mark(axes, mark)
    return done.svg


def line_chart(chart: Chart, lines: Sequence[Line], marks: Sequence[Mark] = ()) -> Html:
    """Draw curves, each with its name before its start or above its end."""
    with _drawn(chart) as (axes, done):
        for line in lines:
            style = (0, (4, 2)) if line.dashed else "solid"
            colour = _MARKERS[line.colour]
            axes.plot(line.x, line.y, color=colour, linewidth=2, linestyle=style)
        _apply(chart, axes)
        _name_lines(chart, axes, lines)
        for mark in marks:
            _draw_mark(axes, mark)
    return done.svg


def _name_lines(chart: Chart, axes: Axes, lines: Sequence[Line]) -> None:
    """Write the names of curves at their ends, those that start side by side apart."""
    starting = [line for line in lines if line.label and line.label_at == "start"]
    if starting:
        _make_room_before(chart, axes)
    heights = [axes.transData.transform((line.x[0], line.y[0]))[1] for line in starting]
    top = axes.transAxes.transform((0, 1))[1] - TEXT / 2  # above it stands the axis's title
    places = _spread(heights, TEXT + 2, top)
    for line, height, apart in zip(starting, heights, places, strict=True):
        axes.annotate(
            line.label,
            (line.x[0], line.y[0]),
            xytext=(-6, apart - height),
            textcoords="offset points",
            ha="right",
            va="center",
            color=_MARKERS[line.colour],
        )
    for line in lines:
        if line.label and line.label_at == "end":
            axes.annotate(
                line.label,
                (line.x[-1], line.y[-1]),
                xytext=(0, 6),
                textcoords="offset points",
                ha="right",
                color=_MARKERS[line.colour],
            )


def _make_room_before(chart: Chart, axes: Axes) -> None:
    """Let the x axis begin before the curves do, without numbers there."""
    low, high = axes.get_xlim()
    ticks = [tick for tick in axes.get_xticks() if low <= tick <= high]
    axes.set_xlim(low * (low / high) ** 0.2 if chart.x.log else low - 0.2 * (high - low), high)
    axes.set_xticks(ticks)


def _spread(places: Sequence[float], apart: float, top: float) -> list[float]:
    """Push places up until any two are so far apart, and down below a top; their order stays."""
    order = sorted(range(len(places)), key=places.__getitem__)
    spread = list(places)
    last = -math.inf
    for index in order:
        last = spread[index] = max(spread[index], last + apart)
    last = top + apart
    for index in reversed(order):
        last = spread[index] = min(spread[index], last - apart)
    return spread


def bubble_chart(
    chart: Chart, x: Sequence[float], y: Sequence[float], weights: Sequence[float], label: str
) -> Html:
    """Draw discs whose areas are weights, over equal scales on both axes.

    Args:
        chart: its name and axes.
        x: of the discs' middles.
        y: of the discs' middles.
        weights: of the discs; the heaviest first.
        label: the name of the first disc.
    """
    with _drawn(chart) as (axes, done):
        largest = weights[0]
        areas = [max(LARGEST_AREA * weight / largest, 3) for weight in weights]
        axes.scatter(x, y, s=areas, color=_MARKERS["blue"], alpha=0.6, linewidths=0)
        _apply(chart, axes)
        end = 1.12 * max(*x, *y)
        axes.set(xlim=(0, end), ylim=(0, end), aspect="equal")
        axes.plot([0, end], [0, end], color=_MARKERS["muted"], linewidth=1, linestyle=(0, (2, 3)))
        aside = math.sqrt(LARGEST_AREA / math.pi) + 4
        axes.annotate(
            label,
            (x[0], y[0]),
            xytext=(-aside, 0),
            textcoords="offset points",
            ha="right",
            va="center",
        )
    return done.svg


@dataclass
class _Done:
    """Where the drawing is left when it is done."""

    svg: Html = field(default_factory=Html)


@contextmanager
def _drawn(chart: Chart) -> Iterator[tuple[Axes, _Done]]:
    """Yield axes to draw on; afterwards the chart is in what was yielded with them."""
    done = _Done()
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # whatever the user's own settings are: equal bytes everywhere
        matplotlib.rcParams.update(_STYLE)
        size = (WIDTH / _PIXELS_AN_INCH, HEIGHT / _PIXELS_AN_INCH)
        figure = Figure(figsize=size, dpi=_PIXELS_AN_INCH, layout="constrained")
        FigureCanvasSVG(figure)
        yield figure.add_subplot(), done
        stream = io.StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(stream, format="svg", transparent=True, metadata=nothing)
    done.svg = _finish(stream.getvalue(), chart)


def _apply(chart: Chart, axes: Axes) -> None:
    """Set titles, scales and ticks; the title of y stands above it, where it can be read."""
    axes.set_xlabel(chart.x.title)
    axes.set_title(chart.y.title, loc="left", pad=8)
    axes.grid(True)
    for own, drawn in ((chart.x, axes.xaxis), (chart.y, axes.yaxis)):
        if own.log:
            (axes.set_xscale if drawn is axes.xaxis else axes.set_yscale)("log")
        if own.limits is not None:
            (axes.set_xlim if drawn is axes.xaxis else axes.set_ylim)(own.limits)
        drawn.set_minor_locator(NullLocator())
        if own.ticks:
            drawn.set_ticks(list(own.ticks), list(own.ticks.values()))
            continue
        if own.log:
            drawn.set_major_locator(LogLocator(10, numticks=5))
        else:
            drawn.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        drawn.set_major_formatter(FuncFormatter(_percent if own.kind == "percent" else _number))
    if not chart.y.log and chart.y.limits is None:
        axes.set_ylim(bottom=0)


def _draw_mark(axes: Axes, mark: Mark) -> None:
    place = axes.transAxes.inverted().transform(axes.transData.transform((mark.x, 1)))
    left = place[0] > 0.6  # of the axis: the name then stands to the left
    axes.axvline(mark.x, color=_MARKERS["orange"], linewidth=2)
    axes.annotate(
        mark.label,
        (mark.x, 1),
        xycoords=("data", "axes fraction"),
        xytext=(-5 if left else 5, -TEXT),
        textcoords="offset points",
        ha="right" if left else "left",
        color=_MARKERS["orange"],
    )


def _number(value: float, _: object = None) -> str:
    return f"{value:,.10g}".replace("-", "\N{MINUS SIGN}")


def _percent(value: float, _: object = None) -> str:
    return f"{100 * value:,.10g}%"


def _finish(svg: str, chart: Chart) -> Html:
    """Make matplotlib's file a part of a page."""
    svg = svg[svg.index("<svg") :].strip()
    svg = re.sub(r"^<svg[^>]*>", f'<svg viewBox="0 0 {WIDTH} {HEIGHT}">', svg)
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<style.*?</style>\s*", "", svg, flags=re.DOTALL)
    svg = _own_ids(svg, chart.name)
    svg = re.sub(r"font-family: [^;\"]*;? ?", "", svg)
    for name, marker in _MARKERS.items():
        svg = svg.replace(marker, f"var(--{name})")
    label = html.escape(chart.alt)
    return Html(svg.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1))


def _own_ids(svg: str, name: str) -> str:
    """Keep the ids that are referred to, with the chart's name before them: pages have several."""
    used = set(re.findall(r"(?:url\(#|href=\"#)([^)\"]+)", svg))
    svg = re.sub(
        r' id="([^"]*)"', lambda id_: f' id="{name}-{id_[1]}"' if id_[1] in used else "", svg
    )
    return re.sub(r"(url\(#|href=\"#)", rf"\g<1>{name}-", svg)
