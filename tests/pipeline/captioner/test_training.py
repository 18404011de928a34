"""Training: it learns, it is deterministic, and killing it changes nothing."""

import logging
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from pipeline import backend
from pipeline.captioner import training
from pipeline.captioner.captioner import Captioner, SearchSettings
from pipeline.captioner.checkpoint import History
from pipeline.captioner.decoders.find import DECODERS, build
from pipeline.captioner.validation import Validation
from pipeline.errors import InputError
from pipeline.evaluation.cider import CiderD
from pipeline.images.shards import ShardReader, write_shards
from tests.quick import some_quick

BEAM = SearchSettings.plain(beam_width=3, length_penalty=1.0, max_words=9)  # as epochs are judged


class Killed(Exception):  # noqa: N818
    """What a test raises in the middle of a training."""


@pytest.fixture(scope="module")
def fresh(vocabulary):
    """Make a captioner with the weights that `settings` begin with."""

    def make(settings) -> Captioner:
        backend.seed(settings.seed)
        shape = (2, 3, 5) if DECODERS[settings.decoder].needs_grid else (5,)
        decoder = build(settings, len(vocabulary), shape, settings.precision)
        decoder.start_output_bias(np.array(vocabulary.counts))
        return Captioner(decoder, vocabulary)

    return make


@pytest.fixture(scope="module")
def splits_of(split_of, grid_split_of):
    """Make a split for a decoder: (settings, how many pictures, seed)."""

    def make(settings, pictures: int, seed: int):
        kind = grid_split_of if DECODERS[settings.decoder].needs_grid else split_of
        return kind(pictures, seed)

    return make


@pytest.fixture(scope="module")
def train(fresh, splits_of):
    """Train in a folder; return the captioner and its history."""

    def run(settings, checkpoint: Path, on_epoch=lambda metrics: None, pictures: int = 24):
        captioner = fresh(settings)
        splits = splits_of(settings, pictures, 1), splits_of(settings, 8, 2)
        history = training.fit(captioner, *splits, settings, checkpoint, on_epoch)
        return captioner, history

    return run


@pytest.fixture(scope="module")
def short(train, train_settings, tmp_path_factory):
    """An undisturbed training of three epochs."""
    return train(train_settings(), tmp_path_factory.mktemp("short") / "state")


@pytest.fixture(scope="module", params=some_quick(sorted(DECODERS), ["inject"]))
def learned(request, train, train_settings, tmp_path_factory):
    """A captioner that has learned, its history, and its settings."""
    settings = train_settings(decoder=request.param, units=16, epochs=12, dropout=0.0)
    if DECODERS[request.param].needs_grid:  # where to look has to be learned too
        settings = settings.model_copy(update={"epochs": 24, "learning_rate": 0.03})
    folder = tmp_path_factory.mktemp("learned") / "state"
    return *train(settings, folder, pictures=80), settings


def texts(captioner: Captioner, features: np.ndarray) -> list[str]:
    return [found[0].text for found in captioner.caption(features, BEAM)]


def assert_same_weights(one: Captioner, other: Captioner) -> None:
    pairs = zip(one.decoder.get_weights(), other.decoder.get_weights(), strict=True)
    assert all(np.array_equal(*pair) for pair in pairs)


def test_it_learns_to_caption_pictures_that_it_never_saw(learned, splits_of):
    captioner, _, settings = learned
    test = splits_of(settings, 20, 3)
    expected = [" ".join(words) for [words] in test.references]
    right = sum(map(str.__eq__, texts(captioner, test.features), expected))
    assert right >= 18


def test_it_learns_where_to_look(learned, splits_of):
    captioner, _, settings = learned
    test = splits_of(settings, 20, 3)
    captions = [words for [words] in test.references]
    if not captioner.attends:
        with pytest.raises(InputError, match="expected a decoder that attends to a grid"):
            captioner.looks(test.features, captions)
        return
    looks = captioner.looks(test.features, captions)
    deciding = test.features.sum(axis=-1).reshape(20, -1).argmax(axis=1)
    there = [
        look.maps.reshape(len(look.maps), -1).sum(axis=0)[place] / look.maps.sum()
        for look, place in zip(looks, deciding, strict=True)
    ]
    if not captioner.decoder.has_sentinel:  # with one, the average of the grid is read too
        assert np.mean(there) > 2 / 6  # an even look is 1 / 6


def test_shuffled_features_and_no_training_score_far_below(learned, fresh, splits_of):
    captioner, _, settings = learned
    test = splits_of(settings, 20, 3)

    def cider(captioner, features) -> float:
        found = [text.split() for text in texts(captioner, features)]
        return float(np.mean(CiderD(test.references).score(found)))

    good = cider(captioner, test.features)
    assert cider(captioner, np.random.default_rng(1).permutation(test.features)) < 0.5 * good
    assert cider(fresh(settings), test.features) < 0.2 * good


