"""What is minimised, against the same worked out by hand."""

import keras
import numpy as np
import pytest
from keras import ops

from pipeline.captioner.batches import pad, shift
from pipeline.captioner.crossentropy import crossentropy
from pipeline.captioner.decoders.base import DecoderSettings
from pipeline.captioner.decoders.find import build
from pipeline.captioner.decoders.scores import NEVER
from pipeline.captioner.objective import PLAIN, Objective, ObjectiveSettings
from pipeline.errors import InputError
from pipeline.text.marks import END, START, UNKNOWN

WORDS, FEATURES = 12, np.random.default_rng(3).normal(size=(3, 5)).astype("float32")
GRIDS = np.random.default_rng(3).normal(size=(3, 2, 3, 5)).astype("float32")
INPUTS, TARGETS, WEIGHTS = shift(
    pad([[START, 5, 7, 9, END], [START, 6, END], [START, 5, UNKNOWN, END]])
)


def objective(name: str = "inject", shared: bool = False, **changes: float) -> Objective:
    keras.utils.set_random_seed(1)
    settings = DecoderSettings.plain(decoder=name, units=8, embedding=6, dropout=0.0)
    shape = FEATURES.shape[1:] if name == "inject" else GRIDS.shape[1:]
    decoder = build(settings, WORDS, shape)
    rng = np.random.default_rng(1)
    decoder.set_weights([rng.normal(0, 0.5, weight.shape) for weight in decoder.get_weights()])
    asked = ObjectiveSettings(**{**PLAIN.model_dump(), **changes})
    made = Objective(decoder, asked, shared)
    made.compile(keras.optimizers.SGD(0.0), crossentropy(), run_eagerly=True)
    return made


def log_probs(made: Objective, features: np.ndarray = FEATURES) -> np.ndarray:
    """Of every word at every place, float64 (b, t, v)."""
    return np.asarray(ops.log_softmax(made.decoder((features, INPUTS))), "float64")


def nats(log_chances: np.ndarray) -> np.ndarray:
    return -np.take_along_axis(log_chances, TARGETS[..., None], axis=-1)[..., 0]


def minimised(made: Objective, features: np.ndarray = FEATURES) -> tuple[float, float]:
    """What a step tells: (the loss that is minimised, nats a word)."""
    logs = made.train_on_batch((features, INPUTS), TARGETS, WEIGHTS, return_dict=True)
    return logs["loss"], logs.get("nats", logs["loss"])


def test_plainly_it_is_the_mean_over_words_that_count():
    made = objective()
    expected = (nats(log_probs(made)) * WEIGHTS).sum() / WEIGHTS.sum()
    assert minimised(made) == pytest.approx((expected, expected), rel=1e-5)


@pytest.mark.parametrize("smoothing", [0.1, 0.6])
def test_smoothing_shares_out_among_the_words_that_can_be_said(smoothing):
    made = objective(label_smoothing=smoothing)
    known = log_probs(made)
    wanted = np.full((*TARGETS.shape, WORDS), smoothing / (WORDS - len(NEVER)))
    wanted[..., list(NEVER)] = 0.0
    np.put_along_axis(
        wanted, TARGETS[..., None],
        np.take_along_axis(wanted, TARGETS[..., None], -1) + 1.0 - smoothing, -1,
    )  # fmt: skip
    counts = WEIGHTS > 0
    smoothed = -(wanted[counts] * known[counts]).sum() / WEIGHTS.sum()
    plain = nats(known)[counts].sum() / WEIGHTS.sum()
    assert minimised(made) == pytest.approx((smoothed, plain), rel=1e-5)
    assert smoothed < 100, "words that are never said have no part in it"


def test_validation_tells_nats_whatever_is_minimised():
    made = objective(label_smoothing=0.3, scheduled_sampling=1.0)
    logs = made.test_on_batch((FEATURES, INPUTS), TARGETS, WEIGHTS, return_dict=True)
    expected = (nats(log_probs(made)) * WEIGHTS).sum() / WEIGHTS.sum()
    assert logs["loss"] == pytest.approx(expected, rel=1e-5)


def test_a_batch_of_several_is_divided_by_the_words_of_all():
    made = objective(shared=True)
    made.update_words.assign(20.0)
    total = (nats(log_probs(made)) * WEIGHTS).sum()
    assert minimised(made) == pytest.approx((total / 20, total / WEIGHTS.sum()), rel=1e-5)


def test_a_batch_without_a_word_that_counts_is_no_nan():
    made = objective(label_smoothing=0.1)
    logs = made.train_on_batch((FEATURES, INPUTS), TARGETS, 0 * WEIGHTS, return_dict=True)
    assert logs["loss"] == logs["nats"] == 0


@pytest.mark.parametrize("name", ["attention", "adaptive", "top_down"])
def test_the_penalty_asks_for_every_place_to_be_looked_at_once(name):
    made = objective(name, attention_penalty=0.7)
    _, looks = made.decoder.attend_all((GRIDS, INPUTS))
    looks = np.asarray(looks, "float64")[..., :6]
    penalty = 0.0
    for caption, words in enumerate([4, 2, 3]):  # read: START and the words before the end
        penalty += ((1 - looks[caption, :words].sum(axis=0)) ** 2).sum()
    plain = (nats(log_probs(made, GRIDS)) * WEIGHTS).sum()
    expected = (plain + 0.7 * penalty) / WEIGHTS.sum(), plain / WEIGHTS.sum()
    assert minimised(made, GRIDS) == pytest.approx(expected, rel=1e-5)


def test_the_penalty_without_a_grid_is_one_line():
    with pytest.raises(InputError, match=r"train\.attention_penalty: expected 0") as caught:
        objective(attention_penalty=0.5)
    assert "Received: 0.5 for inject" in str(caught.value)
    assert "\n" not in str(caught.value)


def mixed(made: Objective, share: float, rows: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """Captions as they are, and with a share of own words."""
    tokens = np.tile(INPUTS[:1], (rows, 1))
    made.own_share.assign(share)
    found = made.mixed(np.tile(FEATURES[:1], (rows, 1)), tokens)
    return tokens, np.asarray(found)


def test_no_word_is_its_own_at_a_share_of_none():
    tokens, found = mixed(objective(scheduled_sampling=1.0), 0.0)
    np.testing.assert_array_equal(found, tokens)


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_own_words_come_as_often_as_asked_and_as_likely_as_they_are(share):
    made = objective(scheduled_sampling=1.0)
    tokens, found = mixed(made, share, rows=4000)
    assert (found[:, 0] == START).all()
    chances = np.exp(log_probs(made))[0]  # of the word after each place
    for place in range(1, tokens.shape[1]):
        true = tokens[0, place]
        expected = share * chances[place - 1]
        expected[true] += 1 - share + expected[END]  # an end of its own is not read
        expected[END] = 0.0
        told = np.bincount(found[:, place], minlength=WORDS) / len(found)
        np.testing.assert_allclose(told, expected, atol=0.04)


def test_own_words_are_read_but_the_true_ones_asked_for():
    made = objective(scheduled_sampling=1.0)
    made.own_share.assign(0.0)
    plain = minimised(made)[0]
    assert plain == pytest.approx(minimised(objective())[0], rel=1e-6)
    made.own_share.assign(1.0)
    mixed_up = minimised(made)[0]
    assert mixed_up != pytest.approx(plain, rel=1e-3)
    assert np.isfinite(mixed_up)
