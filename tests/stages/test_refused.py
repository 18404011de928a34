"""A disk that is full, that may only be read, or is not ours: one line, and nothing half-made.

Each command that writes is run on a small disk of memory (Linux, as root; skipped elsewhere), from
which it has room for nothing to which it lacks one block. A folder without permission needs no such
disk, but to root, who may do everything: that power is laid down for as long as the command runs.
"""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.evaluation.attention_file import ATTENTION, write_attention
from pipeline.files import write_json, write_json_lines
from pipeline.tables import DROPPED, write_rows
from tests.disk import BLOCK
from tests.quick import some_quick

KNOWN = yaml.safe_load((Path(__file__).parents[2] / "params.yaml").read_text(encoding="utf-8"))
CHANGED: dict[str, dict[str, Any]] = {
    "sample": {**KNOWN["sample"], "train": 3, "val": 1, "test": 1, "size": 64},
    "ingest": KNOWN["ingest"],
    "validate": {**KNOWN["validate"], "min_pictures": {"train": 1, "val": 1, "test": 1}},
    "explore": {**KNOWN["explore"], "samples": 2, "extremes": 1, "picture_side": 64},
    "encoder": {"weights": "encoder.weights.h5"},
    "evaluate": {"coco_splits": ["test"], "beam_width": 1},
    "sweep": {**KNOWN["sweep"], "beam_widths": [1], "length_penalties": [0.5]},
    "report": {**KNOWN["report"], "examples": 1, "picture_side": 64},
}
TABLES = "{data}/ingest/images.parquet", "{data}/clean/captions.parquet"
WORDS = "{data}/vocabulary/vocabulary.json", "{data}/vocabulary/embeddings.npy"
MODEL = "{data}/features", "{data}/train/bundle"
COMMANDS = {
    "sample": ("{out}/raw",),
    "ingest": ("{data}/listed", "{out}"),
    "clean": ("{data}/ingest/captions.parquet", "{out}"),
    "explore": ("{data}/raw", *TABLES, "{out}"),
    "vocabulary": (*TABLES, "{data}/vectors", "{out}"),
    "validate": ("{data}/ingest", "{out}"),
    "encoder": ("{data}/raw", *TABLES, "{data}/encoder", "{out}/encoder"),
    "features": ("{data}/raw", TABLES[0], "{data}/encoder", "{out}/features"),
    "train": (*TABLES, *WORDS, "{data}/encoder", "{data}/features", "{out}"),
    "evaluate": ("{data}/ingest", TABLES[1], *MODEL, "{out}"),
    "sweep": ("{data}/ingest", *MODEL, "{out}"),
    "report": ("{data}/raw", *TABLES, "{data}/train/curves", "{data}/evaluate", "{out}"),
    "gallery": (
        *("{out}/sheet.png", "--raw", "{data}/raw", "--images", TABLES[0]),
        *("--predictions", "{data}/evaluate/predictions.jsonl"),
    ),
    "export": ("{out}/exported", "--bundle", MODEL[1], "--format", "bundle-zip"),
}
QUICK = ("sample", "ingest", "clean", "vocabulary")
COSTLY = ("validate", "encoder", "train", "evaluate", "sweep", "report")  # run fewer times
UNREAD = {  # with the tests' settings
    "vocabulary": ("{data}/vectors",),
    "encoder": ("{data}/raw", *TABLES),
    "train": ("{data}/vocabulary/embeddings.npy",),
    "report": ("{data}/raw",),  # pictures that are not at hand are left out
}
WHOLE = ("raw", "encoder", "features", "bundle", "docs", "exported")  # folders, all or nothing
GROWING = ("curves/",)  # learning curves grow with the training, for who wants to watch


@pytest.fixture(scope="module")
def start(request, tiny, tiny_settings, command, tmp_path_factory) -> Callable[..., Any]:
    """Run a command on the tiny data set; what it reads is made when it is first needed."""
    params = tmp_path_factory.mktemp("settings") / "params.yaml"
    names = {"vocabulary": "cleaned", "explore": "cleaned", "validate": "cleaned"}
    names |= {"encoder": "encoded", "features": "encoded", "train": "counted"}
    settings = {
        name: {**tiny_settings.get(name, {}), **CHANGED.get(name, {})}
        for name in {*tiny_settings, *CHANGED}
    }

    def run(
        name: str, out: Path, *, cache: Path | None = None, gone: str = "", **changes: object
    ) -> Any:
        if name not in ("sample", "ingest", "clean"):
            request.getfixturevalue(names.get(name, "trained"))
        if name == "train":
            request.getfixturevalue("featured")
        own = {**settings[name], **changes} if name in settings else {}
        params.write_text(yaml.safe_dump({name: own, "ingest": settings["ingest"]}))
        more: tuple[object, ...] = () if name == "export" else ("--params", params)
        if name in ("features", "train"):
            more = (*more, "--cache", cache or tiny.data / "cache" / name)
        parts = [
            str(out / "gone") if part == gone else part.format(data=tiny.data, out=out)
            for part in COMMANDS[name]
        ]
        return command(name, *parts, *more)

    listed = tiny.data / "listed"
    if not listed.exists():
        listed.mkdir()
        (listed / "pictures").symlink_to(tiny.raw)
        rows = [f"{path.name},a square\n" for path in sorted(tiny.raw.iterdir())]
        (listed / "captions.csv").write_text("path,caption\n" + "".join(rows))
    write_rows(tiny.data / "ingest" / "dropped.parquet", [], DROPPED, ["item"])
    write_predictions(tiny)
    return run


