"""Each question has an answer, whatever is there."""

import subprocess
import sys
from collections import namedtuple

import pytest

from pipeline import doctor
from pipeline.doctor import Finding, examine
from stages.doctor import CHECK
from tests.copies import ROOT

PARAMS = {
    "ingest": {"folder": "mine", "format": "auto"},
    "encoder": {"network": "ResNet50", "weights": "mine.h5", "weights_folder": "weights"},
}


@pytest.fixture
def answers(monkeypatch):
    """Programs' answers by a word of their command; those that are not named fail."""
    known: dict[str, str | None] = {}

    def output(command, folder=None):
        return next((told for word, told in known.items() if word in " ".join(command)), "")

    monkeypatch.setattr(doctor, "_output", output)
    refused = Finding("Settings", "problem", "params.yaml", "mend it")  # seconds to ask for real
    monkeypatch.setattr(doctor, "settings", lambda *_: refused)
    return known


def test_a_bare_folder_has_an_answer_to_every_question(tmp_path, answers):
    found = {finding.name: finding for finding in examine(tmp_path, CHECK)}
    assert {"Python", "GPU", "Java", "Disk", "Git", "DVC", "Data set", "Weights"} <= found.keys()
    for name in ("Git", "DVC", "Settings", "Data set", "Weights"):
        assert found[name].state == "problem"
        assert found[name].advice


def test_every_problem_and_note_says_what_to_do(tmp_path, answers):
    assert all(finding.advice for finding in examine(tmp_path, CHECK) if finding.state != "ok")


def test_a_question_that_needs_a_package_that_is_missing_has_an_answer(
    tmp_path, answers, monkeypatch
):
    def broken(root):
        raise ModuleNotFoundError("No module named 'dvc'")

    (tmp_path / ".dvc").mkdir()
    monkeypatch.setattr(doctor, "broken", broken)
    found = {finding.name: finding for finding in examine(tmp_path, CHECK)}
    assert found["DVC"].found == "No module named 'dvc'"
    assert "make repro" in found["DVC"].advice
    assert "Weights" in found


def test_the_doctor_needs_no_package_that_it_asks_for():
    hidden = "import sys; sys.modules.update(dict.fromkeys(('pyarrow', 'pandas', 'dvc')));"
    subprocess.run([sys.executable, "-c", f"{hidden} import pipeline.doctor"], cwd=ROOT, check=True)


@pytest.mark.parametrize(
    ("version", "state"),
    [((3, 10), "problem"), ((3, 11), "ok"), ((3, 13), "ok"), ((3, 14), "problem")],
)
def test_python(monkeypatch, version, state):
    monkeypatch.setattr(sys, "version_info", version)
    assert doctor.python().state == state


def test_a_package_that_is_not_there(monkeypatch):
    monkeypatch.setattr(doctor, "PACKAGES", ("pyarrow", "no-such-package"))
    found = doctor.packages()
    assert found.state == "problem"
    assert "no-such-package not installed" in found.advice
    assert found.found.startswith("pyarrow ")


@pytest.mark.parametrize(
    ("backend", "missing"), [("tensorflow", "tensorflow"), ("jax", "jax"), (None, "tensorflow")]
)
def test_the_backend_that_is_set_has_to_be_there_and_no_other(monkeypatch, backend, missing):
    if backend:
        monkeypatch.setenv("KERAS_BACKEND", backend)
    else:
        monkeypatch.delenv("KERAS_BACKEND", raising=False)
    known = doctor._version
    without = {"tensorflow", "jax"}
    monkeypatch.setattr(doctor, "_version", lambda name: None if name in without else known(name))
    assert doctor.packages().advice.startswith(f"{missing} not installed")
    without.remove(missing)
    assert doctor.packages().state == "ok"


@pytest.mark.parametrize(
    ("cards", "seen", "state", "told"),
    [
        ("H200\n", "gpu:0", "ok", "1 used by TensorFlow: H200"),
        ("H200\nH200\n", "gpu:0 gpu:1", "ok", "2 used by TensorFlow: H200, H200"),
        ("H200\n", "cpu:0", "note", "EXTRAS=gpu"),
        ("", "cpu:0", "note", "run on the CPU"),
        ("", "", "problem", "TensorFlow cannot be imported"),
        ("H200\n", None, "note", "does not start within 60 s"),
        (None, "gpu:0", "ok", "1 used by TensorFlow"),
    ],
)
def test_gpu(answers, monkeypatch, cards, seen, state, told):
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    answers.update({"nvidia-smi": cards, "list_devices": seen})
    found = doctor.gpu()
    assert found.state == state
    assert told in found.found + found.advice


