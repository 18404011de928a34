"""The command `serve`."""

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
import yaml

from pipeline.captioner.bundle_zip import pack
from pipeline.errors import InputError
from stages.serve import _metrics_beside

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def environment():
    """What the command sets for Gradio ends with the test."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


def test_without_gradio_one_line_names_the_extra(command, one_line, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    line = one_line(command("serve"))
    assert 'pip install -e ".[serve]"' in line


def test_a_folder_that_is_no_bundle(command, one_line, tmp_path):
    pytest.importorskip("gradio")
    line = one_line(command("serve", "--bundle", tmp_path, "--port", 0))
    assert str(tmp_path / "bundle.json") in line


def test_a_port_that_is_taken(command, one_line, tmp_path):
    pytest.importorskip("gradio")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        line = one_line(command("serve", "--bundle", tmp_path, "--port", port))
    assert f"port {port}" in line
    assert "--port" in line


@pytest.mark.parametrize("option", ["--max-mb", "--concurrency", "--timeout", "--max-pixels"])
def test_bounds_are_above_zero(command, option):
    assert command("serve", option, 0).code == 2


@pytest.fixture
def describers(monkeypatch, tmp_path):
    """What the page's describer is made with, in place of a server."""
    pytest.importorskip("gradio")
    asked = []

    def made(captioner, bounds, *search):
        asked.append(search)
        raise InputError("enough")

    monkeypatch.setattr("pipeline.serving.describe.Describer", made)
    monkeypatch.setattr("stages.serve._examples", lambda *_: [])
    return asked


def test_it_searches_as_params_yaml_says_but_for_what_is_given(
    command, trained, describers, tmp_path, caplog
):
    known = yaml.safe_load((REPOSITORY / "params.yaml").read_text())
    known["evaluate"] |= {"beam_width": 20, "length_penalty": 0.9, "guide": 3.0, "consensus": 5.0}
    known["evaluate"] |= {"forbidden_words": ["man"], "max_words": 9}
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(known))
    bundle = trained.data / "train" / "bundle"
    command("serve", "--bundle", bundle, "--port", 0, "--params", path, "--guide", 0)
    command("serve", "--bundle", bundle, "--port", 0)
    assert describers == [(5.0, 0.0, 0.9, 10, 9), (0.0, 0.0, 0.5, 3, 20)]
    assert "evaluate.beam_width: 20 is none that the page offers" in caplog.text
    assert "without evaluate.forbidden_words" in caplog.text


@pytest.mark.parametrize(
    ("changes", "searched"),
    [
        ({"method": "diverse", "beam_width": 6, "diverse": {"groups": 3, "strength": 0.5}}, 5),
        ({"beam_width": 2, "consensus": 2.0}, 3),
        ({"beam_width": 2}, 1),
    ],
)
def test_what_evaluate_searches_with_is_no_error_of_the_page(
    command, trained, describers, tmp_path, changes, searched
):
    known = yaml.safe_load((REPOSITORY / "params.yaml").read_text())
    known["evaluate"] |= changes
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(known))
    result = command(
        "serve", "--bundle", trained.data / "train" / "bundle", "--port", 0, "--params", path
    )
    assert "enough" in result.err
    assert [search[3] for search in describers] == [searched]


def test_of_one_caption_consensus_cannot_choose(command, one_line):
    line = one_line(command("serve", "--beam-width", 1, "--consensus", 5))
    assert "--consensus: chooses among captions, and beam_width is 1" in line


@pytest.mark.parametrize(
    ("bundle", "found"),
    [("train/bundle", True), ("train-old/bundle", False), ("release/bundle.zip", False)],
)
def test_scores_are_taken_from_beside_what_the_pipeline_trained_alone(tmp_path, bundle, found):
    metrics = tmp_path / "evaluate" / "metrics.json"
    metrics.parent.mkdir()
    metrics.write_text("{}")
    assert _metrics_beside(tmp_path / bundle) == (metrics if found else None)
    assert _metrics_beside(Path("/bundle")) is None


def test_only_widths_that_are_offered(command):
    result = command("serve", "--beam-width", 4)
    assert result.code == 2
    assert "expected one of 1, 3, 5, 10. Received: 4" in " ".join(result.err.split())


@pytest.mark.slow
@pytest.mark.parametrize("ended_by", [signal.SIGINT, signal.SIGTERM])
def test_it_listens_at_the_loopback_address_answers_and_leaves_nothing(trained, tmp_path, ended_by):
    """In a process of its own, as a person starts it."""
    bundle = tmp_path / "bundle.zip"
    pack(trained.data / "train" / "bundle", bundle)
    process = subprocess.Popen(
        [sys.executable, "-m", "stages.serve", "--bundle", bundle, "--port", "0"],
        cwd=REPOSITORY,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stdout.readline()
        assert line.startswith("serve: http://127.0.0.1:"), process.communicate()
        url = line.split()[1]
        picture = (trained.raw / "test-00.png").read_bytes()
        with urllib.request.urlopen(f"{url}/api/caption", picture, timeout=60) as answer:
            captions = json.load(answer)["captions"]
        # What it says after so short a training is anybody's guess, even nothing.
        assert captions
        assert all(0 < caption["probability"] < 1 for caption in captions)
        with urllib.request.urlopen(url, timeout=60) as answer:
            assert b"gradio" in answer.read()
        process.send_signal(ended_by)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == (0 if ended_by == signal.SIGINT else 128 + ended_by), err
    assert "Traceback" not in err
    assert list(tmp_path.glob("caption-serve-*")) == []
