"""A page in one HTML file: its parts, and the sheet of styles they share.

The page needs nothing but itself: no network, no script, no other file; its Content-Security-Policy
forbids them. It follows the reader's light or dark theme, fits a phone, prints, and can be read
with a keyboard and a screen reader: pictures and charts have texts, charts a table beside them.

Parts are made of `Html`, which is safe to put on a page, and of plain `str`, which is escaped.
Texts of people (captions, words) are set in <bdi>, as they may run from right to left.
"""

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

JPEG_QUALITY = 80
WIDEST_LABEL = 18  # letters beside a bar, after which a label breaks into lines

# name: (light, dark). Blue, orange and green are Okabe and Ito's, which colour-blind readers can
# tell apart, darkened on light paper so that text can have them too.
PALETTE = {
    "paper": ("#f7f7f5", "#14171b"),
    "card": ("#ffffff", "#1d2127"),
    "ink": ("#1b1f24", "#e9ebee"),
    "muted": ("#555e68", "#a7afb9"),
    "line": ("#d9dce0", "#3a4048"),
    "blue": ("#00629b", "#5bb8ec"),
    "pale": ("#6b9dbd", "#41708f"),  # a lesser blue: what is not the point
    "orange": ("#ad4a00", "#eda51f"),
    "green": ("#00755a", "#3fcaa5"),
}


class Html(str):
    """Markup that is safe to put on a page as it is."""

    __slots__ = ()


def markup(text: str) -> Html:
    """Turn text into markup; what is markup already stays as it is."""
    return text if isinstance(text, Html) else Html(html.escape(text))


def join(parts: Sequence[str]) -> Html:
    """Put parts one after the other."""
    return Html("".join(markup(part) for part in parts))


def element(tag: str, *parts: str, **attributes: str) -> Html:
    """Make an element; `class_` stands for class, `_` in names for `-`."""
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{html.escape(value)}"'
        for name, value in attributes.items()
    )
    return Html(f"<{tag}{written}>{join(parts)}</{tag}>")


def theirs(text: str) -> Html:
    """Set a text that people wrote: in whichever direction it runs."""
    return element("bdi", text)


def code(text: str) -> Html:
    """Set a name of the project's: a stage, a file, a setting."""
    return element("code", text)


def paragraph(*parts: str) -> Html:
    """Make a paragraph."""
    return element("p", *parts)


@dataclass(frozen=True)
class Table:
    """Rows of cells; the first cell of a row names it."""

    caption: str  # what it tells
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


def table(content: Table) -> Html:
    """Make a table; one that is wider than the page scrolls by itself."""
    head = element("tr", *(element("th", cell, scope="col") for cell in content.header))
    rows = [
        element(
            "tr", element("th", row[0], scope="row"), *(element("td", cell) for cell in row[1:])
        )
        for row in content.rows
    ]
    whole = element(
        "table",
        element("caption", content.caption),
        element("thead", head),
        element("tbody", *rows),
    )
    return element(
        "div", whole, class_="wide", tabindex="0", role="region", aria_label=content.caption
    )


@dataclass(frozen=True)
class Bar:
    """One line of a table of bars."""

    label: str
    value: float  # of the bar's length; not below 0
    shown: str  # what is written beside it


def bar_table(
    caption: str, header: tuple[str, str], bars: Sequence[Bar], largest: float | None = None
) -> Html:
    """Make a table whose second column is drawn as bars as well: chart and table in one.

    Args:
        caption: what it tells.
        header: of the labels and of the numbers.
        bars: its lines.
        largest: the value of a full bar; by default the largest of them.
    """
    largest = largest or max((bar.value for bar in bars), default=0) or 1
    longest = max((len(bar.label) for bar in bars), default=0)
    label_width = f"width:{min(longest + 2, WIDEST_LABEL)}ch"
    rows = [
        element(
            "tr",
            element("th", theirs(bar.label), scope="row"),
            element(
                "td",
                Html(f'<span class="bar" style="width:{100 * bar.value / largest:.1f}%"></span>'),
                class_="track",
                aria_hidden="true",
            ),
            element("td", bar.shown),
        )
        for bar in bars
    ]
    head = element(
        "tr",
        element("th", header[0], scope="col", style=label_width),
        element("td", aria_hidden="true"),
        element("th", header[1], scope="col"),
    )
    return element(
        "table",
        element("caption", caption),
        element("thead", head),
        element("tbody", *rows),
        class_="bars",
    )


