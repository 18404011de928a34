"""Settings that no stage would take are told before the first stage runs."""

import pytest
import yaml

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


def test_all_wrong_sections_are_told_at_once(told):
    message = told(sweep__beam_widths=3, evaluate__max_words="many")
    assert "sweep.beam_widths: input should be a valid list" in message
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


def test_sections_that_go_together_are_not(told):
    assert not told(
        evaluate__guide=3.0,
        train__consensus__pictures=10000,
        train__decoder="adaptive",
        features__pooling="grid",
        train__word_vectors="trained",
        vocabulary__embeddings__file="glove.txt",
    )
