"""The command `validate`."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline.tables import CAPTIONS, DROPPED, IMAGES, write_rows

REPOSITORY = Path(__file__).parents[2]
SETTINGS = {
    "min_pictures": {"train": 10, "val": 5, "test": 5},
    "min_train_share": 0.5,
    "max_left_out": 0.01,
    "min_side": 32,
    "max_aspect": 4.0,
    "modes": ["RGB"],
    "same_picture": "warning",
    "near_bits": 8,
    "min_captions": 2,
    "max_captions": 2,
    "min_words": 3,
    "max_words": 20,
    "max_characters": 200,
    "max_same_caption": 0.5,
    "max_unknown_words": 0.1,
    "max_non_ascii": 0.02,
    "max_spoiled": 0.0,
    "max_odd": 0.0,
}


@pytest.fixture(scope="module")
def ingested(make_tiny, tmp_path_factory):
    """The tiny data set; two pictures of it have the same bytes in two splits."""
    tiny = make_tiny(tmp_path_factory.mktemp("validate"), {"train": 30, "val": 6, "test": 6})
    folder = tiny.data / "ingest"
    write_rows(folder / "dropped.parquet", [], DROPPED, ["item"])
    images = pq.read_table(folder / "images.parquet").to_pylist()
    images[0]["sha256"] = images[20]["sha256"]
    write_rows(folder / "images.parquet", images, IMAGES, ["image_id"])
    return tiny


@pytest.fixture(scope="module")
def validated(ingested):
    out = ingested.data / "validate"
    return ingested.run("validate", ingested.data / "ingest", out, **SETTINGS), out


@pytest.fixture
def change(ingested, tmp_path):
    """Copy the tables with one caption changed."""

    def to(**changes):
        for name in ("images", "dropped"):
            os.link(ingested.data / "ingest" / f"{name}.parquet", tmp_path / f"{name}.parquet")
        rows = pq.read_table(ingested.data / "ingest" / "captions.parquet").to_pylist()
        rows[0].update(changes)
        write_rows(tmp_path / "captions.parquet", rows, CAPTIONS, ["image_id", "caption_id"])
        return tmp_path

    return to


def test_the_summary_names_each_rule(validated):
    assert validated[0].code == 0, validated[0].err
    summary = json.loads((validated[1] / "summary.json").read_text())
    assert set(summary) == {"columns", "pictures", "captions", "splits", "left_out"}
    assert sum(len(rules) for rules in summary.values()) == 33
    broken = summary["pictures"]["no_picture_in_two_splits"]
    assert broken == {"kept": False, "severity": "warning"}
    assert summary["captions"]["no_markup"] == {"kept": True, "severity": "warning"}


def test_the_same_tables_give_the_same_bytes(validated, ingested, content, tmp_path):
    ingested.run("validate", ingested.data / "ingest", tmp_path, **SETTINGS)
    assert content(tmp_path) == content(validated[1])


def test_a_changed_caption_leaves_the_summary_as_it_was(validated, ingested, change, content):
    folder = change(text="A red square is here on the left.")
    result = ingested.run("validate", folder, folder / "out", **{**SETTINGS, "max_words": 21})
    assert result.code == 0, result.err
    summary = content(folder / "out")["summary.json"]
    assert summary == content(validated[1])["summary.json"]


def test_the_bound_that_can_be_moved_is_named(ingested, change, one_line):
    folder, few = change(), {**SETTINGS["min_pictures"], "train": 1000}
    line = one_line(
        ingested.run("validate", folder, folder / "out", **{**SETTINGS, "min_pictures": few})
    )
    assert "Mend the data, or change validate.min_pictures in " in line


def test_an_error_is_one_line_and_the_docs_are_there(ingested, change, one_line):
    folder = change(image_id="gone")
    out = folder / "out"
    out.mkdir()
    (out / "summary.json").write_text("{}")  # of an earlier run
    line = one_line(ingested.run("validate", folder, out, **{**SETTINGS, "min_captions": 1}))
    assert f"{folder}: captions_of_known_pictures: expected that every caption belongs" in line
    assert "Received: 1 of 84 rows that break this, for example caption_id 'test-00#0'" in line
    assert line.endswith(f"All rules: {out / 'docs' / 'index.html'}")
    assert not (out / "summary.json").exists()
    assert "captions_of_known_pictures" in (out / "docs" / "index.html").read_text()


def test_a_browser_finds_the_broken_expectation(ingested, change, browser):
    folder = change(text="x" * 201)
    assert ingested.run("validate", folder, folder / "out", **SETTINGS).code == 2
    page = browser.new_page()
    page.goto((folder / "out" / "docs" / "captions.html").as_uri())
    row = page.locator("tr", has_text="caption_characters: a caption has at most 200").last
    assert row.get_by_text("1 unexpected values found").is_visible()
    page.close()


def test_wrong_settings_are_one_line(ingested, one_line, tmp_path):
    folder = ingested.data / "ingest"
    result = ingested.run("validate", folder, tmp_path / "out", **{**SETTINGS, "min_side": 0})
    assert "validate.min_side" in one_line(result)
    assert not (tmp_path / "out").exists()


def test_an_absent_table_is_one_line(ingested, one_line, tmp_path):
    result = ingested.run("validate", tmp_path, tmp_path / "out", **SETTINGS)
    assert "images.parquet: no such file" in one_line(result)


WATCHED = """
    import runpy, socket, sys

    def refuse(*arguments, **more):
        print("NETWORK", arguments)
        raise OSError("no network in this test")

    socket.socket.connect = socket.socket.connect_ex = socket.socket.sendto = refuse
    socket.getaddrinfo = socket.create_connection = refuse
    try:
        runpy.run_module("stages.validate", run_name="__main__")
    finally:
        print("LOADED", [name for name in ("tensorflow", "posthog") if name in sys.modules])
"""


def test_as_a_process_it_tells_its_warnings_calls_nobody_and_leaves_nothing_behind(
    ingested, tmp_path
):
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    params = sorted(ingested.data.glob("params-*"))[0]
    command = [sys.executable, "-c", textwrap.dedent(WATCHED)]
    result = subprocess.run(
        [*command, ingested.data / "ingest", "out", "--params", params],
        cwd=work,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY), "HOME": str(home)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == ["LOADED []"]
    warning, last = result.stderr.splitlines()
    assert warning.startswith("warning: no_picture_in_two_splits: expected that no picture of val")
    assert warning.endswith(
        "Received: 1 of 42 rows that break this, for example image_id 'test-00', split 'test',"
        " same_as 'train-14 (train)'"
    )
    assert last == "validate: 33 rules, 32 kept, 1 warning; docs: out/docs/index.html"
    assert [path.name for path in work.iterdir()] == ["out"]
    assert sorted(path.name for path in (work / "out").iterdir()) == ["docs", "summary.json"]
    assert list(home.iterdir()) == []
