"""The command `doctor`."""

import pytest
import typer

from pipeline.doctor import Finding
from stages import doctor

OK = Finding("Disk", "ok", "80 GiB free")
NOTE = Finding("GPU", "note", "none", "it takes hours")
BAD = Finding("Git", "problem", "no commit", "git init")


def test_all_well(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(doctor, "examine", lambda *_: iter([OK, NOTE]))
    doctor.doctor(tmp_path)
    out = capsys.readouterr().out
    assert "ok    Disk              80 GiB free" in out
    assert "-> it takes hours" in out
    assert out.endswith("Ready: dvc repro\n")


def test_a_problem_is_exit_code_1(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(doctor, "examine", lambda *_: iter([BAD, OK]))
    with pytest.raises(typer.Exit) as caught:
        doctor.doctor(tmp_path)
    assert caught.value.exit_code == 1
    assert "BAD   Git" in capsys.readouterr().out