def write_predictions(tiny) -> None:
    """Write what `report` and `gallery` read of `evaluate`."""
    rows = [
        {
            "image_id": f"test-{number:02d}",
            "path": f"test-{number:02d}.png",
            "caption": "a red square",
            "candidates": [{"caption": "a red square", "log_prob": -1.0, "score": -0.5}],
            "references": ["A red square."],
            "scores": {"cider_d": number / 4},
        }
        for number in range(6)
    ]
    write_json_lines(tiny.data / "evaluate" / "predictions.jsonl", rows)
    metrics = {"cider_d": 0.7, "cider_d_low": 0.6, "cider_d_high": 0.8, "pictures": 6}
    more = {"distinct_share": 0.5, "words_used": 3, "missing": {}, "tokenisation": "ptb"}
    write_json(tiny.data / "evaluate" / "metrics.json", {**metrics, **more})
    write_attention(tiny.data / "evaluate" / ATTENTION, {})


def check(one_line, content, result, out: Path, whole: dict[str, bytes], told: str) -> None:
    """See that a command told in one line what the system said, and left nothing half-made."""
    line = one_line(result)
    assert told in line, line
    assert "partial" not in line, line  # no name that nobody knows
    left = content(out) if out.exists() else {}
    known = {name: data for name, data in left.items() if not name.startswith(GROWING)}
    assert {name for name in known if known[name] != whole.get(name)} == set()
    for folder in WHOLE:
        of_folder = {name for name in whole if name.startswith(f"{folder}/")}
        assert of_folder & set(left) in (set(), of_folder)


@pytest.mark.parametrize(
    ("name", "cold", "changes"),
    [
        *((name, False, {}) for name in QUICK),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (
                *((name, False, {}) for name in COMMANDS if name not in QUICK),
                ("features", False, {"format": "tfrecord"}),
                ("features", True, {}),
                ("train", True, {"epochs": 1}),
            )
        ),
    ],
)
def test_what_the_disk_refuses_is_one_line_and_nothing_is_half_made(
    disk, start, content, one_line, name, cold, changes
):
    out = disk.root / "out"

    def again() -> Any:
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        return start(name, out, cache=out / "cache" if cold else None, **changes)

    (disk.root / "filler").unlink(missing_ok=True)
    done = again()
    assert done.code == 0, done.err
    whole = content(out)
    # Files may have holes, so that they take less than their size.
    taken = sum(512 * path.stat().st_blocks for path in out.rglob("*") if path.is_file())
    rooms = {0, taken // 2, taken - BLOCK}
    for room in sorted(rooms)[1:2] if name in COSTLY else sorted(rooms):
        shutil.rmtree(out, ignore_errors=True)
        disk.leave(room)
        check(one_line, content, again(), out, whole, "expected room")
    for refused in (disk.read_only,) if name in COSTLY else (disk.read_only, disk.forbidden):
        (disk.root / "filler").unlink(missing_ok=True)
        shutil.rmtree(out, ignore_errors=True)
        with refused():
            result = start(name, out, cache=out / "cache" if cold else None, **changes)
        check(one_line, content, result, out, {}, "expected permission")


@pytest.mark.parametrize("name", some_quick(COMMANDS, QUICK))
def test_an_input_that_is_gone_is_one_line_that_names_it(
    start, content, one_line, tmp_path, tmp_path_factory, name
):
    cold = tmp_path_factory.mktemp("cache")  # with every feature known, no picture would be missed
    for part in dict.fromkeys(COMMANDS[name]):
        if part.startswith("{data}") and part not in UNREAD.get(name, ()):
            line = one_line(start(name, tmp_path, cache=cold, gone=part))
            assert str(tmp_path / "gone") in line, line
            assert content(tmp_path) == {}


@pytest.mark.slow
def test_a_process_on_a_full_disk_says_one_line_and_no_more(disk, encoded):
    """HDF5 fails once more when it closes its file, and would print tracebacks of that."""
    params = encoded.data / "full.yaml"
    settings = {**KNOWN["encoder"], "network": "compact", "side": 32}
    settings |= {"weights": "encoder.weights.h5", "weights_folder": "", "finetune": False}
    params.write_text(yaml.safe_dump({"encoder": settings}))
    disk.leave(40 * BLOCK)
    parts = [part.format(data=encoded.data, out=disk.root / "out") for part in COMMANDS["encoder"]]
    command = [sys.executable, "-m", "stages.encoder", *parts, "--params", str(params)]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root, check=False)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr.count("No space left on device") == 1
