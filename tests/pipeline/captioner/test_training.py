"""Training: it learns, it is deterministic, and killing it changes nothing."""

import logging
from pathlib import Path

import numpy as np
import pytest

from pipeline import backend
from pipeline.captioner import training
from pipeline.captioner.captioner import Captioner, SearchSettings
from pipeline.captioner.decoders.find import build
from pipeline.captioner.training import History
from pipeline.evaluation.cider import CiderD

GREEDY = SearchSettings(beam_width=1, length_penalty=0.0, max_words=9)


class Killed(Exception):  # noqa: N818
    """What a test raises in the middle of a training."""


@pytest.fixture(scope="module")
def fresh(vocabulary):
    """Make a captioner with the weights that `settings` begin with."""

    def make(settings) -> Captioner:
        backend.seed(settings.seed)
        decoder = build(settings, len(vocabulary), (5,))
        decoder.start_output_bias(np.array(vocabulary.counts))
        return Captioner(decoder, vocabulary)

    return make


@pytest.fixture(scope="module")
def train(fresh, split_of):
    """Train in a folder; return the captioner and its history."""

    def run(settings, checkpoint: Path, on_epoch=lambda metrics: None, pictures: int = 24):
        captioner = fresh(settings)
        splits = split_of(pictures, 1), split_of(8, 2)
        history = training.fit(captioner, *splits, settings, checkpoint, on_epoch)
        return captioner, history

    return run


@pytest.fixture(scope="module")
def short(train, train_settings, tmp_path_factory):
    """An undisturbed training of three epochs."""
    return train(train_settings(), tmp_path_factory.mktemp("short") / "state")


@pytest.fixture(scope="module", params=["inject", "merge"])
def learned(request, train, train_settings, tmp_path_factory):
    settings = train_settings(decoder=request.param, units=16, epochs=12, dropout=0.0)
    return train(settings, tmp_path_factory.mktemp("learned") / "state", pictures=80)


def texts(captioner: Captioner, features: np.ndarray) -> list[str]:
    return [found[0].text for found in captioner.caption(features, GREEDY)]


def assert_same_weights(one: Captioner, other: Captioner) -> None:
    pairs = zip(one.decoder.get_weights(), other.decoder.get_weights(), strict=True)
    assert all(np.array_equal(*pair) for pair in pairs)


def test_it_learns_to_caption_pictures_that_it_never_saw(learned, split_of):
    captioner, _ = learned
    test = split_of(20, 3)
    assert texts(captioner, test.features) == [" ".join(words) for [words] in test.references]


def test_shuffled_features_and_no_training_score_far_below(
    learned, fresh, train_settings, split_of
):
    captioner, _ = learned
    test = split_of(20, 3)

    def cider(captioner, features) -> float:
        found = [text.split() for text in texts(captioner, features)]
        return float(np.mean(CiderD(test.references).score(found)))

    good = cider(captioner, test.features)
    assert cider(captioner, np.random.default_rng(1).permutation(test.features)) < 0.5 * good
    assert cider(fresh(train_settings()), test.features) < 0.2 * good


def test_the_loss_falls_and_the_history_tells_it(learned):
    _, history = learned
    for name in ("loss", "val_loss"):
        assert history.epochs[-1][name] < 0.5 * history.epochs[0][name]
    best = max(metrics["val_cider_d"] for metrics in history.epochs)
    assert history.epochs[history.best]["val_cider_d"] == best


def test_the_same_seed_gives_the_same_weights_bit_for_bit(short, train, train_settings, tmp_path):
    captioner, history = train(train_settings(), tmp_path / "state")
    assert_same_weights(captioner, short[0])
    assert history == short[1]


def test_another_seed_gives_other_weights(short, train, train_settings, tmp_path):
    captioner, _ = train(train_settings(seed=2), tmp_path / "state")
    with pytest.raises(AssertionError):
        assert_same_weights(captioner, short[0])


def test_killed_and_continued_is_as_undisturbed(short, train, train_settings, tmp_path):
    def kill_after(epochs: int):
        told = []

        def on_epoch(metrics) -> None:
            told.append(metrics)
            if len(told) == epochs:
                raise Killed

        return on_epoch

    for epochs in (1, 2):
        with pytest.raises(Killed):
            train(train_settings(), tmp_path / "state", kill_after(epochs))
    told = []
    captioner, history = train(train_settings(), tmp_path / "state", told.append)
    assert_same_weights(captioner, short[0])
    assert history == short[1]
    assert told == history.epochs  # those before the kill are told too


def test_every_epoch_has_an_order_of_its_own(train, train_settings, tmp_path, monkeypatch):
    begun = []
    begin = training.Batches.begin
    monkeypatch.setattr(
        training.Batches,
        "begin",
        lambda batches, epoch: begun.append(epoch) or begin(batches, epoch),
    )
    train(train_settings(epochs=2), tmp_path / "state")
    assert begun == [0, 1]


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


@pytest.fixture(scope="module")
def one_epoch(train, train_settings, tmp_path_factory):
    folder = tmp_path_factory.mktemp("one") / "state"
    return train(train_settings(epochs=1), folder)[0], folder


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("weights.npz", cut),
        ("best.npz", empty),
        ("optimizer.npz", flip),
        ("history.json", flip),
        ("history.json", not_a_history),
    ],
)
def test_a_damaged_checkpoint_is_told_and_training_begins_anew(
    one_epoch, train, train_settings, name, damage, caplog
):
    captioner, folder = one_epoch
    damage(folder / name)
    with caplog.at_level(logging.INFO):
        again, _ = train(train_settings(epochs=1), folder)
    assert "is damaged" in caplog.text
    assert "train: epoch 1 of 1" in caplog.text
    assert_same_weights(captioner, again)


def test_a_complete_checkpoint_is_not_trained_again(one_epoch, train, train_settings, caplog):
    captioner, folder = one_epoch
    with caplog.at_level(logging.INFO):
        again, _ = train(train_settings(epochs=1), folder)
    assert "train: epoch" not in caplog.text
    assert_same_weights(captioner, again)


def test_training_stops_early_with_the_weights_of_its_best_epoch(
    train, train_settings, tmp_path, monkeypatch
):
    scores = iter([0.1, 0.3, 0.2, 0.3, 0.9])
    weights = []

    def metrics(validation) -> dict[str, float]:
        weights.append(validation.captioner.decoder.get_weights())
        return {"val_loss": 1.0, "val_cider_d": next(scores)}

    monkeypatch.setattr("pipeline.captioner.training._Validation.metrics", metrics)
    captioner, history = train(train_settings(epochs=9, patience=2), tmp_path / "state")
    assert [len(history.epochs), history.best] == [4, 1]  # as good is no better
    for kept, best in zip(captioner.decoder.get_weights(), weights[1], strict=True):
        assert np.array_equal(kept, best)
    assert not np.array_equal(weights[1][0], weights[3][0])


def test_the_history_knows_its_best_epoch():
    history = History()
    better = [history.add({"val_cider_d": score}) for score in (0.0, 0.5, 0.5, 0.6, 0.1, 0.2)]
    assert better == [True, True, False, True, False, False]
    assert (history.best, history.since_best) == (3, 2)
