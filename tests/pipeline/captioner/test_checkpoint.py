"""The state of a training: whole, or noticed to be damaged."""

import json
import logging
from pathlib import Path

import keras
import numpy as np
import pytest

from pipeline.captioner.checkpoint import Checkpoint, History, take_finished
from pipeline.captioner.decoders.find import build


@pytest.fixture
def state(train_settings, vocabulary, tmp_path) -> Checkpoint:
    """A state that was kept after one epoch."""
    decoder = build(train_settings(), len(vocabulary), (5,))
    optimizer = keras.optimizers.Adam()
    optimizer.build(decoder.trainable_variables)
    for number, variable in enumerate(optimizer.variables):
        variable.assign(keras.ops.full(variable.shape, number, variable.dtype))
    state = Checkpoint(decoder, tmp_path / "state", optimizer)
    history = History()
    state.keep(history, history.add({"val_cider_d": 0.5, "val_loss": 1.25}))
    return state


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def not_a_history(path: Path) -> None:
    path.write_text("[]")


def better_than_it_was(path: Path) -> None:
    """A change that leaves a history, only another one."""
    content = json.loads(path.read_text())
    content["epochs"][0]["val_cider_d"] += 1.0
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")


def test_what_was_kept_comes_back(state, caplog):
    caplog.set_level(logging.INFO)
    weights = state.decoder.get_weights()
    memory = [keras.ops.convert_to_numpy(one).copy() for one in state.optimizer.variables]
    state.decoder.set_weights([weight + 1 for weight in weights])
    for variable in state.optimizer.variables:
        variable.assign(keras.ops.zeros(variable.shape, variable.dtype))
    history = state.restore("train", first=1)
    assert "train: continues after epoch 1" in caplog.text
    state.restore("self-critical", first=0)  # which counts the decoder as it came as epoch 0
    assert "self-critical: continues after epoch 0" in caplog.text
    assert history.epochs == [{"val_cider_d": 0.5, "val_loss": 1.25}]
    for found, expected in zip(state.decoder.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(found, expected)
    for variable, expected in zip(state.optimizer.variables, memory, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(variable), expected)


def test_every_byte_counts(state):
    """A flipped byte anywhere is noticed, in arrays and in the history alike."""
    rng = np.random.default_rng(1)
    for path in sorted(path for path in state.folder.iterdir() if path.name != "manifest.json"):
        good = path.read_bytes()
        for place in rng.integers(0, len(good), 20):
            path.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
            assert state.restore("train", first=1) == History(), (path.name, place)
        path.write_bytes(good)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("weights.npz", cut),
        ("best.npz", empty),
        ("optimizer.npz", flip),
        ("history.json", flip),
        ("history.json", not_a_history),
        ("history.json", better_than_it_was),
        ("manifest.json", flip),
        ("manifest.json", not_a_history),
        ("weights.npz", Path.unlink),
        ("manifest.json", Path.unlink),
    ],
)
def test_damage_is_told_and_nothing_is_taken_from_it(state, name, damage, caplog):
    damage(state.folder / name)
    before = state.decoder.get_weights()
    with caplog.at_level(logging.WARNING):
        assert state.restore("train", first=1) == History()
    assert "is damaged" in caplog.text
    assert str(state.folder) in caplog.text
    assert take_finished(state.decoder, state.folder, epochs=1, patience=1) is None
    for found, expected in zip(state.decoder.get_weights(), before, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_the_history_knows_its_best_epoch():
    history = History()
    scores = (0.0, 0.5, 0.5, 0.6, 0.1, 0.2)
    better = [history.add({"val_cider_d": score, "val_loss": 1.0}) for score in scores]
    assert better == [True, True, False, True, False, False]
    assert (history.best, history.since_best) == (3, 2)


def test_of_epochs_with_the_same_cider_d_the_one_with_the_lowest_loss_is_best():
    history = History()
    epochs = [(0.0, 3.0), (0.0, 2.0), (0.0, 2.5), (0.0, 1.5), (0.1, 9.0), (0.0, 1.0), (0.1, 8.0)]
    better = [history.add({"val_cider_d": score, "val_loss": loss}) for score, loss in epochs]
    assert better == [True, True, False, True, True, False, True]
    assert (history.best, history.since_best) == (6, 0)


@pytest.mark.parametrize(
    ("epochs", "patience", "over"), [(6, 9, True), (7, 9, False), (7, 3, False), (7, 2, True)]
)
def test_a_training_is_over_when_all_is_done_or_nothing_gets_better(epochs, patience, over):
    history = History([{"val_cider_d": score} for score in (0.0, 0.5, 0.5, 0.6, 0.1, 0.2)], 3)
    assert history.is_over(epochs, patience) == over


def test_of_a_training_that_is_over_the_best_weights_are_taken_and_of_others_none(state):
    best = state.decoder.get_weights()
    history = state.restore("train", first=1)
    worse = [weight + 1 for weight in best]
    state.decoder.set_weights(worse)
    state.keep(history, history.add({"val_cider_d": 0.4, "val_loss": 1.0}))
    assert take_finished(state.decoder, state.folder, epochs=3, patience=2) is None
    for found, expected in zip(state.decoder.get_weights(), worse, strict=True):
        np.testing.assert_array_equal(found, expected)
    assert take_finished(state.decoder, state.folder, epochs=2, patience=2) == history
    for found, expected in zip(state.decoder.get_weights(), best, strict=True):
        np.testing.assert_array_equal(found, expected)
    assert take_finished(state.decoder, state.folder / "none", epochs=2, patience=2) is None
