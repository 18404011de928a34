"""The command `ingest`: its tables, its summary, and its one line when something is wrong."""

import logging
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from PIL import Image

from pipeline.datasets.ingest import Ingested
from pipeline.tables import CAPTIONS, DROPPED, FACTS, IMAGES, read_table
from stages.command import EXIT_BAD_INPUT, run
from stages.ingest import ingest, tell

REPOSITORY = Path(__file__).parents[2]
TABLES = {"images": IMAGES, "captions": CAPTIONS, "dropped": DROPPED, "facts": FACTS}
SETTINGS = {
    "folder": "raw",
    "format": "auto",
    "val_share": 0.1,
    "test_share": 0.1,
    "restval": "train",
    "max_dropped": 0.2,
    "max_pixels": 1_000_000,
}


def make(root: Path) -> Path:
    raw = root / "raw"
    (raw / "pictures").mkdir(parents=True)
    tokens = []
    for split, names in (("train", "cab"), ("dev", "ed"), ("test", "f")):
        (raw / f"x.{split}Images.txt").write_text("".join(f"{name}.png\n" for name in names))
        for name in names:
            Image.new("RGB", (3, 2), (ord(name), 0, 0)).save(raw / "pictures" / f"{name}.png")
            tokens += [f"{name}.png#{number}\tCaption {number}\n" for number in (1, 0)]
    (raw / "x.token.txt").write_text("".join(tokens))
    (raw / "facts.jsonl").write_text('{"image": "c.png", "facts": {"sky": "day"}}\n')
    return raw


class Command:
    """Call the command as a shell would, in this process."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self.monkeypatch = root, monkeypatch

    def __call__(self, raw: Path, **changes: object) -> int:
        params = self.root / "params.yaml"
        params.write_text(yaml.safe_dump({"ingest": SETTINGS | changes}))
        argv = ["ingest", str(raw), str(self.root / "out"), "--params", str(params)]
        self.monkeypatch.setattr(sys, "argv", argv)
        with pytest.raises(SystemExit) as ended:
            run(ingest)
        return int(ended.value.code or 0)


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    return Command(tmp_path, monkeypatch)


def test_tables_are_written_sorted_and_the_same_each_time(
    tmp_path: Path, command: Command, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    raw, out = make(tmp_path), tmp_path / "out"
    assert command(raw) == 0
    assert sorted(path.name for path in out.iterdir()) == sorted(f"{n}.parquet" for n in TABLES)
    tables = {name: read_table(out / f"{name}.parquet", TABLES[name]) for name in TABLES}
    assert tables["images"]["image_id"].to_pylist() == list("abcdef")
    numbered = [f"{name}#{number}" for name in "abcdef" for number in (0, 1)]
    assert tables["captions"]["caption_id"].to_pylist() == numbered
    assert tables["facts"].to_pylist() == [{"image_id": "c", "facts": '{"sky": "day"}'}]
    assert tables["dropped"].num_rows == 0
    assert "train: 3 pictures, 6 captions" in caplog.messages
    assert "val: 2 pictures, 4 captions" in caplog.messages
    before = {name: (out / f"{name}.parquet").read_bytes() for name in TABLES}
    assert command(raw) == 0
    assert {name: (out / f"{name}.parquet").read_bytes() for name in TABLES} == before


def test_what_is_left_out_is_counted_by_reason(
    tmp_path: Path, command: Command, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    raw = make(tmp_path)
    (raw / "pictures" / "a.png").write_bytes(b"")
    assert command(raw) == 0
    assert "left out: 1 image (empty)" in caplog.messages
    assert "left out: 2 captions (picture_dropped)" in caplog.messages
    rows = read_table(tmp_path / "out" / "dropped.parquet", DROPPED).to_pylist()
    assert [row["item"] for row in rows] == ["a#0", "a#1", "a"]


def test_what_nobody_has_seen_is_told(caplog: pytest.LogCaptureFixture) -> None:
    nothing = Ingested("webdataset", [], [], [], [], [], unseen=0)
    tell(nothing)
    assert not any("lost" in told for told in caplog.messages)
    assert not any(".tar" in told for told in caplog.messages)
    row = {"kind": "image", "item": "0.tar", "source": "0.tar", "reason": "truncated"}
    tell(replace(nothing, dropped=[{**row, "raw": "byte 9"}, {**row, "item": "0/1", "raw": ""}]))
    assert [told for told in caplog.messages if ".tar" in told] == [
        "0.tar: not read to its end: byte 9 (truncated)"
    ]
    tell(replace(nothing, unseen=1234))
    assert any("some 1,234 more pictures and captions are lost" in told for told in caplog.messages)


def test_too_much_dropped_leaves_only_the_table_that_tells_why(
    tmp_path: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    raw, out = make(tmp_path), tmp_path / "out"
    assert command(raw) == 0
    (raw / "pictures" / "a.png").write_bytes(b"")
    capsys.readouterr()
    assert command(raw, max_dropped=0.1) == EXIT_BAD_INPUT
    line = error_line(capsys.readouterr().err)
    assert f"{raw}: 3 of 18 pictures and captions cannot be used" in line
    assert str(out / "dropped.parquet") in line
    assert [path.name for path in out.iterdir()] == ["dropped.parquet"]
    assert read_table(out / "dropped.parquet", DROPPED).num_rows == 3


def error_line(stderr: str) -> str:
    """Take the one line that tells the error: the last, and not a traceback's."""
    assert "Traceback" not in stderr
    assert stderr.count("error: ") == 1
    line = stderr.strip().splitlines()[-1]
    assert line.startswith("error: ")
    return line


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        ("absent", "no such folder"),
        ("empty", "the folder is empty"),
        ("unknown", "the layout is not recognised"),
        ("no_list", "expected one file *.devImages.txt"),
        ("no_header", "expected a column for a picture"),
        ("no_test", "test 0"),
        ("setting", "ingest.format"),
    ],
)
def test_bad_input_is_one_line(
    tmp_path: Path, command: Command, capsys: pytest.CaptureFixture[str], spoil: str, told: str
) -> None:
    raw, changes = tmp_path / "raw", {}
    if spoil in ("empty", "unknown", "no_header"):
        raw.mkdir()
    if spoil == "unknown":
        (raw / "notes.txt").touch()
    if spoil == "no_header":
        (raw / "captions.csv").write_text("a.png,A dog .\n")
    if spoil in ("no_list", "no_test"):
        make(tmp_path)
    if spoil == "no_list":
        (raw / "x.devImages.txt").unlink()
    if spoil == "no_test":
        (raw / "x.testImages.txt").write_text("")
    if spoil == "setting":
        changes = {"format": "flicker"}
    assert command(raw, **changes) == EXIT_BAD_INPUT
    assert told in error_line(capsys.readouterr().err)
    assert not (tmp_path / "out" / "images.parquet").exists()


def test_as_a_process_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"ingest": SETTINGS}))
    out, params = tmp_path / "out", tmp_path / "params.yaml"
    for raw, code in ((make(tmp_path), 0), (tmp_path / "absent", EXIT_BAD_INPUT)):
        command = [sys.executable, "-m", "stages.ingest", raw, out, "--params", params]
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
    assert "no such folder" in error_line(done.stderr)


def test_the_command_imports_neither_tensorflow_nor_keras() -> None:
    code = "import sys, stages.ingest; print({'tensorflow', 'keras', 'nltk'} & sys.modules.keys())"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
