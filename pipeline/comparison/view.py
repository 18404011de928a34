"""A comparison as a page, and as plain data."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from difflib import SequenceMatcher
from typing import Any

from PIL import Image

from pipeline.comparison.compare import Comparison, Moved
from pipeline.comparison.scoring import Score
from pipeline.comparison.words import (
    ABSENT,
    SEEDS,
    number,
    p_value,
    setting,
    shown_figures,
    summary,
    verdict,
)
from pipeline.reporting.labels import NO_WORDS, label, said, signed
from pipeline.reporting.page import (
    Card,
    Html,
    Section,
    Table,
    cards,
    code,
    element,
    embedded,
    join,
    markup,
    no_picture,
    page,
    paragraph,
    table,
    theirs,
    tiles,
)

TILES = ("cider_d", "bleu_4", "meteor", "rouge_l")
EXPLAINED = (
    "Both runs' captions are scored here by one scorer, against the same references. The interval "
    "and p are of the difference, by the paired bootstrap: the test pictures are drawn anew, with "
    "replacement, as often as said, the same ones for both runs; the interval holds 95% of the "
    "differences, and p is twice the share of the draws in which the difference is 0 or has the "
    "other sign."
)


def as_page(found: Comparison, pictures: Mapping[str, Image.Image]) -> str:
    """Draw a comparison.

    Args:
        found: the comparison.
        pictures: by image id, those at hand of the ones that gained or lost.
    """
    lead = [
        element(
            "dl",
            *(
                element("div", element("dt", side), element("dd", theirs(title)))
                for side, title in (("a", found.a), ("b", found.b))
            ),
            class_="sides",
        ),
        element("p", summary(found), class_="summary"),
        *([tiles(_tiles(found))] if found.scores else []),
        *(element("p", element("strong", "Note: "), note) for note in found.notes),
    ]
    sections = [
        Section("scores", "Scores", _scores(found)),
        Section("settings", "Settings that differ", _settings(found)),
        *_captions(found, pictures),
        Section("metrics", "metrics.json", _figures(found)),
    ]
    foot = join(["Written by ", code("python -m stages.compare"), "."])
    return page("What changed between two runs", lead, sections, foot)


def as_data(found: Comparison) -> dict[str, Any]:
    """Give a comparison as plain data, such as JSON has."""
    data = asdict(found)
    data["summary"] = summary(found)
    for row, one in zip(data["scores"], found.scores, strict=True):
        row["difference"] = one.difference._asdict()
        row["verdict"] = verdict(one)
    return data


def _tiles(found: Comparison) -> list[tuple[str, str]]:
    by_metric = {one.metric: one for one in found.scores}
    shown = [by_metric[metric] for metric in TILES if metric in by_metric]
    return [
        *((f"{label(one.metric)}: {verdict(one)}", signed(one.difference.delta)) for one in shown),
        ("captions that differ", f"{found.changed_captions:,} of {found.pictures:,}"),
    ]


def _scores(found: Comparison) -> list[Html]:
    rows = [_score_row(one, found.rounds) for one in found.scores]
    caption = f"{found.pictures:,} pictures, {found.rounds:,} resamples"
    header = ["score", "a", "b", "b \N{MINUS SIGN} a", "95% interval", "p", "verdict"]
    return [
        table(Table(caption, header, rows)),
        paragraph(EXPLAINED),
        paragraph(SEEDS),
    ]


def _score_row(one: Score, rounds: int) -> list[str]:
    found = one.difference
    return [
        label(one.metric),
        f"{one.a:.3f}",
        f"{one.b:.3f}",
        signed(found.delta),
        f"{signed(found.low)} to {signed(found.high)}",
        p_value(found.p, rounds),
        verdict(one),
    ]


def _settings(found: Comparison) -> list[Html]:
    if not found.settings:
        return [paragraph("None: params.yaml has the same values in both.")]
    rows = [[one.name, setting(one.a), setting(one.b)] for one in found.settings]
    caption = f"{len(rows)} of params.yaml; {ABSENT}: the run does not have that setting"
    return [table(Table(caption, ["setting", "a", "b"], rows))]


def _captions(found: Comparison, pictures: Mapping[str, Image.Image]) -> list[Section]:
    note = (
        "By the difference of CIDEr-D of the picture. The most extreme pictures of any two runs "
        "look convincing: the scores above say whether there is anything to it."
    )
    groups = (
        ("gained", "Captions that gained most", found.gained),
        ("lost", "Captions that lost most", found.lost),
    )
    return [
        Section(
            name,
            title,
            [paragraph(note), cards(title, [_card(one, pictures) for one in rows])],
        )
        for name, title, rows in groups
        if rows
    ]


def _card(one: Moved, pictures: Mapping[str, Image.Image]) -> Card:
    picture = pictures.get(one.image_id)
    told = _marked(one.caption_a, one.caption_b)
    return Card(
        picture=no_picture("not at hand")
        if picture is None
        else embedded(picture, said(one.caption_b)),
        name=one.image_id,
        remark=signed(one.delta, 2),
        captions=[(reference, "") for reference in one.references],
        said=[("a", told[0]), ("b", told[1])],
    )


def _marked(a: str, b: str) -> tuple[Html, Html]:
    """Set two captions, with the words marked that the other one lacks there."""
    first, second = a.split(), b.split()
    shared = SequenceMatcher(None, first, second, autojunk=False).get_matching_blocks()
    in_a = {block.a + step for block in shared for step in range(block.size)}
    in_b = {block.b + step for block in shared for step in range(block.size)}
    return _with_marks(first, in_a), _with_marks(second, in_b)


def _with_marks(words: Sequence[str], shared: set[int]) -> Html:
    if not words:
        return markup(NO_WORDS)
    parts = [
        markup(word) if place in shared else element("mark", word)
        for place, word in enumerate(words)
    ]
    return Html(" ".join(parts))


def _figures(found: Comparison) -> list[Html]:
    rows = [
        [one.name, number(one.a), number(one.b), "" if one.delta is None else signed(one.delta, 4)]
        for one in shown_figures(found)
    ]
    parts: list[Html] = []
    if rows:
        header = ["name", "a", "b", "b \N{MINUS SIGN} a"]
        parts.append(table(Table("As each run wrote them", header, rows)))
    if found.remarks:
        rest: Sequence[Sequence[str]] = [
            [one.name, setting(one.a), setting(one.b)] for one in found.remarks
        ]
        parts.append(table(Table("What is no number, and differs", ["name", "a", "b"], rest)))
    return parts or [paragraph("Neither run wrote any.")]
