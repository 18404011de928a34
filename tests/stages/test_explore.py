"""The command `explore`, and the page as a browser sees it."""

import csv
import hashlib
import json

import pytest
from PIL import Image

from pipeline.tables import CLEAN_CAPTIONS, IMAGES, write_rows
from tests.quick import looks

SETTINGS = {
    "samples": 4,
    "extremes": 2,
    "top_words": 5,
    "agreement_pictures": 20,
    "picture_side": 64,
    "seed": 1,
}
FILES = [
    "caption_length.csv",
    "human_agreement.csv",
    "index.html",
    "metrics.json",
    "words.csv",
    "zipf.csv",
]
EVIL = '<script>alert("$x^2_y$")</script> & co'
HEBREW = "כלב רץ על הדשא"


def run(tiny, out, **changes):
    return tiny.run("explore", tiny.raw, tiny.images, tiny.captions, out, **SETTINGS, **changes)


@pytest.fixture(scope="module")
def explored(cleaned):
    out = cleaned.data / "explore"
    result = run(cleaned, out)
    assert result.code == 0, result.err
    return out


class World:
    """A data set made for one test."""

    def __init__(self, data, tiny):
        self.data, self._tiny = data, tiny
        self.images, self.captions, self.raw = data / "i.parquet", data / "c.parquet", data
        self.rows, self.texts = [], []

    def add(self, image_id, split, *texts, size=(40, 30)):
        path = self.data / f"{len(self.rows)}.png"
        Image.new("RGB", size, "teal").save(path)
        self.rows.append(
            {
                **{"image_id": image_id, "split": split, "path": path.name, "offset": 0},
                **{"bytes": path.stat().st_size, "mode": "RGB", "dhash": ""},
                **{"sha256": hashlib.sha256(path.read_bytes()).hexdigest()},
                **{"width": size[0], "height": size[1]},
            }
        )
        self.texts += [
            {
                **{"image_id": image_id, "caption_id": f"{image_id}#{n}"},
                **{"text": text, "tokens": text.lower().split()},
            }
            for n, text in enumerate(texts)
        ]
        return self

    def run(self, *arguments, **settings):
        write_rows(self.images, self.rows, IMAGES, ["image_id"])
        write_rows(self.captions, self.texts, CLEAN_CAPTIONS, ["image_id", "caption_id"])
        return self._tiny.run(*arguments, **settings)


@pytest.fixture
def world(tmp_path, tiny):
    return World(tmp_path, tiny)


def page_of(world):
    result = run(world, world.data / "out")
    assert result.code == 0, result.err
    return (world.data / "out" / "index.html").read_text(encoding="utf-8")


def test_everything_is_written(explored):
    assert sorted(path.name for path in explored.iterdir()) == FILES
    metrics = json.loads((explored / "metrics.json").read_text())
    assert metrics["pictures"] == {"train": 30, "val": 6, "test": 6}
    assert metrics["captions"] == {"train": 60, "val": 12, "test": 12}
    assert 0 < metrics["human_cider_d"]["train"] < 10
    assert metrics["distinct_words"] == 11  # a red green blue square on the left right there is
    for name in FILES:
        if name.endswith(".csv"):
            rows = list(csv.reader((explored / name).open(encoding="utf-8")))
            assert len({len(row) for row in rows}) == 1
            assert len(rows) > 1


def test_the_same_input_gives_the_same_bytes(explored, cleaned, content, tmp_path):
    assert run(cleaned, tmp_path / "out").code == 0
    assert content(tmp_path / "out") == content(explored)
    assert str(cleaned.data).encode() not in b"".join(content(explored).values())


def test_pictures_of_the_test_are_not_shown(explored):
    page = (explored / "index.html").read_text()
    assert page.count("<img ") >= 4
    assert "train-" in page
    assert "test-0" not in page