def test_the_loss_falls_and_the_history_tells_it(learned):
    _, history, _ = learned
    for name in ("loss", "val_loss"):
        assert history.epochs[-1][name] < 0.5 * history.epochs[0][name]
    best = max(metrics["val_cider_d"] for metrics in history.epochs)
    assert history.epochs[history.best]["val_cider_d"] == best


def test_the_same_seed_gives_the_same_weights_bit_for_bit(short, train, train_settings, tmp_path):
    captioner, history = train(train_settings(), tmp_path / "state")
    assert_same_weights(captioner, short[0])
    assert history == short[1]


def test_of_one_validation_picture_the_epoch_with_the_lowest_loss_is_kept(
    fresh, train_settings, split_of, tmp_path
):
    """CIDEr-D of one picture is 0 whatever is said: training goes on while the loss falls."""
    settings = train_settings(epochs=4, patience=1, dropout=0.0)
    captioner, val = fresh(settings), split_of(1, 2)
    history = training.fit(
        captioner, split_of(24, 1), val, settings, tmp_path / "state", lambda metrics: None
    )
    assert {metrics["val_cider_d"] for metrics in history.epochs} == {0.0}
    losses = [metrics["val_loss"] for metrics in history.epochs]
    assert len(losses) > 2, "one and `patience` more, were the first epoch the best"
    assert history.best == int(np.argmin(losses)) > 0


@pytest.mark.slow
def test_another_seed_gives_other_weights(short, train, train_settings, tmp_path):
    captioner, _ = train(train_settings(seed=2), tmp_path / "state")
    with pytest.raises(AssertionError):
        assert_same_weights(captioner, short[0])


EVERYTHING = {
    "tie_weights": True,
    "layer_norm": True,
    "variational_dropout": True,
    "label_smoothing": 0.1,
    "scheduled_sampling": 0.5,
    "schedule": "plateau",
    "ema": 0.8,
    "accumulate": 2,
}
TRAININGS = {
    "plain": {},
    "plain over a grid": {"decoder": "attention"},
    "everything": EVERYTHING,
    "everything over a grid": {**EVERYTHING, "decoder": "attention", "attention_penalty": 0.5},
    "float16": {"precision": "mixed_float16", "accumulate": 2, "ema": 0.8},
    "cosine, average": {"ema": 0.8, "scheduled_sampling": 0.5},
}


@pytest.mark.parametrize("name", some_quick(TRAININGS, ["plain"]))
def test_killed_and_continued_is_as_undisturbed(train, train_settings, tmp_path, name, monkeypatch):
    scores = [0.1, 0.05, 0.3, 0.4]  # with a standstill, which halves the rate of a plateau
    metrics = Validation.metrics

    def scored(validation) -> dict[str, float]:
        score = scores[len(validated)]
        validated.append(score)
        return {**metrics(validation), "val_cider_d": score}

    monkeypatch.setattr("pipeline.captioner.training.Validation.metrics", scored)
    settings = train_settings(**TRAININGS[name], epochs=4)
    validated: list[float] = []
    whole = train(settings, tmp_path / "whole")

    def kill_after(epochs: int):
        told = []

        def on_epoch(metrics) -> None:
            told.append(metrics)
            if len(told) == epochs:
                raise Killed

        return on_epoch

    validated.clear()
    for epochs in (1, 2):
        with pytest.raises(Killed):
            train(settings, tmp_path / "state", kill_after(epochs))
    told = []
    captioner, history = train(settings, tmp_path / "state", told.append)
    assert_same_weights(captioner, whole[0])
    assert history == whole[1]
    assert history.best == 3, "the last epoch is what is compared"
    assert told == history.epochs  # those before the kill are told too


@pytest.mark.parametrize("extras", [{}, EVERYTHING], ids=["plain", "everything"])
def test_what_is_compiled_beforehand_leaves_no_trace(fresh, train_settings, split_of, extras):
    settings = train_settings(**extras)
    decoder, split = fresh(settings).decoder, split_of(24, 1)
    before = decoder.get_weights()
    batches = training.Batches(split.captions, split.features, settings.batch_size, settings.seed)
    trainer = training.Trainer(decoder, batches, settings)
    for kept, weight in zip(before, decoder.get_weights(), strict=True):
        np.testing.assert_array_equal(kept, weight)
    memory = [keras.ops.convert_to_numpy(value) for value in trainer.optimizer.variables]
    assert all(np.abs(value).max() == 0 for value in memory if value.ndim)
    assert int(trainer.optimizer.iterations) == 0


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_ends_it(train, train_settings, tmp_path, monkeypatch, loss):
    monkeypatch.setattr(training.Trainer, "run_epoch", lambda *_: loss)
    told = rf"train: expected a loss of epoch 1 .* Received: {loss}\. .*lower train\.learning_rate"
    with pytest.raises(InputError, match=told):
        train(train_settings(epochs=2), tmp_path / "state")


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