@dataclass(frozen=True)
class Panel:
    """One of the charts of a figure."""

    title: str  # empty for the only one
    chart: Html


def figure(title: str, note: str, panels: Sequence[Panel], numbers: Sequence[Table]) -> Html:
    """Make a figure: what it shows as a sentence, a note, its charts, and their numbers.

    Args:
        title: a sentence made from the numbers: what to see in the figure.
        note: what is drawn, and how to read it.
        panels: side by side where there is room.
        numbers: the same as tables, which unfold.
    """
    charts = [
        element("div", *([element("h4", panel.title)] if panel.title else []), panel.chart)
        for panel in panels
    ]
    return element(
        "figure",
        element("figcaption", element("h3", title), paragraph(note)),
        element("div", *charts, class_="panels"),
        unfolding("The numbers as a table", *(table(content) for content in numbers)),
    )


def listing(title: str, note: str, tables: Sequence[Html]) -> Html:
    """Make a figure of tables of bars, which need no other tables beside them."""
    return element(
        "figure",
        element("figcaption", element("h3", title), paragraph(note)),
        element("div", *(element("div", part) for part in tables), class_="panels"),
    )


def unfolding(summary: str, *parts: str) -> Html:
    """Make a part that is folded until asked for."""
    return element("details", element("summary", summary), *parts)


def tiles(items: Sequence[tuple[str, str]]) -> Html:
    """Make a row of numbers with what each is of."""
    return element(
        "dl",
        *(element("div", element("dt", name), element("dd", value)) for name, value in items),
        class_="tiles",
    )


@dataclass(frozen=True)
class Card:
    """A picture and the captions under it."""

    picture: Html  # see `embedded`, or `no_picture`
    name: str  # which picture it is
    remark: str  # what is said of it, such as its score, or ""
    captions: Sequence[tuple[str, str]]  # each with a remark, such as its score, or ""
    said: Sequence[tuple[str, str]] = ()  # a captioner's, above the others: label and caption
    more: Html = Html("")  # below the captions, such as what unfolds  # noqa: RUF009 - constant


def cards(name: str, content: Sequence[Card]) -> Html:
    """Make a sheet of pictures with captions; on a phone a strip, which a keyboard scrolls too."""
    sheet = element("ul", *(element("li", _card(card)) for card in content), class_="cards")
    return element("div", sheet, class_="strip", tabindex="0", role="region", aria_label=name)


def _card(card: Card) -> Html:
    lines = [_remarked("li", theirs(text), remark) for text, remark in card.captions]
    head = _remarked("p", theirs(card.name), card.remark)
    said = [
        element("div", *([element("dt", name)] if name else []), element("dd", theirs(text)))
        for name, text in card.said
    ]
    parts = [card.picture, head, *([element("dl", *said, class_="said")] if said else [])]
    return join([*parts, *([element("ul", *lines)] if lines else []), card.more])


def _remarked(tag: str, text: Html, remark: str) -> Html:
    return element(tag, text, *([element("span", remark)] if remark else []))


def embedded(picture: Image.Image, alt: str) -> Html:
    """Put a picture into the page itself, as JPEG."""
    stream = io.BytesIO()
    picture.save(stream, format="JPEG", quality=JPEG_QUALITY, optimize=True)
    data = base64.b64encode(stream.getvalue()).decode("ascii")
    width, height = picture.size
    return Html(
        f'<img src="data:image/jpeg;base64,{data}" width="{width}" height="{height}" '
        f'alt="{html.escape(alt)}">'
    )


def no_picture(why: str) -> Html:
    """Stand in for a picture that is not at hand."""
    return element("div", why, class_="no-picture")


@dataclass(frozen=True)
class Section:
    """A part of the page with a heading, to which the list of contents leads."""

    name: str  # in addresses: page.html#name
    title: str
    parts: Sequence[str]


