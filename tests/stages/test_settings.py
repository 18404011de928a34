"""Settings that no stage would take are told before the first stage runs."""

import gzip
import re
import shlex
from itertools import pairwise

import pytest
import yaml
from dvc.utils.hydra import get_hydra_sweeps

from stages.settings import SECTIONS
from tests.copies import ROOT
from tests.test_graph import GRAPH

KNOWN = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))


@pytest.fixture
def told(command, tmp_path):
    """What `settings` says of params.yaml with some values set, by their names."""

    def told(**changes):
        sections = yaml.safe_load(yaml.safe_dump(KNOWN))
        for name, value in changes.items():
            *groups, key = name.split("__")
            place = sections
            for group in groups:
                place = place[group]
            place[key] = value
        path = tmp_path / "params.yaml"
        path.write_text(yaml.safe_dump(sections), encoding="utf-8")
        done = command("settings", "--params", path)
        assert done.code == (2 if done.err.startswith("error: ") else 0)
        return done.err

    return told


def test_every_section_is_read_as_its_stage_reads_it():
    assert SECTIONS.keys() == KNOWN.keys()
    for stage, cls in SECTIONS.items():
        loaded = {name for name in GRAPH[stage]["params"] if name.startswith(f"{stage}.")}
        assert {name.split(".")[1] for name in loaded} == set(cls.model_fields), stage


def test_a_broken_file_is_told_once(command, tmp_path):
    (tmp_path / "params.yaml").write_text("sample: [")
    message = command("settings", "--params", tmp_path / "params.yaml").err
    assert message.count("expected YAML") == 1


def test_those_of_the_repository_can_be_run(told):
    assert not told()


@pytest.mark.parametrize("folder", ["data/raw/nowhere", "~/pictures"])
def test_a_data_set_that_is_not_there_is_told_before_dvc_does(told, folder):
    message = told(ingest__folder=folder)
    expected = f"ingest.folder: expected a folder with the data set. Received: {folder!r}"
    assert expected in message
    assert ("~ stands for no home here" in message) == folder.startswith("~")


def test_a_data_set_that_dvc_keeps_is_fetched_by_it(told, tmp_path):
    (tmp_path / "mine.dvc").touch()
    assert "DVC keeps it: dvc pull" in told(ingest__folder=f"{tmp_path}/mine/")


@pytest.mark.parametrize(
    "section", ["encoder__weights_folder", "vocabulary__embeddings__folder", "evaluate__spice"]
)
def test_a_folder_that_every_run_looks_into_is_told_before_dvc_does(told, section, tmp_path):
    name = section.replace("__", ".")
    assert f"{name}: expected a folder with" in told(**{section: f"{tmp_path}/none"})
    assert not told(**{section: str(tmp_path)})


def test_files_that_are_not_there_are_told_before_their_stages(told, tmp_path):
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "other.weights.h5").touch()
    here = {"encoder__weights_folder": str(folder), "encoder__weights": "mine.weights.h5"}
    message = told(**here)
    assert f"encoder.weights: expected a file in {folder}. Received: 'mine.weights.h5'" in message
    assert "where there is: other.weights.h5. Put it there" in message
    (folder / "mine.weights.h5").touch()
    assert not told(**here)
    assert "vocabulary.embeddings.file: expected a file" in told(
        vocabulary__embeddings__file="vectors.txt"
    )


@pytest.mark.parametrize("folder", ["data/raw/scenes", "./data/raw/scenes/"])
def test_scenes_need_not_be_there_before_they_are_drawn(told, folder, tmp_path, monkeypatch):
    for beside in ("weights", "embeddings"):
        (tmp_path / "data" / "raw" / beside).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert not told(ingest__folder=folder)


def test_a_data_set_that_is_there_is_taken(told, tmp_path):
    assert not told(ingest__folder=str(tmp_path))