@pytest.mark.parametrize(
    ("seen", "state", "told"),
    [
        ("cuda:0", "ok", "1 used by JAX: H200"),
        ("cpu:0", "note", 'JAX does not see it. Install its CUDA build: pip install "jax[cuda13]"'),
        ("", "problem", "JAX cannot be imported"),
    ],
)
def test_a_gpu_under_jax(answers, monkeypatch, seen, state, told):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    answers.update({"nvidia-smi": "H200\n", "list_devices": seen})
    found = doctor.gpu()
    assert found.state == state
    assert told in found.found + found.advice


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_devices_are_asked_for_real(monkeypatch, backend):
    monkeypatch.setenv("KERAS_BACKEND", backend)
    found = doctor._output([sys.executable, "-c", doctor.DEVICES])
    assert found is None or found.split()[0].rstrip("0123456789") in ("cpu:", "gpu:", "cuda:")


def test_java_is_started_for_real():
    assert doctor.java().state == "ok"


def test_little_disk_is_told(monkeypatch, tmp_path):
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: usage(2 * doctor.GIB))
    assert "2.0 GiB free" in doctor.disk(tmp_path).found
    assert doctor.disk(tmp_path).state == "note"


def test_a_repository_needs_a_commit(tmp_path):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    assert doctor.git(tmp_path).state == "problem"
    who = ["-c", "user.name=t", "-c", "user.email=t@t"]
    subprocess.run(
        ["git", "-C", tmp_path, *who, "commit", "-q", "--allow-empty", "-m", "begin"], check=True
    )
    assert doctor.git(tmp_path).state == "ok"


def test_what_git_refuses_is_told_in_its_words(tmp_path):
    (tmp_path / ".git").write_text("gitdir: nowhere")
    found = doctor.git(tmp_path)
    assert "fatal: " in found.found
    assert "safe.directory" in found.advice


def test_a_machine_without_git(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor.shutil, "which", lambda _: None)
    assert doctor.git(tmp_path).found == "not installed"


@pytest.mark.parametrize(
    ("told", "state", "words"),
    [
        ("{}", "ok", "every stage is up to date"),
        ('{"train": [], "evaluate": []}', "note", "train, evaluate"),
        ("", "problem", "cannot be read"),
        (None, "note", "no answer within 60 s"),
    ],
)
def test_dvc(tmp_path, answers, told, state, words):
    (tmp_path / ".dvc").mkdir()
    answers["dvc status"] = told
    found = doctor.dvc(tmp_path)
    assert found.state == state
    assert words in found.found


def test_what_dvc_left_half_written_is_told(tmp_path, answers):
    (tmp_path / ".dvc" / "tmp").mkdir(parents=True)
    (tmp_path / "dvc.lock").write_text("")  # as DVC leaves them where it is killed
    (tmp_path / ".dvc" / "tmp" / "rwlock").write_text('{"write": {"a"')
    found = doctor.dvc(tmp_path)
    assert (found.state, found.found) == ("problem", "half-written: dvc.lock, .dvc/tmp/rwlock")
    assert "stages.mend" in found.advice


def test_what_a_merge_left_is_told(tmp_path):
    (tmp_path / ".dvc").mkdir()
    (tmp_path / "dvc.lock").write_text("<<<<<<< HEAD\nschema: '2.0'\n=======\n>>>>>>> other\n")
    assert "--theirs" in doctor.dvc(tmp_path).advice


def test_what_the_system_refuses_is_the_answer_to_one_question(tmp_path, answers, monkeypatch):
    def refused(*_):
        raise PermissionError(13, "Permission denied", "raw")

    monkeypatch.setattr("pipeline.datasets.find.find_layout", refused)
    (tmp_path / "params.yaml").write_text("ingest: {folder: raw}")
    found = {finding.name: finding for finding in examine(tmp_path, CHECK)}
    assert "Permission denied" in found["Data set"].found
    assert found["Captioner"].state == "note", "it goes on"


