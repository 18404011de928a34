"""What is told about the model."""

import json

import pytest

from pipeline.captioner import bundle
from pipeline.errors import InputError
from pipeline.files import write_json
from pipeline.serving.model_card import model_card
from pipeline.text.marks import MARKS


@pytest.fixture
def saved(captioner, tmp_path):
    encoder, words = tmp_path / "encoder", tmp_path / "vocabulary.json"
    captioner.encoder.save(encoder)
    vocabulary = captioner.captioner.vocabulary
    write_json(words, {"words": vocabulary.words, "counts": vocabulary.counts})
    decoder = captioner.captioner.decoder
    shape = captioner.encoder.shape
    bundle.save(tmp_path / "bundle", [decoder], words, encoder, shape, captioner.encoder.identity)
    return tmp_path / "bundle"


def test_settings_are_those_of_the_bundle(saved, captioner):
    size = len(captioner.captioner.vocabulary)
    card = model_card(saved, size, None)
    facts = dict(card.facts)
    assert facts["Decoder"] == "adaptive, 8 units"
    assert facts["Words it knows"] == str(size - len(MARKS))
    assert facts["Network for pictures"] == "compact, 32 x 32 pixels"
    assert card.scores == ()
    assert card.limits


def test_scores_come_with_their_intervals(saved, tmp_path):
    path = tmp_path / "metrics.json"
    found = {"pictures": 500, "bleu_4": 0.5228, "bleu_4_low": 0.5005, "bleu_4_high": 0.5489,
             "cider_d": 2.166}  # fmt: skip
    path.write_text(json.dumps(found))
    card = model_card(saved, 12, path)
    assert card.pictures == 500
    assert card.scores == (("BLEU-4", "52.3", "50.0 to 54.9"), ("CIDEr-D", "2.17", ""))
    assert "Its scores" not in dict(card.facts)
    assert "They are of pictures of" not in dict(card.facts)
    path.write_text(json.dumps({**found, "split": "train"}))
    told = dict(model_card(saved, 12, path).facts)["They are of pictures of"]
    assert told == "the training split, which the model was trained on"
    path.write_text(json.dumps({**found, "tokenisation": "clean (no Java)"}))
    assert "do not compare" in dict(model_card(saved, 12, path).facts)["Its scores"]


@pytest.mark.parametrize("content", ["", "[]", '{"bleu_4": "x", "pictures": 1}', '{"bleu_4": 1}'])
def test_another_file_is_told(saved, tmp_path, content):
    path = tmp_path / "metrics.json"
    path.write_text(content)
    with pytest.raises(InputError, match="scores that `evaluate` writes"):
        model_card(saved, 12, path)
