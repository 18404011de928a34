"""The part of the report that shows where the decoder looked, word by word."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from PIL import Image

from pipeline.evaluation.attention_file import Looked
from pipeline.evaluation.predictions import Prediction
from pipeline.reporting.attention_maps import WordMap, draw, told
from pipeline.reporting.labels import said
from pipeline.reporting.page import Html, element, embedded, paragraph, theirs
from pipeline.reporting.report.findings import Findings

EACH = 2  # pictures of each list of the gallery
SIDE = 160  # pixels of the longer side of a map: a caption has ten of them
HOW = (
    "The picture is bright where the decoder looked for the word. Each map is stretched from its "
    "least to its greatest weight: it tells where, and not how much. Shown are the first pictures "
    "of each list of the gallery."
)
SENTINEL = (
    "Not looking: the sentinel's share of the attention, which is how far a word came from the "
    "sentence and not from the picture."
)
RULES = """\
.maps { display: grid; gap: .75rem .5rem; margin: .6rem 0 0; padding: 0; list-style: none;
  grid-template-columns: repeat(auto-fill, minmax(6.5rem, 1fr)); }
.maps li { display: flex; flex-direction: column; min-width: 0; font-size: .92rem;
  line-height: 1.35; break-inside: avoid; }
.maps img { display: block; width: 100%; height: auto; margin-bottom: .25rem;
  border-radius: .25rem; }
.maps bdi { font-weight: 600; overflow-wrap: anywhere; }
.maps span { color: var(--muted); font-size: .76rem; font-variant-numeric: tabular-nums; }
"""


class _Shown(NamedTuple):
    of: str  # the list of the gallery that it is from
    prediction: Prediction
    picture: Image.Image
    looked: Looked


def looked_at(found: Findings) -> dict[int, str]:
    """Choose the first pictures of each list of the gallery: their places, and the list's name."""
    chosen: dict[int, str] = {}
    for name, places in found.gallery.items():
        for place in places[:EACH]:
            chosen.setdefault(place, name)
    return chosen


def looked_ids(found: Findings) -> list[str]:
    """List the pictures of which the page shows where the decoder looked."""
    return [found.predictions[place].image_id for place in looked_at(found)]


def attention(
    found: Findings,
    pictures: Mapping[str, Image.Image],
    looked: Mapping[str, Looked],
    lists: Mapping[str, str],
) -> list[Html]:
    """Draw some of the gallery's pictures under the map of each word.

    Args:
        found: what the page tells.
        pictures: by image id.
        looked: by image id, those of `looked_ids`; none where the decoder attends to nothing.
        lists: titles of the gallery's lists, by name.

    Returns:
        Nothing, where there is nothing to show.
    """
    shown = list(_shown(found, pictures, looked))
    if not shown:
        return []
    sentinel = any(one.looked.looks.elsewhere.any() for one in shown)
    note = f"{HOW} {SENTINEL}" if sentinel else HOW
    return [paragraph(note), *(_figure(one, lists[one.of], sentinel) for one in shown)]


def _shown(
    found: Findings, pictures: Mapping[str, Image.Image], looked: Mapping[str, Looked]
) -> Iterator[_Shown]:
    """Find what is at hand: the picture, and words that were looked for."""
    for place, name in looked_at(found).items():
        one = found.predictions[place]
        picture, looks = pictures.get(one.image_id), looked.get(one.image_id)
        if picture is not None and looks is not None and looks.words:
            yield _Shown(name, one, _small(picture), looks)


def _small(picture: Image.Image) -> Image.Image:
    small = picture.copy()
    small.thumbnail((SIDE, SIDE))
    return small


def _figure(shown: _Shown, title: str, sentinel: bool) -> Html:
    one, (words, looks) = shown.prediction, shown.looked
    caption = said(one.caption)
    whole = element("li", embedded(shown.picture, caption), element("span", "the picture"))
    maps = draw(shown.picture, words, looks)
    return element(
        "figure",
        element(
            "figcaption",
            element("h3", theirs(caption)),
            paragraph(f"{title}: ", theirs(one.image_id)),
        ),
        element("ol", whole, *_maps(maps, sentinel), class_="maps"),
    )


def _maps(maps: Sequence[WordMap], sentinel: bool) -> Iterator[Html]:
    for one in maps:
        share = [element("span", f"{1 - one.share:.0%} not looking")] if sentinel else []
        yield element("li", embedded(one.picture, told(one)), theirs(one.word), *share)
