"""The model card says what the files say, and what they do not say."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from pipeline.captioner import bundle
from pipeline.captioner.consensus import Consensus, ConsensusSettings
from pipeline.errors import InputError
from pipeline.exporting import model_card

METRICS: dict[str, Any] = {
    "bleu_4": 0.523456,
    "bleu_4_low": 0.5,
    "bleu_4_high": 0.55,
    "cider_d": 2.1,
    "distinct_share": 0.9,
    "scored_pictures": 1500,
    "missing": {"spice": "no models"},
}
PARAMS: dict[str, Any] = {
    "ingest": {"folder": "data/raw/flickr8k", "format": "auto"},
    "encoder": {
        "network": "compact", "weights": "train", "weights_folder": "/home/somebody/weights",
        "finetune": False, "compact": {"epochs": 9}, "finetuning": {"epochs": 3},
    },
    "features": {"pooling": "average", "workers": 2},
    "train": {"decoder": "inject", "units": 4, "embedding": 3, "dropout": 0.0, "epochs": 8},
    "evaluate": {"method": "beam", "beam_width": 2, "length_penalty": 0.5, "max_words": 20},
    "report": {"examples": 8},
}  # fmt: skip


@pytest.fixture
def card(inject_folder, search, tmp_path):
    """Write a card, of a bundle with the decoder `inject`."""

    def write(metrics: Any = None, params: Any = None) -> str:
        paths: dict[str, Path | None] = {"metrics": None, "params": None}
        if metrics is not None:
            paths["metrics"] = tmp_path / "metrics.json"
            paths["metrics"].write_text(metrics if type(metrics) is str else json.dumps(metrics))
        if params is not None:
            paths["params"] = tmp_path / "params.yaml"
            paths["params"].write_text(params if type(params) is str else yaml.safe_dump(params))
        contents = {"saved-model": "a model"}
        out = tmp_path / "README.md"
        searches = {"saved-model": search}
        model_card.write(out, inject_folder, contents, searches, *paths.values())
        return out.read_text()

    return write


def test_it_begins_with_yaml_that_catalogues_read(card):
    _, front, text = card(METRICS, PARAMS).split("---\n", 2)
    assert yaml.safe_load(front) == {
        "pipeline_tag": "image-to-text",
        "library_name": "keras",
        "tags": ["image-captioning", "keras", "tensorflow"],
        "metrics": ["bleu", "cider"],
    }
    assert text.lstrip().startswith("# Image captioner: inject on compact\n")


def test_it_tells_what_the_bundle_says(card, inject_folder):
    text = card()
    content = json.loads((inject_folder / "bundle.json").read_text())
    encoder = json.loads((inject_folder / "encoder" / "encoder.json").read_text())
    words = json.loads((inject_folder / "vocabulary.json").read_text())
    assert "`inject`, 4 units, word vectors of 3" in text
    assert f"{len(words['words']) - 4} words" in text
    assert encoder["fingerprint"] in text
    assert content["files"]["decoder.weights.h5"] in text
    assert f"{words['counts'][2]:,} captions of training pictures" in text
    assert f"{words['words'][4]} {words['counts'][4]:,}" in text
    assert "| `saved-model` | a model |" in text


def test_it_tells_that_a_bundle_quotes_captions(inject_folder, tmp_path):
    texts = []
    features, captions = np.eye(2, 4), [[["a", "dog"]], [["a", "dog", "runs"]]]
    kept = Consensus.fit(
        features, captions, ConsensusSettings(pictures=2, kernel="linear", ridge=1.0)
    )
    for name, consensus in (("plain", None), ("quoting", kept)):
        folder, own = tmp_path / name, bundle.read_description(inject_folder)
        [one] = bundle.load_members(inject_folder)
        words, encoder = inject_folder / bundle.WORDS, inject_folder / bundle.ENCODER
        shape = own.feature_shape
        bundle.save(folder, [one.decoder], words, encoder, shape, own.encoder, consensus)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Consensus, "load", None)  # it need not be read
            model_card.write(tmp_path / "card.md", folder, {}, {}, None, None)
        texts.append((tmp_path / "card.md").read_text())
    for told in ("quotes what captions", "has the features of these pictures"):
        assert [told in text for text in texts] == [False, True]


def test_scores_stand_beside_their_intervals(card):
    text = card(METRICS, PARAMS)
    assert "| BLEU-4 | 0.523 | 0.500 to 0.550 |" in text
    assert "| CIDEr-D | 2.100 | missing |" in text
    assert "On 1,500 pictures" in text
    assert "Missing: SPICE: no models." in text
    assert "METEOR" not in text
    assert "do not compare" not in text
    assert "do not compare: clean (no Java)." in card(
        {**METRICS, "tokenisation": "clean (no Java)"}
    )


def test_what_was_not_given_is_missing_and_no_figure_is_made_up(card):
    text = card()
    for told in ("params.yaml was not given", "metrics.json was not given", "name of the data set"):
        assert f"Missing: {told}" in text or f"Missing: the {told}" in text
    scores = text.split("## Scores")[1].split("##")[0]
    assert not re.search(r"\d", scores)


def test_settings_are_those_that_made_the_model_and_no_places(card):
    text = card(METRICS, PARAMS)
    for told in ("`train.epochs` | 8 ", "`features.pooling` |", "`encoder.compact.epochs` | 9 "):
        assert told in text
    for name in ("somebody", "workers", "finetuning", "report.examples"):
        assert name not in text
    assert "`data/raw/flickr8k`" in text
    away = {**PARAMS, "ingest": {"folder": "/home/somebody/flickr8k"}}
    assert "The data set's folder is `flickr8k`." in card(None, away)


def test_it_tells_where_the_scores_are_of_another_search(card):
    assert "`max_words`: 20 there, 8 here" in card(METRICS, PARAMS)
    same = {**PARAMS, "evaluate": {**PARAMS["evaluate"], "max_words": 8}}
    assert "the search settings of `saved-model`" in card(METRICS, same)
    assert "Missing: the search settings" in card(METRICS)


def test_each_file_that_searches_is_told_with_its_own_search(inject_folder, search, tmp_path):
    greedy = search.model_copy(update={"beam_width": 1})
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(PARAMS))
    (tmp_path / "metrics.json").write_text(json.dumps(METRICS))
    given = tmp_path / "metrics.json", tmp_path / "params.yaml"
    searches = {"saved-model": search, "litert": greedy}
    model_card.write(tmp_path / "card.md", inject_folder, {}, searches, *given)
    text = (tmp_path / "card.md").read_text()
    for path, width in (("saved-model", 2), ("litert", 1)):
        told = text.split(f"`{path}` searches captions with these settings:")[1]
        assert told.index(f"| `beam_width` | {width} |") < 120
    assert "settings than `litert` has: `beam_width`: 2 there, 1 here" in text
    model_card.write(tmp_path / "card.md", inject_folder, {}, {}, *given)
    text = (tmp_path / "card.md").read_text()
    assert "searched as who uses it says" in text
    assert "beam_width`: " not in text


@pytest.mark.parametrize(("members", "together"), [(1, False), (3, True), (3, False)])
def test_it_tells_where_the_scores_are_of_one_seed_and_the_model_of_several(members, together):
    settings = {"evaluate": {**PARAMS["evaluate"], "ensemble": together}}
    told = " ".join(model_card._searched(settings, {}, members))
    assert ("of the best seed alone; here all 3" in told) == (members > 1 and not together)


def test_drawn_pictures_are_told_as_such(card):
    drawn = {**PARAMS, "ingest": {"folder": "data/raw/scenes"}}
    assert "what it says of photographs means nothing" in card(None, drawn)
    assert "photographs" not in card(None, PARAMS)


def test_the_settings_of_another_model_are_refused(card):
    others = [
        *(("train", "units", 8), ("encoder", "network", "ResNet50"), ("encoder", "side", 999)),
        *(("encoder", "finetune", True), ("features", "pooling", "grid")),
    ]
    for section, name, value in others:
        other = {**PARAMS, section: {**PARAMS[section], name: value}}
        with pytest.raises(InputError, match=f"{section}.{name}: .* Received: {value}"):
            card(None, other)


def test_settings_with_other_earlier_layers_are_refused(card):
    other = {**PARAMS, "encoder": {**PARAMS["encoder"], "layers": ["block_13_expand_relu"]}}
    with pytest.raises(InputError, match=r"encoder\.layers: \[\]\. Received: \['block_13"):
        card(None, other)


@pytest.mark.parametrize(
    ("metrics", "params"),
    [("{", None), ("[]", None), (None, "- 1"), (None, "a: [")],
    ids=["no JSON", "a list", "no sections", "no YAML"],
)
def test_a_file_that_is_something_else_is_told_with_one_line(card, metrics, params):
    with pytest.raises(InputError, match=r"metrics\.json|params\.yaml") as error:
        card(metrics, params)
    assert "\n" not in str(error.value)


def test_the_same_files_give_the_same_bytes(card):
    assert card(METRICS, PARAMS) == card(METRICS, PARAMS)


def test_which_split_was_scored_is_told_and_not_assumed(card):
    seen = "which training did not see"
    assert f"{model_card.MISSING}which split" in card(METRICS)
    assert seen not in card(METRICS)
    assert f"the test split, {seen}" in card({**METRICS, "split": "test"})
    train = card({**METRICS, "split": "train"})
    assert "the training split, which the model was trained on" in train
    assert seen not in train
    of_params = {**PARAMS, "evaluate": {**PARAMS["evaluate"], "split": "val"}}
    assert "by which training chose its best epoch" in card(METRICS, of_params)


def test_a_reason_names_no_folder_of_this_machine(card):
    missing = {
        "meteor": "Java is missing: /home/somebody/java is no program",
        "spice": "models\\somebody has no jar",
    }
    tokens = "clean (PTB unavailable: /home/somebody/java)"
    text = card({**METRICS, "missing": missing, "tokenisation": tokens})
    assert "somebody" not in text
    assert "METEOR: Java is missing: \N{HORIZONTAL ELLIPSIS}" in text
    assert "SPICE: \N{HORIZONTAL ELLIPSIS}" in text
    assert "do not compare: clean (PTB unavailable: \N{HORIZONTAL ELLIPSIS}" in text
