"""`python -m stages.export`: what is written, where, and what stops it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipeline.captioner import bundle, bundle_zip

ROOT = Path(__file__).parents[2]
ZIP = ROOT / "tests" / "fixtures" / "bundle-v1" / "inject.zip"


@pytest.fixture(scope="module")
def exported(command, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("exported") / "out"
    result = command("export", out, "--bundle", ZIP, "--beam-width", 2, "--max-words", 7)
    assert result.code == 0, result.err
    assert result.out.split() == [
        str(out / name) for name in ("README.md", "saved-model", "litert", "bundle.zip")
    ]
    return out


@pytest.mark.slow
def test_it_writes_every_form_and_the_card(exported, content):
    names = {name for name in content(exported) if not name.startswith("saved-model/1/")}
    assert names == {
        "README.md",
        "bundle.zip",
        "litert/README.md",
        "litert/decoder.tflite",
        "litert/encoder.tflite",
        "litert/vocabulary.json",
    }
    assert (exported / "saved-model" / "1" / "saved_model.pb").is_file()
    card = (exported / "README.md").read_text()
    assert "| `beam_width` | 2 |" in card
    assert "MAX_WORDS = 7" not in card
    assert ", 7\n" in (exported / "litert" / "README.md").read_text()


@pytest.mark.slow
def test_its_zip_is_a_bundle_that_can_be_exported_again(exported, command, tmp_path):
    with bundle_zip.opened(exported / "bundle.zip") as folder, bundle_zip.opened(ZIP) as old:
        assert bundle.read_description(folder) == bundle.read_description(old)
    again = ("--bundle", exported / "bundle.zip", "--format", "bundle-zip")
    assert command("export", tmp_path / "out", *again).code == 0
    expected = (exported / "bundle.zip").read_bytes()
    assert (tmp_path / "out" / "bundle.zip").read_bytes() == expected
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["README.md", "bundle.zip"]


def test_files_are_given_to_the_card(command, tmp_path):
    (tmp_path / "metrics.json").write_text('{"bleu_4": 0.25, "scored_pictures": 10}')
    given = ("--bundle", ZIP, "--format", "bundle-zip", "--metrics", tmp_path / "metrics.json")
    assert command("export", tmp_path / "out", *given).code == 0
    assert "| BLEU-4 | 0.250 | missing |" in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.parametrize(
    ("changes", "options", "expected", "told"),
    [
        (
            {"beam_width": 5, "length_penalty": 0.9},
            (),
            {"beam_width": 5, "length_penalty": 0.9},
            "",
        ),
        ({"beam_width": 5}, ("--beam-width", 2), {"beam_width": 2, "length_penalty": 0.5}, ""),
        (
            {"beam_width": 10, "guide": 4.0, "min_words": 3},
            (),
            {"beam_width": 10, "guide": 0.0, "min_words": 0},
            "without min_words and guide of section evaluate",
        ),
    ],
)
def test_it_searches_as_evaluate_does_as_far_as_a_model_can(
    command, tmp_path, monkeypatch, caplog, changes, options, expected, told
):
    asked = []
    monkeypatch.setattr("stages.export.model_card.write", lambda *given: asked.append(given[3]))
    monkeypatch.setattr("pipeline.exporting.saved_model.write", lambda *_: None)
    params = tmp_path / "params.yaml"
    known = yaml.safe_load((ROOT / "params.yaml").read_text())
    known["evaluate"] |= changes
    params.write_text(yaml.safe_dump(known))
    given = ("--bundle", ZIP, "--params", params, *options)
    assert command("export", tmp_path / "out", *given, "--format", "saved-model").code == 0
    assert asked[0]["saved-model"].model_dump(include=expected.keys()) == expected
    assert (told in caplog.text) if told else not caplog.text
    caplog.clear()
    assert command("export", tmp_path / "zip", *given, "--format", "bundle-zip").code == 0
    assert not caplog.text, "the bundle is searched in as one likes"
    assert asked[1] == {}


@pytest.mark.parametrize(
    ("options", "warns"),
    [((), True), (("--beam-width", 2, "--length-penalty", 0.5, "--max-words", 9), False)],
)
def test_params_of_an_older_model_are_good_for_the_card(
    command, tmp_path, monkeypatch, caplog, options, warns
):
    monkeypatch.setattr("stages.export.model_card.write", lambda *_: None)
    monkeypatch.setattr("pipeline.exporting.saved_model.write", lambda *_: None)
    (tmp_path / "params.yaml").write_text("train: {}\n")
    given = ("--bundle", ZIP, "--format", "saved-model", "--params", tmp_path / "params.yaml")
    assert command("export", tmp_path / "out", *given, *options).code == 0
    assert ("searches as usual, as that of --params cannot be read" in caplog.text) == warns


def test_what_is_there_is_not_overwritten(command, one_line, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("mine")
    line = one_line(command("export", tmp_path / "out", "--bundle", ZIP))
    assert "does not exist yet" in line
    assert (tmp_path / "out" / "mine").read_text() == "mine"


@pytest.mark.parametrize("kind", ["none", "no zip", "an empty folder"])
def test_what_is_no_bundle_stops_it_with_one_line_and_leaves_nothing(
    command, one_line, tmp_path, kind
):
    model = tmp_path / "model"
    if kind == "no zip":
        model.write_bytes(b"hello")
    elif kind == "an empty folder":
        model.mkdir()
    assert str(model) in one_line(command("export", tmp_path / "out", "--bundle", model))
    assert {path.name for path in tmp_path.iterdir()} <= {"model"}


@pytest.mark.slow
def test_two_processes_write_the_same_bytes(tmp_path, content):
    for name in ("one", "two"):
        subprocess.run(
            [sys.executable, "-m", "stages.export", tmp_path / name, "--bundle", ZIP],
            cwd=ROOT,
            check=True,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )
    one, two = content(tmp_path / "one"), content(tmp_path / "two")
    assert one.keys() == two.keys()
    assert not {name for name in one if one[name] != two[name]}


def test_without_tensorflow_the_bundle_alone_can_be_written(command, tmp_path, monkeypatch):
    monkeypatch.setattr("keras.backend.backend", lambda: "jax")
    given = tmp_path / "out", "--bundle", ZIP, "--format"
    for form in ("all", "litert", "saved-model"):
        result = command("export", *given, form)
        assert result.code == 2
        assert "expected TensorFlow, which makes --format" in result.err
        assert not (tmp_path / "out").exists()
    assert command("export", *given, "bundle-zip").code == 0
    assert (tmp_path / "out" / "bundle.zip").is_file()
