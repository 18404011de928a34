"""A comparison as plain text for a terminal, or for a log."""

from collections.abc import Sequence

from pipeline.comparison.compare import Comparison, Moved
from pipeline.comparison.words import (
    SEEDS,
    number,
    p_value,
    setting,
    shown_figures,
    summary,
    verdict,
)
from pipeline.reporting.labels import label, said, signed

REFERENCES = 2  # shown of a picture


def as_text(found: Comparison) -> str:
    """Tell a comparison in aligned columns; ends with a line feed."""
    parts = [
        f"a  {found.a}\nb  {found.b}\n\n{summary(found)}",
        _titled("Settings", _settings(found)),
        _titled(
            f"Scores of {found.pictures:,} pictures (paired bootstrap, {found.rounds:,} resamples)",
            _scores(found),
        ),
        _titled("metrics.json", _figures(found)),
        _titled("Gained most, by CIDEr-D of the picture", _moved(found.gained)),
        _titled("Lost most", _moved(found.lost)),
        "\n".join(f"Note: {note}" for note in found.notes),
        SEEDS if found.changed_captions else "",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Align cells, the first column to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *rest in rows:
        cells = [
            first.ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True)),
        ]
        lines.append("  " + "  ".join(cells).rstrip())
    return lines


def _titled(title: str, lines: Sequence[str]) -> str:
    return "\n".join([title, *lines]) if lines else ""


def _settings(found: Comparison) -> list[str]:
    if not found.settings:
        return ["  none differs"]
    rows = [(one.name, setting(one.a), "->", setting(one.b)) for one in found.settings]
    return columns([("", "a", "", "b"), *rows])


def _scores(found: Comparison) -> list[str]:
    rows = [("", "a", "b", "b - a", "95% interval", "p", "")]
    for one in found.scores:
        low, high = signed(one.difference.low), signed(one.difference.high)
        rows.append(
            (
                label(one.metric),
                f"{one.a:.3f}",
                f"{one.b:.3f}",
                signed(one.difference.delta),
                f"[{low}, {high}]",
                p_value(one.difference.p, found.rounds),
                verdict(one),
            )
        )
    return columns(rows)


def _figures(found: Comparison) -> list[str]:
    rows = [
        (one.name, number(one.a), number(one.b), "" if one.delta is None else signed(one.delta, 4))
        for one in shown_figures(found)
    ]
    lines = columns([("", "a", "b", "b - a"), *rows]) if rows else []
    told = [f"  {one.name}: {setting(one.a)} -> {setting(one.b)}" for one in found.remarks]
    return lines + told


def _moved(rows: Sequence[Moved]) -> list[str]:
    lines = []
    for one in rows:
        lines += [
            f"  {signed(one.delta, 2):>6}  {one.image_id}",
            f"          a  {said(one.caption_a)}",
            f"          b  {said(one.caption_b)}",
            *(f"          *  {reference}" for reference in one.references[:REFERENCES]),
        ]
    return lines
