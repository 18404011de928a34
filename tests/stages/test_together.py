"""Two at once that share a cache end as one after the other.

A bundle that is read while another one takes its place: tests/pipeline/captioner/test_bundle.py.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


def start(stage: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", f"stages.{stage}", *map(str, arguments)]
    # One thread each, so that both are at work at the same time on any machine.
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def both(stage: str, arguments: tuple[object, ...], outs: list[Path], *more: object) -> None:
    """Run a stage twice at the same time, into different folders; neither may fail."""
    for running in [start(stage, *arguments, out, *more) for out in outs]:
        _, err = running.communicate()
        assert running.returncode == 0, err
        assert "Traceback" not in err


def settings(tiny, tiny_settings, stage: str, **changes: object) -> Path:
    path = tiny.data / f"together-{stage}.yaml"
    path.write_text(yaml.safe_dump({stage: {**tiny_settings[stage], **changes}}))
    return path


def test_two_trainings_that_share_a_cache_end_alike(
    trained, train_inputs, tiny_settings, content, tmp_path
):
    params = settings(trained, tiny_settings, "train")
    outs = [tmp_path / "one", tmp_path / "other"]
    both("train", train_inputs, outs, "--params", params, "--cache", tmp_path / "cache")
    # That of the fixture was trained alone, by the same number of threads or another: floats may
    # differ in the last digits, but the two may not.
    one, other = (content(out / "bundle") for out in outs)
    assert one == other
    assert not list((tmp_path / "cache").glob(".*"))
    assert set(one) == set(content(trained.data / "train" / "bundle"))


def test_two_runs_of_features_that_share_a_cache_end_alike(
    featured, tiny_settings, content, tmp_path
):
    params = settings(featured, tiny_settings, "features", batch_size=4)
    inputs = featured.raw, featured.images, featured.data / "encoder"
    outs = [tmp_path / "one", tmp_path / "other"]
    both("features", inputs, outs, "--params", params, "--cache", tmp_path / "cache")
    assert content(outs[0]) == content(outs[1])
    assert not [path for path in (tmp_path / "cache").rglob(".*") if path.is_file()]
