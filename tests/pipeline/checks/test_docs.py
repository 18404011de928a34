"""Data Docs: readable from a disk without a network, and the same bytes every time."""

import re

import pytest

from pipeline.checks.docs import write_docs
from pipeline.checks.run import validate

EVIL = "<script>document.title = 'run'</script><img src=x onerror=alert(1)> $HOME ${a} $$"


@pytest.fixture(scope="module")
def tables(make_rows):
    rows = make_rows()
    rows.captions[0]["text"] = EVIL
    rows.captions[1]["image_id"] = "<b>gone</b>"
    return rows.tables()


@pytest.fixture(scope="module")
def docs(tables, settings, tmp_path_factory):
    folder = tmp_path_factory.mktemp("docs")
    write_docs(folder, validate(tables, settings))
    return folder


@pytest.fixture
def page(browser):
    with browser.new_context() as context:
        yield context.new_page()


def test_the_same_tables_give_the_same_bytes(docs, tables, settings, tmp_path):
    write_docs(tmp_path, validate(tables, settings))
    for path in sorted(docs.iterdir()):
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()
    assert len(list(tmp_path.iterdir())) == len(list(docs.iterdir())) == 6


def test_no_page_asks_a_host_or_runs_a_script(docs):
    for path in docs.iterdir():
        text = path.read_text()
        assert "<script" not in text
        assert "onclick" not in text
        # What is in a caption may look like an address, but not as an attribute.
        assert not re.search(r'(src|href)="(?!data:|[a-z_]+\.html")', text)
        assert "url(" not in text


def test_a_browser_finds_the_broken_expectation_by_name(docs, page):
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto((docs / "index.html").as_uri())
    broken = page.locator("table").first
    assert broken.get_by_text("captions_of_known_pictures", exact=True).is_visible()
    assert broken.get_by_text("no_markup", exact=True).is_visible()
    assert broken.get_by_text("1 of 24").first.is_visible()
    page.get_by_role("link", name="captions", exact=True).click()
    row = page.locator("tr", has_text="captions_of_known_pictures: every caption").last
    assert row.is_visible()
    assert "'train-00#1'" in row.inner_text()
    assert "broken" in row.locator("i").first.evaluate(
        "icon => getComputedStyle(icon, '::before').content"
    )
    assert all(url.startswith("file://") for url in asked)


@pytest.mark.parametrize("name", ["index", "captions"])
def test_text_of_the_data_is_shown_and_not_run(docs, page, name):
    page.goto((docs / f"{name}.html").as_uri())
    assert page.title() != "run"
    assert page.locator("img").count() == 0
    assert page.get_by_text("<script>document.title").first.is_visible()
    assert page.get_by_text("image_id '<b>gone</b>'").first.is_visible()
