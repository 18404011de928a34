"""The cores that may be used."""

import os
import platform
import subprocess
import sys

import pytest

from pipeline import machine
from pipeline.machine import cores, cpu_flags, keep_memory


@pytest.fixture(autouse=True)
def outside_of_a_container(monkeypatch, tmp_path):
    """What this process is bound to is of no concern."""
    monkeypatch.setattr(machine, "CGROUP", tmp_path / "none")


@pytest.mark.parametrize("there", [1, 3])
def test_cores_that_this_process_may_use(monkeypatch, there):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(there)), raising=False)
    assert cores() == there


@pytest.mark.parametrize(("counted", "told"), [(8, 8), (None, 1)])
def test_all_of_them_where_the_system_does_not_say(monkeypatch, counted, told):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: counted)
    assert cores() == told


@pytest.mark.parametrize(
    ("told", "flags"),
    [
        (
            "processor : 0\nflags\t\t: fpu avx2 avx512f\nflags\t\t: fpu\n",
            {"fpu", "avx2", "avx512f"},
        ),
        ("processor : 0\nFeatures : asimd\n", set()),  # as on ARM
        (None, set()),  # not Linux
    ],
)
def test_flags_of_the_cpu(monkeypatch, tmp_path, told, flags):
    known = tmp_path / "cpuinfo"
    if told:
        known.write_text(told)
    monkeypatch.setattr(machine, "CPU", known)
    assert cpu_flags() == flags


def test_cpus_of_one_name_that_can_do_different_things_are_two_kinds(monkeypatch, tmp_path):
    known, kinds = tmp_path / "cpuinfo", []
    monkeypatch.setattr(machine, "CPU", known)
    for name, flags in (("Xeon", "avx2 amx"), ("Xeon", "avx2"), ("EPYC", "avx2")):
        known.write_text(f"model name : {name}\nflags : {flags}\n")
        kinds.append(machine.cpu_kind())
    assert [kind.split()[0] for kind in kinds] == ["Xeon", "Xeon", "EPYC"]
    assert len(set(kinds)) == 3
    known.unlink()
    assert machine.cpu_kind().startswith(platform.machine())


def run(work):
    """Run Python code in a process of its own; return what it prints."""
    command = [sys.executable, "-c", work]
    told = subprocess.run(command, capture_output=True, text=True, check=True)
    return told.stdout.strip()


FAULTS = """
import resource
import pipeline
import numpy as np

def touched():
    np.ones(20_000_000, "float32")
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

first, *_, last = [touched() for _ in range(10)]
print(last - first)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="not the C library that is tuned")
def test_memory_that_was_freed_is_used_again():
    """80 MB are 19,500 pages: without `keep_memory` they are cleared anew for every array."""
    told = run(FAULTS)
    assert int(told) < 1000


GROWTH = {"TF_FORCE_GPU_ALLOW_GROWTH": "true", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}


@pytest.mark.parametrize("name", GROWTH)
@pytest.mark.parametrize("set_by_the_user", [None, "other"])
def test_a_gpu_s_memory_is_shared_unless_the_user_says_otherwise(
    monkeypatch, name, set_by_the_user
):
    """Both are read by TensorFlow and JAX themselves, when they first look for GPUs."""
    monkeypatch.delenv(name, raising=False)
    if set_by_the_user:
        monkeypatch.setenv(name, set_by_the_user)
    assert run(f"import os, pipeline; print(os.environ['{name}'])") == (
        set_by_the_user or GROWTH[name]
    )


def test_where_there_is_no_mallopt_nothing_happens(monkeypatch):
    monkeypatch.setattr("ctypes.CDLL", lambda name: object())
    assert not keep_memory()


@pytest.mark.parametrize("package", ["stages", "benchmarks"])
def test_memory_is_prepared_before_numpy_is_there(package):
    """Threads of numpy or TensorFlow that are there before keep heaps of their own."""
    work = f"import {package}, sys; print('pipeline' in sys.modules and 'numpy' not in sys.modules)"
    told = run(work)
    assert told == "True"


@pytest.mark.parametrize(
    ("files", "count"),
    [
        ({"cpu.max": "200000 100000"}, 2),
        ({"cpu.max": "150000 100000"}, 2),
        ({"cpu.max": "50000 100000"}, 1),
        ({"cpu.max": "max 100000"}, 8),
        ({"cpu.max": ""}, 8),
        ({"cpu.max": "6400000 100000"}, 8),
        ({"cpu/cpu.cfs_quota_us": "300000", "cpu/cpu.cfs_period_us": "100000"}, 3),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 8),
        ({}, 8),
    ],
)
def test_a_container_s_share_of_the_cores_counts(monkeypatch, tmp_path, files, count):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(machine, "CGROUP", tmp_path)
    for name, told in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"{told}\n")
    assert cores() == count


def test_a_container_s_memory_counts(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "CGROUP", tmp_path)
    there = machine.memory()
    assert there is None or there > 2**28
    (tmp_path / "memory.max").write_text("max\n")
    assert machine.memory() == there
    (tmp_path / "memory.max").write_text("123456789\n")
    assert machine.memory() == 123456789
    (tmp_path / "memory.max").unlink()
    (tmp_path / "memory").mkdir()
    for told, expected in (("9223372036854771712", there), ("123456789", 123456789)):
        (tmp_path / "memory" / "memory.limit_in_bytes").write_text(f"{told}\n")
        assert machine.memory() == expected


def test_memory_that_the_system_does_not_tell(monkeypatch):
    def refused(_: str) -> int:
        raise ValueError

    monkeypatch.setattr(os, "sysconf", refused)
    assert machine.memory() is None
