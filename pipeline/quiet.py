"""Import TensorFlow without its remarks: commands print what they have to say."""

import logging
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

# Passes on, line by line, what is no remark of TensorFlow's C++ part: lines of level I, those that
# follow one of them, and a warning that they go to standard error.
FILTER = r"""
import re, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
remark = re.compile(
    rb"I\d{4} |To enable the following instructions: |WARNING: All log messages before absl::Init"
)
for line in iter(sys.stdin.buffer.readline, b""):
    if not remark.match(line):
        sys.stderr.buffer.write(line)
        sys.stderr.buffer.flush()
"""


def hush_tensorflow() -> None:
    """Have TensorFlow say nothing but warnings and errors while it is imported, if it ever is.

    Until it has read TF_CPP_MIN_LOG_LEVEL it remarks on everything, whatever that says. And later
    it advises against what is meant here: to compile for each search and each model anew.
    """
    sys.meta_path.insert(0, _Hushed("tensorflow"))
    logging.getLogger("tensorflow").addFilter(_is_no_advice)


def _is_no_advice(record: logging.LogRecord) -> bool:
    return "triggered tf.function retracing" not in str(record.msg)


class _Hushed(MetaPathFinder):
    """Finds one package as it would be found without it, and imports it without its remarks."""

    def __init__(self, name: str) -> None:
        self.name = name

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """See `MetaPathFinder`; for all other packages nothing is found here."""
        if name != self.name:
            return None
        others = [finder for finder in sys.meta_path if finder is not self]
        specs = (finder.find_spec(name, path, target) for finder in others)
        spec = next((spec for spec in specs if spec is not None), None)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def quietly(module: ModuleType) -> None:
                with _without_remarks():
                    execute(module)

            spec.loader.exec_module = quietly  # type: ignore[method-assign]
        return spec


@contextmanager
def _without_remarks() -> Iterator[None]:
    """Send what is written to standard error, by C++ too, through `FILTER`.

    A process of its own: what is written last before a crash comes out as well. Where it cannot be
    started, nothing is held back.
    """
    try:
        before = os.dup(2)
        command = sys.executable, "-I", "-S", "-c", FILTER
        passing = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    except OSError:
        yield
        return
    assert passing.stdin is not None
    os.dup2(passing.stdin.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)
        passing.stdin.close()
        with suppress(subprocess.TimeoutExpired):  # a child may have the pipe open
            passing.wait(timeout=2)