def page(
    title: str, lead: Sequence[str], sections: Sequence[Section], foot: Html, rules: str = ""
) -> str:
    """Make the page.

    Args:
        title: its heading, also the title of the window.
        lead: what comes before the sections.
        sections: each with its heading.
        foot: the last words.
        rules: of style, for what this page alone has.
    """
    links = [
        element("li", element("a", section.title, href=f"#{section.name}")) for section in sections
    ]
    body = [
        element("a", "To the content", class_="skip", href="#content"),
        element(
            "header",
            element("h1", title),
            element("nav", element("ul", *links), aria_label="Sections"),
        ),
        element(
            "main",
            *lead,
            *(
                element("section", element("h2", section.title), *section.parts, id=section.name)
                for section in sections
            ),
            id="content",
            tabindex="-1",
        ),
        element("footer", paragraph(foot)),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{html.escape(title)}</title>\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\n"
        '<link rel="icon" href="data:,">\n'
        f"<style>\n{_style()}{rules}</style>\n</head>\n<body>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )


def _style() -> str:
    light, dark = (
        "".join(f"--{name}: {shades[theme]}; " for name, shades in PALETTE.items())
        for theme in (0, 1)
    )
    return (
        f":root {{ color-scheme: light dark; {light}}}\n"
        f"@media (prefers-color-scheme: dark) {{ :root {{ {dark}}} }}\n" + _RULES
    )


_RULES = """\
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; scroll-behavior: smooth; }
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto; } }
body { margin: 0 auto; padding: 1.5rem clamp(1rem, 4vw, 2.5rem) 3rem; max-width: 76rem;
  background: var(--paper); color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
h1 { font-size: clamp(1.6rem, 5vw, 2.2rem); line-height: 1.2; margin: 0 0 .5rem; }
h2 { font-size: 1.35rem; margin: 3rem 0 .75rem; padding-top: 1.25rem;
  border-top: 1px solid var(--line); }
h3 { font-size: 1.12rem; line-height: 1.35; margin: 0 0 .25rem; text-wrap: balance; }
h3:not(figcaption h3) { margin-top: 1.5rem; }
h2 + h3:not(figcaption h3) { margin-top: 0; }
h4 { font-size: .9rem; margin: 0 0 .25rem; font-weight: 600; }
h1, h2, h3, h4, p, dt, dd, li, caption, summary, code { overflow-wrap: anywhere; }
p { margin: .25rem 0 .75rem; max-width: 46rem; }
a { color: var(--blue); }
:focus-visible { outline: 3px solid var(--orange); outline-offset: 2px; }
main:focus { outline: none; }
.skip { position: absolute; left: -100vw; }
.skip:focus { position: static; display: inline-block; padding: .5rem 0; }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; margin: 0 0 1.5rem; padding: 0;
  list-style: none; }
nav a { display: inline-block; padding: .3rem 0; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .75rem;
  margin: 0 0 1.5rem; }
.tiles > div { display: flex; flex-direction: column-reverse; justify-content: flex-end;
  padding: .8rem 1rem; background: var(--card); border: 1px solid var(--line);
  border-radius: .5rem; }
dt { color: var(--muted); font-size: .85rem; line-height: 1.35; }
dd { margin: 0; font-size: 1.6rem; line-height: 1.25; font-weight: 600;
  font-variant-numeric: tabular-nums; }
.summary { font-size: 1.2rem; line-height: 1.4; margin: .5rem 0 1.25rem; text-wrap: pretty; }
.sides { display: flex; flex-wrap: wrap; gap: .15rem 2rem; margin: 0 0 .5rem; }
.sides > div { display: flex; gap: .6rem; align-items: baseline; }
.sides dd { font-size: 1rem; }
figure { margin: 0 0 2rem; padding: 1.1rem clamp(.75rem, 2.5vw, 1.4rem);
  background: var(--card); border: 1px solid var(--line); border-radius: .5rem; }
figcaption p { color: var(--muted); font-size: .92rem; }
.panels { display: grid; gap: 1.25rem 1.75rem; align-items: start;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 18rem), 1fr)); }
.panels > div { min-width: 0; max-width: 30rem; }
svg { display: block; width: 100%; height: auto; }
svg text { paint-order: stroke; stroke: var(--card); stroke-width: 3px; stroke-linejoin: round; }
details { margin-top: .75rem; }
summary { cursor: pointer; color: var(--muted); font-size: .9rem; padding: .3rem 0; }
.wide { overflow-x: auto; margin: 0 0 1rem; max-width: 100%; }
.wide td, .wide thead th { white-space: nowrap; }
code { font: .92em ui-monospace, "SF Mono", Consolas, monospace; }
table { border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums; }
caption { text-align: start; color: var(--muted); font-size: .88rem; padding: .25rem 0; }
th, td { padding: .3rem .8rem .3rem 0; text-align: end; border-bottom: 1px solid var(--line);
  vertical-align: top; }
th { font-weight: 600; }
thead th { color: var(--muted); font-weight: 400; vertical-align: bottom; }
th:first-child { text-align: start; }
tbody th { overflow-wrap: anywhere; font-weight: 400; min-width: 4.5rem; }
.bars { width: 100%; }
.bars caption { color: var(--ink); font-weight: 600; font-size: .9rem; }
.bars th, .bars td { border: 0; padding: .12rem .6rem .12rem 0; vertical-align: middle; }
.bars td:last-child, .bars th:last-child { padding-right: 0; width: 1%; }
.bars td:last-child { white-space: nowrap; }
.bars .track { width: auto; }
.bar { display: block; height: .8rem; min-width: 1px; background: var(--blue); border-radius: 1px;
  print-color-adjust: exact; -webkit-print-color-adjust: exact; forced-color-adjust: none; }
.strip { margin: .6rem 0 1.5rem; }
.cards { display: grid; gap: 1.25rem; margin: 0; padding: 0; list-style: none;
  grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); }
.cards > li { background: var(--card); border: 1px solid var(--line); border-radius: .5rem;
  overflow: hidden; break-inside: avoid; }
.cards img { display: block; width: 100%; height: 13.5rem; object-fit: contain;
  background: var(--paper); border-bottom: 1px solid var(--line); }
.cards p { margin: .6rem .9rem 0; color: var(--muted); font-size: .82rem; max-width: none; }
.cards p, .cards ul li { display: flex; justify-content: space-between; gap: .75rem; }
.cards ul { margin: .3rem .9rem .9rem; padding: 0; list-style: none; font-size: .92rem;
  line-height: 1.4; }
.cards ul li { padding: .25rem 0; }
.cards ul li + li { border-top: 1px solid var(--line); }
mark { background: none; color: var(--orange); text-decoration: underline 2px;
  text-underline-offset: .15em; }
.no-picture { display: grid; place-items: center; height: 13.5rem; padding: 1rem;
  text-align: center; color: var(--muted); font-size: .85rem; background: var(--paper);
  border-bottom: 1px solid var(--line); }
.said { margin: .35rem .9rem .5rem; }
.said > div { display: flex; gap: .6rem; align-items: baseline; padding: .2rem 0; }
.said dt { color: var(--muted); font-size: .82rem; font-weight: 600; }
.said dd { flex: 1; min-width: 0; font-size: 1rem; line-height: 1.4; font-weight: 600; }
.cards details { margin: 0 .9rem .4rem; }
.cards details p { margin: .1rem 0 .4rem; color: var(--ink); }
.cards > li > :last-child { margin-bottom: .9rem; }
.lines { margin: .1rem 0 .4rem; padding: 0; list-style: none; font-size: .86rem; line-height: 1.4; }
.lines li { display: flex; justify-content: space-between; gap: .75rem; padding: .15rem 0; }
.grounds { margin: 0 .9rem .5rem; }
.cards .grounds p { margin: .15rem 0; justify-content: flex-start; color: var(--orange); }
.cards .grounds span { flex: 0 0 3.6rem; color: var(--muted); font-weight: 400; }
.cards bdi { flex: 1; min-width: 0; overflow-wrap: anywhere; }
.cards > li > p { flex-wrap: wrap; row-gap: 0; }
.cards > li > p bdi { flex: 1 0 auto; max-width: 100%; }
.cards span { color: var(--muted); font-variant-numeric: tabular-nums; white-space: nowrap; }
.cards p span { color: var(--ink); font-weight: 600; }
@media screen and (max-width: 40rem) {
  .strip { overflow-x: auto; margin-right: calc(-1 * clamp(1rem, 4vw, 2.5rem));
    scroll-snap-type: x proximity; padding-bottom: .5rem; }
  .cards { grid: auto / auto-flow min(78%, 18rem); }
  .cards > li { scroll-snap-align: start; }
}
footer { margin-top: 3rem; border-top: 1px solid var(--line); padding-top: 1rem;
  color: var(--muted); font-size: .88rem; }
@media print { nav, .skip, details:not([open]) { display: none; } figure { break-inside: avoid; } }
"""
