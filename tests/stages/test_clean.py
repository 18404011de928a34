"""The command `clean`."""

import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline.tables import CAPTIONS, CLEAN_CAPTIONS, DROPPED, read_table, write_rows

REPOSITORY = Path(__file__).parents[2]


def test_captions_become_tokens(cleaned):
    rows = read_table(cleaned.captions, CLEAN_CAPTIONS).to_pylist()
    assert len(rows) == 84
    assert rows[0]["tokens"] == ["a", "red", "square", "on", "the", "left"]
    assert rows[0]["text"] == "A red square on the left."
    assert read_table(cleaned.data / "clean" / "dropped.parquet", DROPPED).num_rows == 0


def test_the_same_captions_give_the_same_bytes(cleaned, content, tmp_path):
    assert cleaned.run("clean", cleaned.data / "ingest" / "captions.parquet", tmp_path).code == 0
    assert content(tmp_path) == content(cleaned.data / "clean")


def test_what_is_dropped_is_written_with_its_reason(tiny, tmp_path):
    texts = ["a good caption", "?", "short", "A good caption!"]
    rows = [{"image_id": "p", "caption_id": f"p#{n}", "text": t} for n, t in enumerate(texts)]
    write_rows(tmp_path / "in.parquet", rows, CAPTIONS, ["caption_id"])
    result = tiny.run("clean", tmp_path / "in.parquet", tmp_path / "out", max_dropped=0.8)
    assert result.code == 0
    dropped = pq.read_table(tmp_path / "out" / "dropped.parquet").to_pylist()
    assert [row["reason"] for row in dropped] == ["no_words", "too_short", "duplicate"]


def test_too_much_dropped_is_one_line_and_listed_all_the_same(tiny, one_line, tmp_path):
    captions = tiny.data / "ingest" / "captions.parquet"
    result = tiny.run("clean", captions, tmp_path / "out", max_words=3)
    told, listed = one_line(result), tmp_path / "out" / "dropped.parquet"
    assert "Received: 84 of 84 (84 too_long)" in told
    assert f"{listed} has them all" in told
    assert read_table(listed, DROPPED).num_rows == 84
    assert [path.name for path in listed.parent.iterdir()] == ["dropped.parquet"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [({"min_wrods": 2}, "clean.min_wrods is not a setting"), ({"max_words": 0}, "clean.max_words")],
)
def test_wrong_settings_are_one_line(tiny, one_line, tmp_path, changes, told):
    captions = tiny.data / "ingest" / "captions.parquet"
    assert told in one_line(tiny.run("clean", captions, tmp_path, **changes))


def test_as_a_process_bad_input_is_one_line_and_exit_code_2(tmp_path):
    command = [sys.executable, "-m", "stages.clean", str(tmp_path / "none.parquet"), str(tmp_path)]
    result = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert result.returncode == 2
    [line] = result.stderr.splitlines()
    assert line.startswith(f"error: {tmp_path / 'none.parquet'}: no such file")
