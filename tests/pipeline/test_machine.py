"""The cores that may be used."""

import os

import pytest

from pipeline.machine import cores


@pytest.mark.parametrize("there", [1, 3])
def test_cores_that_this_process_may_use(monkeypatch, there):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(there)), raising=False)
    assert cores() == there


@pytest.mark.parametrize(("counted", "told"), [(8, 8), (None, 1)])
def test_all_of_them_where_the_system_does_not_say(monkeypatch, counted, told):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: counted)
    assert cores() == told