@pytest.fixture(scope="module")
def one_epoch(train, train_settings, tmp_path_factory):
    folder = tmp_path_factory.mktemp("one") / "state"
    return train(train_settings(epochs=1), folder)[0], folder


def test_a_damaged_checkpoint_is_told_and_training_begins_anew(
    one_epoch, train, train_settings, caplog
):
    captioner, folder = one_epoch
    (folder / "best.npz").write_bytes(b"")
    with caplog.at_level(logging.INFO):
        again, _ = train(train_settings(epochs=1), folder)
    assert "is damaged" in caplog.text
    assert "train: epoch 1 of 1" in caplog.text
    assert_same_weights(captioner, again)


def test_a_complete_checkpoint_is_neither_trained_nor_compiled_again(
    one_epoch, train, train_settings, caplog, monkeypatch
):
    captioner, folder = one_epoch
    monkeypatch.setattr(training, "Trainer", lambda *_: pytest.fail("nothing is to be trained"))
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

    monkeypatch.setattr("pipeline.captioner.training.Validation.metrics", metrics)
    captioner, history = train(train_settings(epochs=9, patience=2), tmp_path / "state")
    assert [len(history.epochs), history.best] == [4, 1]  # as good is no better
    for kept, best in zip(captioner.decoder.get_weights(), weights[1], strict=True):
        assert np.array_equal(kept, best)
    assert not np.array_equal(weights[1][0], weights[3][0])


@pytest.mark.slow
def test_features_are_read_batch_by_batch_from_their_files(
    train_settings, fresh, grid_split_of, tmp_path
):
    """Grids from shards train as grids in memory do, and never come as a whole."""
    settings = train_settings(decoder="adaptive", epochs=2)
    splits = [grid_split_of(24, 1), grid_split_of(8, 2)]
    largest = []

    class Told(ShardReader):
        def rows(self, indices):
            largest.append(len(indices))
            return super().rows(indices)

    def from_files(split, name: str):
        rows = ((f"{n:03d}", value) for n, value in enumerate(split.features))
        manifest = write_shards(
            tmp_path / name, rows, len(split.features), shape=(2, 3, 5), encoder="ab" * 32,
            file_format="parquet", dtype="float32", rows_per_shard=10,
        )  # fmt: skip
        reader = Told(tmp_path / name, manifest)
        return replace(split, features=reader.select(np.arange(len(reader))))

    def run(splits, name: str) -> Captioner:
        captioner = fresh(settings)
        training.fit(captioner, *splits, settings, tmp_path / name, lambda metrics: None)
        return captioner

    files = [from_files(split, name) for split, name in zip(splits, "ab", strict=True)]
    assert_same_weights(run(files, "one"), run(splits, "other"))
    assert max(largest) <= settings.batch_size


def run(fresh, splits, settings, folder: Path) -> tuple[Captioner, History]:
    captioner = fresh(settings)
    return captioner, training.fit(captioner, *splits, settings, folder, lambda metrics: None)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("decoder", "extras"),
    [
        ("inject", {}),
        ("inject", {"label_smoothing": 0.2, "ema": 0.5, "schedule": "constant"}),
        ("adaptive", {"attention_penalty": 0.3}),
    ],
)
def test_accumulated_batches_train_as_one_large_batch(
    decoder, extras, fresh, train_settings, splits_of, tmp_path
):
    """24 captions: one batch, or five of which three and then two make an update, the last short.

    As an epoch is one update, which captions share a batch makes no difference. Captions are of
    different lengths, so that a mean of means would be another gradient; the bound is reached.
    The rate is such that other kernels' rounding, which Adam makes the most of, stays below it.
    """
    same = {
        "decoder": decoder,
        "dropout": 0.0,
        "clip_norm": 0.1,
        "epochs": 4,
        "learning_rate": 0.03,
        **extras,
    }
    splits = (
        splits_of(train_settings(decoder=decoder), 24, 1),
        splits_of(train_settings(decoder=decoder), 8, 2),
    )
    large = train_settings(**same, batch_size=24)
    small = train_settings(**same, batch_size=5, accumulate=5)
    one, told = run(fresh, splits, large, tmp_path / "large")
    other, told_of_small = run(fresh, splits, small, tmp_path / "small")
    pairs = zip(one.decoder.get_weights(), other.decoder.get_weights(), strict=True)
    begun = fresh(large).decoder.get_weights()
    for (expected, found), before in zip(pairs, begun, strict=True):
        np.testing.assert_allclose(found, expected, atol=1.2e-3)
        assert np.abs(expected - before).max() > 0.02
    for name in ("loss", "val_loss"):
        found = [metrics[name] for metrics in told_of_small.epochs]
        np.testing.assert_allclose(found, [metrics[name] for metrics in told.epochs], rtol=1e-3)


