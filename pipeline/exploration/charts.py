"""The charts of `explore`."""

from collections.abc import Sequence

import numpy as np

from pipeline.exploration import story
from pipeline.exploration.counts import (
    Frequencies,
    Sizes,
    grid,
    rank_curve,
    shares,
    tightest_half,
)
from pipeline.exploration.survey import BIN, Survey, histograms
from pipeline.reporting.figures import (
    Axis,
    Chart,
    Colour,
    Line,
    Mark,
    bar_chart,
    bubble_chart,
    line_chart,
)
from pipeline.reporting.page import Html, Panel

CELLS = 24  # a side, of the chart of sizes
WIDEST = 2.0  # of shapes told apart, as a logarithm of base 2: 4:1, and 1:4
SHAPE_BIN = 0.125
SHAPES = {"1:4": -2, "1:2": -1, "2:3": -0.585, "1:1": 0, "3:2": 0.585, "2:1": 1, "4:1": 2}
COVERED = 0.95  # of the text
LOOKS: tuple[tuple[str, Colour, bool], ...] = (  # name, colour, dashed
    ("words", "blue", False),
    ("pairs", "orange", True),
    ("triples", "green", False),
)


def lengths(found: Survey) -> list[Panel]:
    """Draw how long captions are, split by split, on equal axes."""
    columns = {split: shares(found.lengths_in(split)) for split in found.captioned}
    longest = max(map(len, columns.values()))
    highest = max(column.max() for column in columns.values())
    panels = []
    for split, column in columns.items():
        values = found.lengths_in(split)
        low, high, held = tightest_half(values)
        chart = Chart(
            f"length-{split}",
            f"Histogram of caption lengths in {split}: {story.percent(held)} have {low} to {high} "
            f"words, the mean is {values.mean():.1f}, the longest has {values.max()}.",
            Axis("words in a caption", limits=(-0.5, longest + 0.5)),
            Axis("share of captions", "percent", limits=(0, highest)),
        )
        words = list(range(len(column)))
        pale = [not low <= number <= high for number in words]
        mark = Mark(float(values.mean()), f"mean {values.mean():.1f}")
        title = f"{split}: {story.counted(len(values), 'caption', 'captions')}"
        panels.append(Panel(title, bar_chart(chart, words, column.tolist(), 0.86, pale, [mark])))
    return panels


def agreement(found: Survey) -> list[Panel]:
    """Draw how well people agree, split by split, on equal axes."""
    columns = histograms(found.agreement)
    highest = max(column.max() for column in columns.values())
    end = max(map(len, columns.values())) * BIN
    panels = []
    for split, column in columns.items():
        one = found.agreement[split]
        chart = Chart(
            f"agreement-{split}",
            f"Histogram of CIDEr-D of the captions of a picture in {split}; the mean is "
            f"{one.cider_d:.2f}.",
            Axis("CIDEr-D of a picture's captions", limits=(0, end)),
            Axis("share of pictures", "percent", limits=(0, highest)),
        )
        centres = ((np.arange(len(column)) + 0.5) * BIN).tolist()
        mark = Mark(one.cider_d, f"mean {one.cider_d:.2f}")
        title = f"{split}: {story.counted(len(one.pictures), 'picture', 'pictures')}"
        drawn = bar_chart(chart, centres, column.tolist(), BIN * 0.88, marks=[mark])
        panels.append(Panel(title, drawn))
    return panels


def zipf(orders: Sequence[Frequencies]) -> Html:
    """Draw how often words, pairs and triples of words occur, by rank."""
    lines = []
    for (name, colour, dashed), one in zip(LOOKS, orders, strict=True):
        ranks, counts = rank_curve(one.counts)
        if len(ranks):
            curve = Line(name, ranks.tolist(), counts.tolist(), colour, dashed, label_at="start")
            lines.append(curve)
    chart = Chart(
        "zipf",
        "Curves that fall: how often words, pairs and triples of words occur, by their rank.",
        Axis("rank", log=True),
        Axis("times it occurs", log=True),
    )
    return line_chart(chart, lines)


def coverage(words: Frequencies) -> Html:
    """Draw how much of the text vocabularies of the most frequent words cover."""
    covered = np.cumsum(words.counts) / words.total
    ranks, _ = rank_curve(words.counts)
    needed = int(np.searchsorted(covered, COVERED)) + 1
    chart = Chart(
        "covered",
        f"A curve that rises: the {needed:,} most frequent words make up {COVERED:.0%} of text.",
        Axis("most frequent words", log=True),
        Axis("share of text", "percent", limits=(0, 1.05)),
    )
    line = Line("", ranks.tolist(), covered[ranks - 1].tolist(), "blue")
    return line_chart(chart, [line], [Mark(needed, f"{COVERED:.0%}: {needed:,} words")])


def bubbles(sizes: Sizes) -> Html:
    """Draw widths and heights."""
    shown = grid(sizes, CELLS)
    width, height = map(int, shown.sizes[0])  # the cell's that has most, not the commonest size
    chart = Chart(
        "sizes",
        f"Discs by width and height; the largest stands at {width:,} by {height:,} pixels.",
        Axis("width in pixels"),
        Axis("height in pixels"),
    )
    x, y = shown.sizes.T.tolist()
    return bubble_chart(chart, x, y, shown.counts.tolist(), story.size(width, height))


def shapes(sizes: Sizes) -> Html:
    """Draw how wide pictures are for their height."""
    logs = np.clip(np.log2(sizes.shapes), -WIDEST, WIDEST)
    places = np.round(logs / SHAPE_BIN).astype(np.int64)
    first = min(places.min(), -4)
    counts = np.bincount(places - first, weights=sizes.counts)
    centres = (np.arange(len(counts)) + first) * SHAPE_BIN
    low, high = centres[0] - SHAPE_BIN / 2, max(centres[-1], 1) + SHAPE_BIN / 2
    chart = Chart(
        "shapes",
        "Histogram of width to height: "
        f"{story.percent(sizes.share(sizes.shapes > 1))} of the pictures are wider than high.",
        Axis(
            "width : height",
            limits=(low, high),
            ticks={at: name for name, at in SHAPES.items() if low <= at <= high},
        ),
        Axis("share of pictures", "percent"),
    )
    heights = (counts / counts.sum()).tolist()
    return bar_chart(chart, centres.tolist(), heights, SHAPE_BIN * 0.88)