def test_a_layer_that_the_network_has_not_is_told(told):
    of_it = {"encoder__network": "MobileNetV2", "encoder__weights": "imagenet"}
    assert not told(**of_it, encoder__layers=["block_13_expand_relu"])
    message = told(**of_it, encoder__layers=["block_13_expand_rel"])
    assert "encoder.layers: expected layers of mobilenetv2_1.00_224 that give a map" in message
    assert "Nearest to it: block_13_expand_relu, " in message


def test_all_wrong_sections_are_told_at_once(told):
    message = told(sweep__beam_widths=3, evaluate__max_words="many")
    assert "sweep.beam_widths: expected a list, such as [3]. Received: 3" in message
    assert "evaluate.max_words: input should be a valid integer" in message


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"evaluate__guide": 3.0}, "Set train.consensus.pictures"),
        ({"sweep__consensus": [0.0, 5.0]}, "Set train.consensus.pictures"),
        ({"train__attention_penalty": 0.5}, "attention_penalty: expected 0 for a decoder"),
        ({"train__decoder": "adaptive"}, "adaptive needs a grid. Set features.pooling: grid"),
        ({"train__word_vectors": "trained"}, "Set vocabulary.embeddings.file"),
    ],
)
def test_sections_that_do_not_go_together_are_told(told, changes, expected):
    assert expected in told(**changes)


def test_sections_that_go_together_are_not(told, tmp_path):
    (tmp_path / "glove.txt").write_text("dog" + " 0.1" * KNOWN["train"]["embedding"])
    assert not told(
        evaluate__guide=3.0,
        train__consensus__pictures=10000,
        train__decoder="adaptive",
        features__pooling="grid",
        train__word_vectors="trained",
        vocabulary__embeddings__file="glove.txt",
        vocabulary__embeddings__folder=str(tmp_path),
    )


def experiments() -> list[str]:
    """The lines of the documentation that run experiments."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    lines = (line for page in pages for line in page.read_text(encoding="utf-8").splitlines())
    found = (re.fullmatch(r"(?: {4}|\$ )*(dvc exp run .*-S .*)", line) for line in lines)
    return sorted({match[1] for match in found if match})


def test_experiments_of_the_documentation_are_found():
    assert any("adaptive" in line for line in experiments())
    assert len(experiments()) > 4


@pytest.mark.parametrize("line", experiments())
def test_experiments_of_the_documentation_can_be_run(told, line):
    words = shlex.split(line, comments=True)
    asked = [value for flag, value in pairwise(words) if flag == "-S"]
    for one in get_hydra_sweeps({"params.yaml": asked}):
        pairs = (change.split("=", 1) for change in one["params.yaml"])
        assert not told(**{name.replace(".", "__"): yaml.safe_load(value) for name, value in pairs})


@pytest.fixture
def vectors(tmp_path):
    """Settings by which training begins with vectors of four numbers, in a packed file."""
    lines = b"a 0.1 0.2 0.3 0.4\ndog 0.5 0.6 0.7 0.8\n"
    (tmp_path / "small.txt.gz").write_bytes(gzip.compress(lines))
    return {
        "train__word_vectors": "frozen",
        "vocabulary__embeddings__folder": str(tmp_path),
        "vocabulary__embeddings__file": "small.txt.gz",
    }


def test_word_vectors_of_another_width_are_told(told, vectors):
    message = told(**vectors, train__embedding=5)
    assert "train.embedding: expected 4, as " in message
    assert "Received: 5. Set it to 4" in message
    assert not told(**vectors, train__embedding=4)
    assert not told(**{**vectors, "train__word_vectors": "random"}, train__embedding=5)


def test_a_file_that_has_no_word_vectors_is_told(told, vectors, tmp_path):
    packed = (tmp_path / "small.txt.gz").read_bytes()
    (tmp_path / "small.txt.gz").write_bytes(packed[:20])
    assert "expected a whole file of word vectors" in told(**vectors, train__embedding=4)
    (tmp_path / "small.txt.gz").write_bytes(b"PK\x03\x04")
    assert "Received: a zip archive" in told(**vectors, train__embedding=4)