@pytest.mark.parametrize(("width", "scheme"), looks(narrow=390))
def test_the_page_in_a_browser(explored, browser, width, scheme):
    view = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    asked, said = [], []
    view.on("request", lambda request: asked.append(request.url))
    view.on("console", lambda message: said.append(message.text))
    view.goto((explored / "index.html").as_uri())
    for summary in view.locator("summary").all():
        summary.click()
    assert not said
    assert not [url for url in asked if not url.startswith(("file:", "data:"))]
    assert view.evaluate("document.documentElement.scrollWidth") <= width
    assert view.evaluate("[...document.images].every(i => i.alt && i.naturalWidth)")
    assert view.evaluate("[...document.querySelectorAll('svg')].every(s => s.ariaLabel)")
    ids = view.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids))
    for link in view.locator("nav a").all():
        assert link.get_attribute("href")[1:] in ids
    # Text in charts is as large as a reader can read it, and drawn in a colour of the theme.
    assert view.evaluate(
        "[...document.querySelectorAll('svg')].every(s => s.getBoundingClientRect().width > 250)"
    )
    ink = view.evaluate("getComputedStyle(document.querySelector('svg text')).fill")
    assert ink == {"light": "rgb(85, 94, 104)", "dark": "rgb(167, 175, 185)"}[scheme]
    view.close()


def test_captions_are_texts_whatever_is_in_them(world, browser):
    for n in range(3):
        world.add(f"{EVIL}{n}", "train", EVIL, HEBREW, "\N{PILE OF POO} " + "w" * 5000)
    page = page_of(world)
    assert "<script" not in page
    assert f"<bdi>{HEBREW}</bdi>" in page
    view = browser.new_page(viewport={"width": 390, "height": 900})
    said = []
    view.on("dialog", lambda dialog: said.append(dialog.message))
    view.goto((world.data / "out" / "index.html").as_uri())
    assert not said
    assert view.evaluate("document.documentElement.scrollWidth") <= 390
    right = view.locator(".cards ul bdi", has_text=HEBREW).first
    assert right.evaluate("e => getComputedStyle(e).direction") == "rtl"
    view.close()


def test_one_caption_a_picture_has_no_agreement(world):
    for n in range(4):
        world.add(f"p{n}", "train", f"a dog number {n}")
    page = page_of(world)
    assert "This cannot be told here" in page
    assert "Every picture has 1 caption<" in page
    metrics = json.loads((world.data / "out" / "metrics.json").read_text())
    assert "human_cider_d" not in metrics


def test_one_picture_is_enough(world):
    page = page_of(world.add("only", "test", "dog", "cat"))
    assert "All of 1 picture for the test" in page
    assert page.count("<img ") == 1  # the test's own, as there are no others


def test_splits_without_captions_are_left_out(world):
    for n in range(3):
        world.add(f"p{n}", "train", f"a dog {n}", "a dog here", size=(40 + 20 * n, 50))
        world.add(f"q{n}", "val")
    page = page_of(world)
    assert "50% of the pictures have no captions, 3 more" in page
    assert 'id="length-val' not in page
    assert "val: " not in page
    assert "wider than high" in page  # the sizes differ


def test_a_picture_that_is_gone_is_one_line(world, one_line):
    for n in range(4):
        world.add(f"p{n}", "train", "a dog", "a cat")
    for path in world.data.glob("*.png"):
        path.unlink()
    result = run(world, world.data / "out")
    assert "though `ingest` could read it. Run `dvc repro -f -s ingest`" in one_line(result)
    assert not (world.data / "out").exists()


def test_captions_of_another_run_are_one_line(world, one_line, cleaned):
    world.add("p", "train", "a dog")
    world.rows[0]["image_id"] = "other"
    assert "The tables are not of one run" in one_line(run(world, world.data / "out"))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"sample": 3}, "explore.sample is not a setting"),
        ({"samples": 0}, "explore.samples"),
        ({"agreement_pictures": 1}, "explore.agreement_pictures"),
    ],
)
def test_wrong_settings_are_one_line(cleaned, one_line, tmp_path, changes, told):
    settings = {**SETTINGS, **changes}
    result = cleaned.run(
        "explore", cleaned.raw, cleaned.images, cleaned.captions, tmp_path / "out", **settings
    )
    assert told in one_line(result)