@pytest.mark.slow
def test_an_average_is_validated_and_kept_while_training_goes_on_with_its_own(
    fresh, train_settings, split_of, tmp_path, monkeypatch
):
    """Against a training without: the same steps, and an average of its weights after each."""
    splits = split_of(24, 1), split_of(8, 2)
    settings = train_settings(batch_size=24, epochs=4)  # one update an epoch
    weights, validated = [], []

    def noting(kept):
        def metrics(validation) -> dict[str, float]:
            kept.append(validation.captioner.decoder.get_weights())
            return {"val_loss": 1.0, "val_cider_d": 0.1 * len(kept)}

        return metrics

    monkeypatch.setattr("pipeline.captioner.training.Validation.metrics", noting(weights))
    run(fresh, splits, settings, tmp_path / "own")
    monkeypatch.setattr("pipeline.captioner.training.Validation.metrics", noting(validated))
    averaged = settings.model_copy(update={"ema": 0.6})
    captioner, _ = run(fresh, splits, averaged, tmp_path / "averaged")
    for place, final in enumerate(captioner.decoder.get_weights()):
        for epoch in range(4):
            seen = [after[place] for after in weights[: epoch + 1]]  # an epoch is one update
            average = np.average(seen, axis=0, weights=0.6 ** np.arange(epoch + 1)[::-1])
            np.testing.assert_allclose(validated[epoch][place], average, atol=1e-5)
        np.testing.assert_array_equal(final, validated[-1][place])
    assert any(np.abs(a - b).max() > 1e-2 for a, b in zip(validated[-1], weights[-1], strict=True))


@pytest.mark.slow
def test_own_words_are_read_more_often_from_epoch_to_epoch(
    fresh, train_settings, split_of, tmp_path, monkeypatch
):
    shares = []
    begin = training.Trainer._begin

    def told(trainer, epoch) -> None:
        begin(trainer, epoch)
        shares.append(float(trainer.objective.own_share.numpy()))

    monkeypatch.setattr(training.Trainer, "_begin", told)
    settings = train_settings(scheduled_sampling=0.6, epochs=4)
    run(fresh, (split_of(24, 1), split_of(8, 2)), settings, tmp_path / "state")
    assert shares == pytest.approx([0.0, 0.2, 0.4, 0.6])


def test_the_rate_of_a_plateau_is_halved_in_the_optimizer(
    fresh, train_settings, split_of, tmp_path, monkeypatch
):
    rates, scores = [], iter([0.2, 0.1, 0.3, 0.3, 0.2])
    epochs = training.Trainer.run_epoch

    def told(trainer, *arguments) -> float:
        loss = epochs(trainer, *arguments)
        rates.append(float(trainer.optimizer.learning_rate.numpy()))
        return loss

    monkeypatch.setattr(training.Trainer, "run_epoch", told)
    monkeypatch.setattr(
        "pipeline.captioner.training.Validation.metrics",
        lambda validation: {"val_loss": 1.0, "val_cider_d": next(scores)},
    )
    settings = train_settings(schedule="plateau", learning_rate=0.04, epochs=5)
    run(fresh, (split_of(24, 1), split_of(8, 2)), settings, tmp_path / "state")
    assert rates == pytest.approx([0.04, 0.04, 0.02, 0.02, 0.01])


@pytest.mark.slow
@pytest.mark.parametrize("decoder", sorted(DECODERS))
def test_all_together_it_still_learns(decoder, fresh, train_settings, splits_of, tmp_path):
    everything = {**EVERYTHING, "attention_penalty": 0.2 * DECODERS[decoder].needs_grid}
    settings = train_settings(
        decoder=decoder, units=16, epochs=6, dropout=0.1, precision="mixed_bfloat16", **everything
    )
    splits = splits_of(settings, 80, 1), splits_of(settings, 8, 2)
    _, history = run(fresh, splits, settings, tmp_path / "state")
    losses = [metrics["val_loss"] for metrics in history.epochs]
    assert losses[-1] < 0.8 * losses[0]
    assert all(np.isfinite(metrics["loss"]) for metrics in history.epochs)