def test_settings_are_read_as_the_stages_read_them(tmp_path):
    text = (ROOT / "params.yaml").read_text()
    (tmp_path / "params.yaml").write_text(text.replace("beam_widths: [", "beam_width: ["))
    found = doctor.settings(tmp_path, CHECK)
    assert found.state == "problem"
    assert "sweep.beam_width is not a setting" in found.advice


def test_settings_of_another_repository_are_read_there(tmp_path):
    for folder in ("data/raw/mine", "data/raw/weights", "data/raw/embeddings"):
        (tmp_path / folder).mkdir(parents=True)
    text = (ROOT / "params.yaml").read_text()
    changed = text.replace("folder: data/raw/scenes", "folder: data/raw/mine")
    assert changed != text
    (tmp_path / "params.yaml").write_text(changed)
    assert doctor.settings(tmp_path, CHECK).state == "ok"


def test_the_data_set_is_found_by_its_layout(tmp_path):
    assert "no such folder" in doctor.data(tmp_path, PARAMS).advice
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "x.token.txt").write_text("a.jpg#0\tA dog .\n")
    assert doctor.data(tmp_path, PARAMS).found == "mine, layout flickr8k"


def test_scenes_that_are_not_drawn_yet_are_no_problem(tmp_path):
    scenes = {"ingest": {"folder": "data/raw/scenes", "format": "auto"}}
    assert doctor.data(tmp_path, scenes).state == "note"


def test_weights_of_a_file(tmp_path):
    assert doctor.weights(tmp_path, PARAMS).state == "problem"
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "mine.h5").touch()
    assert doctor.weights(tmp_path, PARAMS).state == "ok"


_KERNELS = "weights_tf_dim_ordering_tf_kernels"


@pytest.mark.parametrize(
    ("network", "file", "nearly"),
    [
        ("ResNet50", f"resnet50_{_KERNELS}_notop.h5", f"resnet50v2_{_KERNELS}_notop.h5"),
        ("InceptionV3", f"inception_v3_{_KERNELS}_notop.h5", f"xception_{_KERNELS}_notop.h5"),
        (
            "MobileNetV2",
            f"mobilenet_v2_{_KERNELS}_1.0_224_no_top.h5",
            f"mobilenet_v2_{_KERNELS}_0.35_96_no_top.h5",
        ),
        ("EfficientNetV2B0", "efficientnetv2-b0_notop.h5", "efficientnetv2-b1_notop.h5"),
    ],
)
def test_weights_that_keras_fetched_before(tmp_path, monkeypatch, network, file, nearly):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    params = {"encoder": {"network": network, "weights": "imagenet"}}
    assert doctor.weights(tmp_path, params).state == "note"
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / file.replace("no_top.", ".").replace("notop.", ".")).touch()
    assert doctor.weights(tmp_path, params).state == "note", "it has another head"
    (tmp_path / "models" / nearly).touch()
    assert doctor.weights(tmp_path, params).state == "note", "it is another network's"
    (tmp_path / "models" / file).touch()
    assert doctor.weights(tmp_path, params).state == "ok"


def test_weights_that_are_trained_here(tmp_path):
    params = {"encoder": {"network": "compact", "weights": "train"}}
    assert doctor.weights(tmp_path, params).state == "ok"


@pytest.mark.parametrize("text", ["", "[1, 2", "- a", "ingest: 3", "\xff"])
def test_settings_that_cannot_be_read_are_told(tmp_path, text):
    (tmp_path / "params.yaml").write_bytes(text.encode("latin-1"))
    found = doctor.data(tmp_path, doctor._params(tmp_path))
    assert (found.state, found.found) == ("problem", "none named")


def test_the_captioner(tmp_path):
    assert doctor.model(tmp_path).state == "note"
    (tmp_path / "data" / "train" / "bundle").mkdir(parents=True)
    assert doctor.model(tmp_path).state == "ok"


def test_a_program_that_is_absent_or_fails_says_nothing():
    assert doctor._output(["no-such-program"]) == ""
    assert doctor._output([sys.executable, "-c", "print(1); raise SystemExit(1)"]) == ""
    assert doctor._output([sys.executable, "-c", "print(1)"]) == "1\n"


def test_a_program_that_is_too_slow_is_told_apart(monkeypatch):
    monkeypatch.setattr(doctor, "SECONDS", 0.05)
    assert doctor._output([sys.executable, "-c", "import time; time.sleep(9)"]) is None
