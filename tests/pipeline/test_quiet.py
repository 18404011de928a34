"""TensorFlow is imported without remarks, and with all else that it says."""

import os
import subprocess
import sys

import pytest

FAKE = """
import os
os.write(2, b"WARNING: All log messages before absl::InitializeLog() is called are ...\\n")
os.write(2, b"I0000 00:00:1795940677.03 31401 port.cc:153] oneDNN custom operations are on.\\n")
os.write(2, b"E0000 00:00:1795940677.04 31401 cuda.cc:9] no such card\\n")
{more}
"""


@pytest.fixture
def imported(tmp_path):
    """Import a package by the name of TensorFlow that speaks, and goes on as told."""
    (tmp_path / "tensorflow").mkdir()

    def imported(more: str = "", before: str = "pass", **environment: str):
        (tmp_path / "tensorflow" / "__init__.py").write_text(FAKE.format(more=more))
        path = f"import sys; sys.path.insert(0, {str(tmp_path)!r})"
        command = [sys.executable, "-c", f"{path}; import stages; {before}; import tensorflow"]
        known = {key: value for key, value in os.environ.items() if "MIN_LOG" not in key}
        known |= environment
        return subprocess.run(command, capture_output=True, text=True, check=False, env=known)

    return imported


@pytest.mark.parametrize("more", ["", "raise ImportError('broken')", "os.abort()"])
def test_tensorflow_is_imported_without_remarks_but_with_errors(imported, more):
    """Also where it is not imported to the end, or the process with it."""
    done = imported(more, "import importlib.util; importlib.util.find_spec('tensorflow')")
    assert "no such card" in done.stderr
    assert "oneDNN" not in done.stderr
    assert "absl" not in done.stderr
    assert ("broken" in done.stderr) is ("broken" in more)
    assert (done.returncode == 0) is (more == "")


def test_who_asks_for_remarks_gets_them(imported):
    assert "oneDNN" in imported(TF_CPP_MIN_LOG_LEVEL="0").stderr


def test_where_nothing_can_be_started_everything_is_told(imported):
    done = imported(before="sys.executable = '/nowhere'")
    assert done.returncode == 0
    assert "oneDNN" in done.stderr


def test_without_tensorflow_its_absence_is_told_as_ever():
    work = "import stages, sys; sys.path[:] = []; import tensorflow"
    command = [sys.executable, "-c", work]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "ModuleNotFoundError: No module named 'tensorflow'" in done.stderr


def test_advice_on_compiling_is_left_out_and_other_warnings_are_not():
    work = (
        "import stages, tensorflow as tf; log = tf.get_logger(); "
        "log.warning('%d out of the last %d calls to %s triggered tf.function retracing.', 5, 5, 1)"
        "; log.warning('%s is on fire', 'the disk')"
    )
    command = [sys.executable, "-c", work]
    known = {key: value for key, value in os.environ.items() if "MIN_LOG" not in key}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=known)
    assert "the disk is on fire" in done.stderr
    assert "retracing" not in done.stderr
