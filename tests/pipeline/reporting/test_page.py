"""A page is one file that any reader can read."""

import re
from html.parser import HTMLParser

import pytest
from PIL import Image

from pipeline.reporting.page import (
    PALETTE,
    Bar,
    Card,
    Html,
    Panel,
    Section,
    Table,
    bar_table,
    cards,
    code,
    element,
    embedded,
    figure,
    listing,
    markup,
    no_picture,
    page,
    paragraph,
    table,
    theirs,
    tiles,
    unfolding,
)
from tests.quick import some_quick

EVIL = "<script>alert('&')</script>\"'"
LONG = "w" * 3000
HEBREW = "כלב רץ על הדשא"
ODD = "costs $5^2_3$ \N{PILE OF POO} \ufffe"
TEXTS = {"evil": EVIL, "long": LONG, "hebrew": HEBREW, "odd": ODD}


def whole(text=EVIL):
    """A page of all parts, each with `text` wherever a text can be."""
    picture = embedded(Image.new("RGB", (400, 100), "teal"), text)
    content = Table(text, [text, text], [[text, "1"], ["b", text]])
    bars = bar_table(text, (text[:9], text[:9]), [Bar(text, 2, text[:9]), Bar("b", 0, "0")])
    chart = Html('<svg viewBox="0 0 360 230" role="img" aria-label="none"></svg>')
    parts = [
        tiles([(text, text)]),
        listing(text, text, [bars]),
        figure(text, text, [Panel(text, chart), Panel("", chart)], [content]),
        table(content),
        cards(text, [Card(picture, text, text[:9], [(text, text[:9]), (text, "")])] * 5),
        cards(
            text,
            [
                Card(no_picture(text), text, "", [], [("a", text), ("", text)]),
                Card(picture, text, "", [], more=unfolding(text, paragraph(theirs(text)))),
            ],
        ),
    ]
    return page(text, [paragraph(text)], [Section("one", text, parts)], code(text))


class Tags(HTMLParser):
    """Elements of a page; checks that each is closed in its turn."""

    EMPTY = frozenset({"meta", "link", "img"})

    def __init__(self, text):
        super().__init__()
        self.open, self.found = [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_texts_are_escaped_wherever_they_stand():
    text = whole()
    assert "<script" not in text
    tags = Tags(text).found
    assert not [tag for tag, _ in tags if tag == "script"]
    assert [given["alt"] for tag, given in tags if tag == "img"] == [EVIL] * 6
    assert markup(markup("<")) == "&lt;"
    assert element("p", "<", title='"') == '<p title="&quot;">&lt;</p>'


def test_tables_name_their_rows_and_columns():
    tags = Tags(table(Table("told", ["a", "b"], [["x", "1"]]))).found
    assert [given.get("scope") for tag, given in tags if tag == "th"] == ["col", "col", "row"]
    wide = dict(tags)["div"]
    assert (wide["tabindex"], wide["role"], wide["aria-label"]) == ("0", "region", "told")


def test_bars_are_as_long_as_their_values():
    bars = [Bar("a", 4, "4"), Bar("b", 1, "1")]
    assert re.findall(r"width:([\d.]+)%", bar_table("", ("", ""), bars)) == ["100.0", "25.0"]
    assert re.findall(r"width:([\d.]+)%", bar_table("", ("", ""), bars, 8)) == ["50.0", "12.5"]
    assert re.findall(r"width:([\d.]+)%", bar_table("", ("", ""), [Bar("a", 0, "0")])) == ["0.0"]


def test_texts_of_people_may_run_from_right_to_left():
    assert theirs(HEBREW) == f"<bdi>{HEBREW}</bdi>"
    assert f"<bdi>{HEBREW}</bdi>" in whole(HEBREW)


def luminance(colour):
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [0, 1])
@pytest.mark.parametrize("paper", ["paper", "card"])
def test_colours_stand_out_in_both_themes(theme, paper):
    def on_paper(name):
        return contrast(PALETTE[name][theme], PALETTE[paper][theme])

    for name in ("ink", "muted", "blue", "orange", "green"):  # text: WCAG 2.2, 1.4.3
        assert on_paper(name) >= 4.5, name
    assert on_paper("pale") >= 2.6  # a bar that is not the point
    assert contrast(PALETTE["pale"][theme], PALETTE["blue"][theme]) >= 1.9


@pytest.mark.parametrize(
    ("name", "width"),
    some_quick(
        [(name, width) for name in TEXTS for width in (320, 390, 1280)],
        quick=[(name, 320) for name in TEXTS] + [("long", 1280)],
    ),
)
def test_the_page_fits_and_asks_for_nothing(browser, tmp_path, name, width):
    path = tmp_path / "index.html"
    path.write_text(whole(TEXTS[name]), encoding="utf-8")
    view = browser.new_page(viewport={"width": width, "height": 800})
    asked, said = [], []
    view.on("request", lambda request: asked.append(request.url))
    view.on("console", lambda message: said.append(message.text))
    view.on("pageerror", lambda error: said.append(str(error)))
    view.goto(path.as_uri())
    for summary in view.locator("summary").all():
        summary.click()
    assert view.evaluate("document.documentElement.scrollWidth") <= width
    assert not said
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert view.evaluate("[...document.images].every(image => image.naturalWidth == 400)")
    view.close()


def test_a_keyboard_reaches_the_content_first_and_what_scrolls(browser, tmp_path):
    path = tmp_path / "index.html"
    path.write_text(whole("text"), encoding="utf-8")
    view = browser.new_page(viewport={"width": 390, "height": 800})
    view.goto(path.as_uri())
    view.keyboard.press("Tab")
    assert view.evaluate("document.activeElement.textContent") == "To the content"
    view.keyboard.press("Enter")
    assert view.evaluate("document.activeElement.id") == "content"
    reached = set()
    for _ in range(12):
        view.keyboard.press("Tab")
        reached.add(
            view.evaluate("document.activeElement.className || document.activeElement.tagName")
        )
    assert {"SUMMARY", "strip", "wide"} <= reached
    view.close()


@pytest.mark.parametrize(("scheme", "theme"), [("light", 0), ("dark", 1)])
def test_the_page_follows_the_theme(browser, tmp_path, scheme, theme):
    path = tmp_path / "index.html"
    path.write_text(whole("text"), encoding="utf-8")
    view = browser.new_page(color_scheme=scheme)
    view.goto(path.as_uri())
    shown = view.evaluate("getComputedStyle(document.body).backgroundColor")
    wanted = PALETTE["paper"][theme]
    assert shown == f"rgb({', '.join(str(int(wanted[n : n + 2], 16)) for n in (1, 3, 5))})"
    view.close()
