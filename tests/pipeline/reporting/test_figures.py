"""Charts follow the page's theme, hold what they were given, and are the same every time."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import matplotlib
import pytest

from pipeline.reporting.figures import (
    Axis,
    Chart,
    Line,
    Mark,
    _spread,
    bar_chart,
    bubble_chart,
    line_chart,
)
from pipeline.reporting.page import PALETTE

ROOT = Path(__file__).parents[3]
LOG = Chart("curves", "Two curves.", Axis("rank", log=True), Axis("times", log=True))


def bars(name="bars", mark=2.0, label="mean $2.0$", limits=None):
    chart = Chart(
        name, 'Bars <of> "words".', Axis("words"), Axis("share", "percent", limits=limits)
    )
    return bar_chart(
        chart, [1, 2, 3], [0.1, 0.4, 0.2], 0.9, [True, False, True], [Mark(mark, label)]
    )


def curves():
    return line_chart(
        LOG,
        [
            Line("words", [1, 10, 1000], [900, 90, 1], "blue", label_at="start"),
            Line("pairs", [1, 100], [890, 1], "orange", dashed=True),
        ],
    )


def bubbles():
    chart = Chart("sizes", "Discs.", Axis("width"), Axis("height"))
    return bubble_chart(chart, [640, 480], [480, 640], [9, 1], "640 by 480")


CHARTS = pytest.mark.parametrize("draw", [bars, curves, bubbles])


def parsed(svg):
    return ET.fromstring(svg.replace("<svg ", '<svg xmlns:xlink="xlink" ', 1))


def texts(svg):
    return [node.text for node in parsed(svg).iter("text")]


@CHARTS
def test_every_colour_is_one_of_the_page(draw):
    svg = draw()
    assert not re.search(r"#[0-9a-f]{6}", svg)
    assert not re.search(r"(?:fill|stroke): (?!none|var\()", svg)
    assert set(re.findall(r"var\(--(\w+)\)", svg)) <= set(PALETTE)
    assert "font-family" not in svg


@CHARTS
def test_the_same_numbers_give_the_same_bytes(draw):
    assert draw() == draw()


def test_the_users_own_settings_of_matplotlib_change_nothing():
    plain = bars()
    with matplotlib.rc_context({"font.size": 30, "xtick.major.size": 20, "axes.xmargin": 0.5}):
        assert bars() == plain
        assert matplotlib.rcParams["font.size"] == 30  # and are left as they were


def test_another_process_draws_the_same_bytes():
    code = (
        "import sys; sys.path[:0] = ['tests/pipeline/reporting', '.']; import test_figures;"
        "sys.stdout.buffer.write(test_figures.bars().encode())"
    )
    command = [sys.executable, "-c", code]
    other = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    assert other.stdout.decode() == bars()


@CHARTS
def test_a_chart_tells_what_it_shows_and_text_is_text(draw):
    svg = draw()
    assert parsed(svg).get("role") == "img"
    assert parsed(svg).get("aria-label").endswith(".")
    assert parsed(svg).get("viewBox") == "0 0 360 230"
    assert len(texts(svg)) > 6


def test_a_dollar_is_a_dollar_and_numbers_have_their_unit():
    found = texts(bars())
    assert "mean $2.0$" in found
    assert {"words", "share", "0%", "20%", "40%"} <= set(found)


def test_bars_that_are_not_the_point_are_pale():
    filled = re.findall(r'clip-path[^>]*style="fill: var\(--(\w+)\)"', bars())
    assert filled == ["pale", "blue", "pale"]


def test_limits_are_kept_so_that_panels_can_be_compared():
    def height(svg):
        return re.findall(r'd="M [\d.]+ ([\d.]+) \nL [\d.]+ [\d.]+ \nL [\d.]+ ([\d.]+)', svg)[3]

    assert height(bars()) == height(bars(limits=(0, 0.4 * 1.05)))
    assert height(bars()) != height(bars(limits=(0, 0.8)))


def test_ids_are_the_charts_own_as_a_page_has_several():
    one, other = bars("one"), bars("other")
    ids = [set(re.findall(r' id="([^"]+)"', svg)) for svg in (one, other)]
    assert ids[0]
    assert not ids[0] & ids[1]
    used = set(re.findall(r"#([^)\"]+)", one))
    assert used == ids[0]


def test_a_line_is_named_before_its_start_or_above_its_end():
    nodes = list(parsed(curves()).iter("text"))
    words, pairs = (
        next(node for node in nodes if node.text == name) for name in ("words", "pairs")
    )
    start = max(float(node.get("x")) for node in nodes if node.text == "1")  # of the x axis
    assert start - 10 < float(words.get("x")) < start
    assert "text-anchor: end" in words.get("style")
    assert "var(--blue)" in words.get("style")
    assert float(pairs.get("x")) > start + 60
    assert float(pairs.get("y")) > 150  # at the foot, where the curve ends
    assert "var(--orange)" in pairs.get("style")


def test_names_side_by_side_are_moved_apart():
    assert _spread([50, 10, 12, 13], 5, 100) == [50, 10, 15, 20]
    assert _spread([50, 49, 30, 49], 5, 51) == [51, 41, 30, 46]  # and stay below the top
    assert _spread([], 5, 100) == []


@pytest.mark.parametrize(("mark", "anchor"), [(1.0, "start"), (3.0, "end")])
def test_a_mark_is_named_on_the_side_where_there_is_room(mark, anchor):
    [label] = [
        node for node in parsed(bars(mark=mark, label="here")).iter("text") if node.text == "here"
    ]
    assert ("text-anchor: end" in label.get("style")) == (anchor == "end")


def test_single_points_can_be_drawn():
    line_chart(LOG, [Line("words", [1], [1], "blue", label_at="start")])
    bar_chart(Chart("b", "b", Axis("x"), Axis("y")), [1], [0], 1)
