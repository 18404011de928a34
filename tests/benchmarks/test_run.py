"""Figures are kept with the machine that they are of, and held against what is aimed at."""

import json
import sys
from types import SimpleNamespace

import pytest

from benchmarks import run, timing
from benchmarks.run import AIMS, MACHINE, NAMES, Aim, main, tell

RESULTS = json.loads(run.RESULTS.read_text())


@pytest.fixture
def results(tmp_path, monkeypatch):
    """A file of results of another machine, and benchmarks that take no time."""

    def fail():
        raise RuntimeError("CAPTION_FLICKR8K is not set")

    path = tmp_path / "results.json"
    path.write_text(json.dumps({"first": {"seconds": 2, MACHINE: {"cpu": "old"}}}))
    monkeypatch.setattr(run, "RESULTS", path)
    monkeypatch.setattr(run, "machine", lambda: {"cpu": "new"})
    for name, measure in (("first", fail), ("second", lambda: {"seconds": 1})):
        monkeypatch.setitem(sys.modules, f"benchmarks.{name}", SimpleNamespace(measure=measure))
    return path


def test_a_partial_run_leaves_the_other_figures_to_the_machine_they_are_of(results, capsys):
    main(["second"])
    assert json.loads(results.read_text()) == {
        "first": {"seconds": 2, MACHINE: {"cpu": "old"}},
        "second": {"seconds": 1, MACHINE: {"cpu": "new"}},
    }
    assert capsys.readouterr().out == "second: seconds 1\n", "the machine is no figure"


def test_what_was_left_out_is_told_with_its_reason(results):
    main(["first"])
    expected = {"left_out": "CAPTION_FLICKR8K is not set", MACHINE: {"cpu": "new"}}
    assert json.loads(results.read_text()) == {"first": expected}


@pytest.mark.parametrize(
    ("aim", "value", "told"),
    [
        (Aim(20), 20.0, "aim >= 20: reached"),
        (Aim(20), 18.7, "aim >= 20: short by 1.3"),
        (Aim(0.7), 0.5, "aim >= 0.7: short by 0.2"),
        (Aim(5, at_most=True), 3.28, "aim <= 5: reached"),
        (Aim(0.03, at_most=True), 0.035, "aim <= 0.03: short by 0.005"),
    ],
)
def test_a_figure_reaches_its_aim_or_is_short_of_it(aim, value, told):
    assert aim.verdict(value) == told


def test_medians_are_held_against_aims(capsys):
    spread = {"median": 0.6, "least": 0.5, "greatest": 0.8, "runs": 3}
    tell({"training": {"share_of_peak": spread, "peak_gflops": spread, "note": "none"}})
    assert capsys.readouterr().out.splitlines() == [
        "training: share_of_peak 0.6 (0.5 to 0.8, 3 runs); aim >= 0.7: short by 0.1",
        "training: peak_gflops 0.6 (0.5 to 0.8, 3 runs)",
        "training: note none",
    ]


def test_aims_are_of_figures_that_there_are():
    for name, aims in AIMS.items():
        assert set(aims) <= set(RESULTS[name]), name


def test_the_committed_figures_all_tell_their_machine(capsys):
    assert set(RESULTS) == set(NAMES)
    for figures in RESULTS.values():
        assert {"cpu", "vectors", "cores", "python", "keras"} <= set(figures[MACHINE])
    tell(RESULTS)
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if "; aim " in line]) == sum(map(len, AIMS.values()))


@pytest.mark.parametrize(
    ("told", "cpu", "vectors"),
    [
        ("model name\t: AMD EPYC\nflags\t\t: fpu avx2 avx512f\n", "AMD EPYC", ["avx2", "avx512f"]),
        (None, "arm", []),  # not on Linux
    ],
)
def test_the_machine_has_a_name_and_what_it_computes_with(
    monkeypatch, tmp_path, told, cpu, vectors
):
    path = tmp_path / "cpuinfo"
    if told:
        path.write_text(told)
    monkeypatch.setattr("pipeline.machine.CPU", path)
    monkeypatch.setattr(timing.platform, "processor", lambda: "arm")
    machine = timing.machine()
    assert (machine["cpu"], machine["vectors"]) == (cpu, vectors)
