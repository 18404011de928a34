"""Self-critical training: its gradient is the expected reward's, it helps, and it is guarded."""

from itertools import product
from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from keras import ops

from pipeline import backend
from pipeline.captioner import self_critical as module
from pipeline.captioner import training
from pipeline.captioner.batches import Captions, Split
from pipeline.captioner.captioner import Captioner, SearchSettings
from pipeline.captioner.checkpoint import Checkpoint
from pipeline.captioner.decoders.find import DECODERS, build
from pipeline.captioner.decoders.scores import IMPOSSIBLE, NEVER
from pipeline.captioner.self_critical import (
    Policy,
    Sampler,
    SelfCriticalSettings,
    Step,
    Trainer,
    advantage,
    draw,
    fit_self_critical,
    surrogate,
)
from pipeline.errors import InputError
from pipeline.progress import Progress
from pipeline.text.marks import END, PAD, START
from pipeline.text.vocabulary import Vocabulary
from tests.quick import some_quick

SETTINGS = {
    "epochs": 3,
    "patience": 10,
    "baseline": "mean",
    "samples": 4,
    "pictures": 8,
    "learning_rate": 0.01,
    "clip_norm": 5.0,
    "ema": 0.0,
    "max_words": 9,
}


class Killed(Exception):  # noqa: N818
    """What a test raises in the middle of a training."""


def self_critical(**changes) -> SelfCriticalSettings:
    return SelfCriticalSettings(**{**SETTINGS, **changes})


# --- A world of two words, small enough to tell every caption ---


class Table(keras.Model):
    """A decoder whose weights are the logits of each word after each other one."""

    def __init__(self, logits: np.ndarray) -> None:
        super().__init__()
        self.table = self.add_weight(logits.shape, name="table")
        self.table.assign(logits)
        never = np.zeros(len(logits), "float32")
        never[list(NEVER)] = IMPOSSIBLE
        self.never = never
        self.built = True

    def call(self, inputs, training=False):
        return ops.take(self.table, inputs[1], axis=0) + self.never

    def start(self, features):
        return (features,)

    def memory(self, features):
        return ()

    def step(self, tokens, state, memory=()):
        logits = ops.take(self.table, tokens, axis=0) + self.never
        return ops.log_softmax(logits, axis=-1), state


WORLD = Vocabulary.build([["red", "dog"]], min_count=1)  # ids: dog 4, red 5
MAX_WORDS = 2
POSSIBLE = (END, 4, 5)


def every_caption() -> np.ndarray:
    """All that can be sampled, int (n, 3): up to three choices, those after the end padded."""
    found = set()
    for choices in product(POSSIBLE, repeat=MAX_WORDS + 1):
        length = choices.index(END) + 1 if END in choices else len(choices)
        found.add(choices[:length] + (PAD,) * (len(choices) - length))
    return np.array(sorted(found), "int32")


def probabilities(table: np.ndarray, captions: np.ndarray) -> np.ndarray:
    """Of each caption, float64 (n,)."""
    logits = table.astype("float64").copy()
    logits[:, list(NEVER)] = -np.inf
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    steps = chances[np.insert(captions, 0, START, axis=1)[:, :-1], captions]
    return np.where(captions == PAD, 1.0, steps).prod(axis=1)


def gradient(table: np.ndarray, captions: np.ndarray, rewards: np.ndarray) -> np.ndarray:
    """Of the expected reward, by differences, (v, v)."""
    result = np.zeros(table.shape)
    for place in np.ndindex(*table.shape):
        nudged = [table.astype("float64").copy() for _ in range(2)]
        nudged[0][place] += 1e-5
        nudged[1][place] -= 1e-5
        up, down = (probabilities(one, captions) @ rewards for one in nudged)
        result[place] = (up - down) / 2e-5
    return result


@pytest.fixture
def world():
    """A trainer of a table by plain gradient ascent, rate 1, and what its captions are worth."""
    logits = np.random.default_rng(1).normal(0, 1, (len(WORLD), len(WORLD))).astype("float32")

    def make(baseline: str = "mean", samples: int = 4):
        split = Split(np.zeros((3, 1), "float32"), Captions(np.arange(3), [[]] * 3),
                      [[["red", "dog"]], [["dog"]], [["red"]]])  # fmt: skip
        captioner = Captioner(Table(logits), WORLD)
        chosen = self_critical(baseline=baseline, samples=samples, max_words=MAX_WORDS)
        trainer = Trainer(captioner, split, chosen, seed=1)
        trainer.policy.compile(keras.optimizers.SGD(1.0))
        return trainer

    return logits, make


def moved(trainer: Trainer, logits: np.ndarray) -> np.ndarray:
    return ops.convert_to_numpy(trainer.policy.decoder.table) - logits


def test_a_step_over_all_captions_is_the_gradient_of_the_expected_reward(world):
    logits, make = world
    captions = every_caption()
    assert probabilities(logits, captions).sum() == pytest.approx(1)
    trainer = make(samples=len(captions))
    rewards = trainer.reward(np.array([0]), captions[None])[0]
    assert len(set(rewards.round(6))) > 3
    # Each caption once, and not as often as it would be sampled: weighted by how often.
    weighted = rewards * probabilities(logits, captions) * len(captions)
    trainer.learn(np.zeros((1, 1), "float32"), captions[None], weighted[None])
    np.testing.assert_allclose(
        moved(trainer, logits), gradient(logits, captions, rewards), atol=1e-5
    )


@pytest.mark.parametrize("baseline", ["mean", "greedy"])
def test_steps_of_samples_are_that_gradient_on_average(world, baseline):
    logits, make = world
    captions = every_caption()
    trainer = make(baseline, samples=3)
    rewards = trainer.reward(np.array([0]), captions[None])[0]
    expected = gradient(logits, captions, rewards)
    step = trainer.step(np.zeros(20_000, "int64"), np.random.default_rng(1))
    assert step.rewards.shape == (20_000, 3)
    found = moved(trainer, logits)
    assert np.abs(found - expected).max() < 0.03 * np.abs(expected).max()


def test_captions_are_sampled_as_often_as_they_are_likely(world):
    logits, make = world
    captions = every_caption()
    sampled = make(samples=50).sampler.sample(
        np.zeros((400, 1), "float32"), np.random.default_rng(1)
    )
    assert sampled.greedy is None
    found = sampled.tokens.reshape(-1, MAX_WORDS + 1)
    shares = [(found == caption).all(axis=1).mean() for caption in captions]
    assert sum(shares) == pytest.approx(1)  # nothing else is sampled
    np.testing.assert_allclose(shares, probabilities(logits, captions), atol=0.01)


# --- The parts ---


@given(
    arrays.arrays("float32", st.integers(1, 30), elements=st.floats(0, 1, width=32)).filter(
        lambda probs: probs.sum() > 1e-3
    ),
    st.floats(0, 1, exclude_max=True, width=32),
)
@settings(deadline=None, max_examples=50)
def test_a_word_is_drawn_where_its_probability_begins(probs, chance):
    probs = probs / probs.sum()
    word = int(draw(ops.convert_to_tensor(probs), ops.convert_to_tensor(np.float32(chance))))
    reached = probs.astype("float64").cumsum()
    assert probs[word] > 0
    assert reached[word] - probs[word] <= chance * reached[-1] + 1e-5
    assert reached[word] >= chance * reached[-1] - 1e-5


def test_the_last_word_drawn_is_one_that_is_possible():
    probs = np.array([[0, 0.5, 0.5, 0, 0], [0, 0, 0, 1, 0]], "float32")
    almost_one = np.nextafter(np.float32(1), np.float32(0))
    assert np.array(draw(probs, np.full(2, almost_one))).tolist() == [2, 3]
    assert np.array(draw(probs, np.full(2, 1.0, "float32"))).tolist() == [2, 3]
    assert np.array(draw(probs, np.zeros(2, "float32"))).tolist() == [1, 3]


def test_the_mean_leaves_out_the_own_sample():
    found = advantage(np.array([[1.0, 2.0, 6.0], [3.0, 3.0, 3.0]]))
    assert found.tolist() == [[1 - 4, 2 - 3.5, 6 - 1.5], [0, 0, 0]]


def test_the_greedy_baseline_is_the_greedy_captions_reward():
    found = advantage(np.array([[1.0, 2.0], [3.0, 5.0]]), np.array([2.0, 1.0]))
    assert found.tolist() == [[-1, 0], [2, 4]]


TOKENS = np.array([[[7, 9, 2, 0, 0], [2, 0, 0, 0, 0]], [[7, 7, 7, 2, 0], [8, 2, 0, 0, 0]]])


def test_captions_become_a_weighted_cross_entropy():
    [group] = surrogate(TOKENS, np.array([[4.0, -8.0], [0.0, 2.0]]), groups=1)
    assert group.pictures.tolist() == [0, 0, 1, 1]
    assert group.inputs.tolist() == [[1, 7, 9, 2], [1, 2, 0, 0], [1, 7, 7, 7], [1, 8, 2, 0]]
    assert group.targets.tolist() == [[7, 9, 2, 0], [2, 0, 0, 0], [7, 7, 7, 2], [8, 2, 0, 0]]
    assert group.weights.tolist() == [[1, 1, 1, 0], [-2, 0, 0, 0], [0, 0, 0, 0], [0.5, 0.5, 0, 0]]


def test_captions_are_grouped_by_their_length():
    short, long = surrogate(TOKENS, np.array([[4.0, -8.0], [0.0, 2.0]]), groups=2)
    assert short.pictures.tolist() == [0, 1]
    assert short.targets.tolist() == [[2, 0], [8, 2]]
    assert short.inputs.tolist() == [[1, 2], [1, 8]]
    assert short.weights.tolist() == [[-2, 0], [0.5, 0.5]]
    assert long.pictures.tolist() == [0, 1]
    assert long.targets.tolist() == [[7, 9, 2, 0], [7, 7, 7, 2]]
    assert len(surrogate(TOKENS, np.ones((2, 2)), groups=9)) == 4  # a caption each, and no more


@pytest.mark.parametrize(("multiple", "width"), [(1, 4), (2, 4), (3, 5), (4, 4)])
def test_lengths_are_multiples_as_far_as_captions_go(multiple, width):
    advantages = np.array([[4.0, -8.0], [0.0, 2.0]])
    [own], [padded] = (surrogate(TOKENS, advantages, 1, number) for number in (1, multiple))
    assert padded.targets.shape == (4, width)
    np.testing.assert_array_equal(padded.weights[:, :4], own.weights)
    assert not padded.weights[:, 4:].any()


# --- Real decoders in the tiny world ---


@pytest.fixture(scope="module")
def decoder_of(vocabulary, train_settings):
    """Make a captioner with fresh weights, by the decoder's name."""

    def make(name: str = "inject", **changes) -> Captioner:
        backend.seed(1)
        shape = (2, 3, 5) if DECODERS[name].needs_grid else (5,)
        return Captioner(
            build(train_settings(decoder=name, **changes), len(vocabulary), shape), vocabulary
        )

    return make


@pytest.mark.parametrize(
    "name", some_quick(sorted(DECODERS), quick=["inject", "merge", "adaptive"])
)
def test_what_is_differentiated_is_what_was_sampled_from(name, decoder_of, split_of, grid_split_of):
    """Log-probabilities of the sampled words, word by word and all at once, without dropout."""
    decoder = decoder_of(name, dropout=0.5).decoder
    split = (grid_split_of if DECODERS[name].needs_grid else split_of)(3, 1)
    tokens = Sampler(decoder, 2, 5, greedy=False).sample(
        split.features, np.random.default_rng(1)
    ).tokens  # (3, 2, 6)  # fmt: skip
    for pictures, inputs, targets, _ in surrogate(tokens, np.ones((3, 2)), groups=2):
        [logits] = Policy(decoder)((split.features, ((pictures, inputs),)), training=True)
        at_once = np.array(ops.log_softmax(logits))
        features = split.features[pictures]
        state, memory = decoder.start(features), decoder.memory(features)
        for place in range(targets.shape[1]):
            log_probs, state = decoder.step(inputs[:, place], state, memory)
            going = targets[:, place] != PAD
            np.testing.assert_allclose(np.array(log_probs)[going], at_once[going, place], atol=1e-4)


def test_the_greedy_caption_is_that_of_the_search(decoder_of, split_of):
    captioner = decoder_of(units=16)
    features = split_of(12, 1).features
    sampler = Sampler(captioner.decoder, 2, 9, greedy=True)
    sampled = sampler.sample(features, np.random.default_rng(1))
    assert sampled.tokens.shape == (12, 2, 10)
    assert sampled.greedy.shape == (12, 1, 10)
    search = SearchSettings.plain(beam_width=1, length_penalty=0.0, max_words=9)
    for [ids], [caption] in zip(
        sampled.greedy.tolist(), captioner.caption(features, search), strict=True
    ):
        assert tuple(captioner.vocabulary.decode(ids))[:9] == caption.words


def test_what_is_sampled_depends_on_the_numbers_alone(decoder_of, split_of):
    decoder, features = decoder_of().decoder, split_of(6, 1).features
    both = Sampler(decoder, 3, 9, greedy=True)
    alone = Sampler(decoder, 3, 9, greedy=False)
    one = alone.sample(features, np.random.default_rng(5)).tokens
    assert np.array_equal(one, both.sample(features, np.random.default_rng(5)).tokens)
    assert not np.array_equal(one, alone.sample(features, np.random.default_rng(6)).tokens)
    # A picture's captions do not change with the pictures beside it.
    numbers = np.random.default_rng(5).random((6, 3, 10), "float32")
    assert np.array_equal(one[2:4], alone.predict_on_batch((features[2:4], numbers[2:4])))


@pytest.fixture(scope="module")
def begun(decoder_of, split_of, train_settings, tmp_path_factory):
    """Train with cross-entropy, not to the end; return how to make that captioner again."""
    captioner = decoder_of(units=12)
    folder = tmp_path_factory.mktemp("begun") / "state"
    chosen = train_settings(units=12, epochs=4)
    training.fit(captioner, split_of(32, 1), split_of(16, 2), chosen, folder, lambda told: None)

    def again() -> Captioner:
        copy = decoder_of(units=12)
        training.fit(copy, split_of(32, 1), split_of(16, 2), chosen, folder, lambda told: None)
        return copy

    return again


@pytest.fixture
def refine(begun, split_of, monkeypatch):
    """Train on from there, self-critically."""

    def run(chosen, folder: Path, on_epoch=lambda metrics: None, seed: int = 1):
        captioner = begun()
        splits = split_of(32, 1), split_of(16, 2)
        monkeypatch.setattr(module, "GROUPS", 1)  # more take longer to compile than they save here
        return captioner, fit_self_critical(captioner, *splits, chosen, seed, folder, on_epoch)

    return run


def assert_same_weights(one: Captioner, other: Captioner) -> None:
    pairs = zip(one.decoder.get_weights(), other.decoder.get_weights(), strict=True)
    assert all(np.array_equal(*pair) for pair in pairs)


@pytest.mark.parametrize("baseline", ["mean", pytest.param("greedy", marks=pytest.mark.slow)])
def test_it_raises_cider_d_above_its_start_and_captions_keep_their_end(refine, tmp_path, baseline):
    epochs = 20 if baseline == "mean" else 40  # the guard lets the other begin anew more often
    chosen = self_critical(baseline=baseline, epochs=epochs, patience=epochs)
    _, history = refine(chosen, tmp_path / "state")
    start, *soon = history.epochs[:21]
    assert max(metrics["val_cider_d"] for metrics in soon) > 1.3 * start["val_cider_d"]

    def mean(name: str, epochs: list[dict[str, float]]) -> float:
        return float(np.mean([metrics[name] for metrics in epochs]))

    first, last = history.epochs[1:6], history.epochs[-5:]
    assert mean("reward", soon[-5:]) > 1.4 * mean("reward", first)
    assert mean("cut_share", last) < mean("cut_share", first)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_no_epochs_leave_the_decoder_as_it_was(refine, begun, tmp_path, monkeypatch):
    captioner, history = refine(self_critical(epochs=0), tmp_path / "state")
    assert_same_weights(captioner, begun())
    assert (len(history.epochs), history.best) == (1, 0)
    assert set(history.epochs[0]) == {"val_loss", "val_cider_d"}
    kept = contents(tmp_path / "state")
    monkeypatch.setattr(Checkpoint, "keep", lambda *_: pytest.fail("not done before"))
    assert refine(self_critical(epochs=0), tmp_path / "state")[1] == history
    assert contents(tmp_path / "state") == kept


# --- The guard ---


@pytest.fixture
def judged(monkeypatch):
    """Let validation tell given scores; return the weights that each was told of."""
    weights = []

    def judge(*scores: float):
        told = iter(scores)

        def metrics(validation) -> dict[str, float]:
            weights.append(validation.captioner.decoder.get_weights())
            return {"val_loss": 1.0, "val_cider_d": next(told)}

        monkeypatch.setattr("pipeline.captioner.self_critical.Validation.metrics", metrics)
        return weights

    return judge


def assert_weights(captioner: Captioner, expected: list[np.ndarray]) -> None:
    pairs = zip(captioner.decoder.get_weights(), expected, strict=True)
    assert all(np.array_equal(*pair) for pair in pairs)


@pytest.mark.slow
def test_where_nothing_is_better_than_the_start_the_start_comes_back(
    refine, begun, judged, tmp_path
):
    weights = judged(0.5, 0.4, 0.3)
    captioner, history = refine(self_critical(epochs=2), tmp_path / "state")
    assert history.best == 0
    assert_weights(captioner, weights[0])
    assert_same_weights(captioner, begun())


@pytest.fixture
def begins(monkeypatch):
    """Note the weights and the learning rate with which each epoch begins."""
    noted = []
    run_epoch = Trainer.run_epoch

    def noting(trainer, epoch, progress):
        rate = float(ops.convert_to_numpy(trainer.policy.optimizer.learning_rate))
        noted.append((trainer.policy.get_weights(), rate))
        return run_epoch(trainer, epoch, progress)

    monkeypatch.setattr(Trainer, "run_epoch", noting)
    return noted


def test_the_best_weights_come_back_at_half_the_rate_below_the_start_and_at_the_end(
    refine, judged, begins, tmp_path
):
    weights = judged(0.5, 0.6, 0.491, 0.489, 0.6)
    captioner, history = refine(self_critical(epochs=9, patience=3), tmp_path / "state")
    rates = [rate for _, rate in begins]
    assert rates == pytest.approx([0.01, 0.01, 0.01, 0.005])
    went_on, came_back = begins[2][0], begins[3][0]
    assert all(map(np.array_equal, went_on, weights[2]))  # 0.491 is below the start by chance
    assert all(map(np.array_equal, came_back, weights[1]))

    assert [len(history.epochs), history.best] == [5, 1]  # epoch 0 counted; as good is no better
    assert_weights(captioner, weights[1])
    assert not np.array_equal(weights[1][0], weights[4][0])


@pytest.fixture
def stepped(monkeypatch):
    """Note the weights after each step."""
    noted = []
    step = Trainer.step

    def noting(trainer, rows, rng):
        done = step(trainer, rows, rng)
        noted.append(trainer.policy.get_weights())
        return done

    monkeypatch.setattr(Trainer, "step", noting)
    return noted


def average(weights: list[list[np.ndarray]], ema: float) -> list[np.ndarray]:
    """Average the weights after each of some steps: of `ema` those before, the rest the new."""
    found = weights[0]
    for own in weights[1:]:
        found = [ema * one + (1 - ema) * other for one, other in zip(found, own, strict=True)]
    return found


def test_the_average_is_judged_and_kept_and_training_goes_on_from_its_own_weights(
    refine, judged, begins, stepped, tmp_path
):
    weights = judged(0.5, 0.6, 0.55, 0.4, 0.55)
    captioner, _ = refine(self_critical(epochs=4, ema=0.7), tmp_path / "state")
    assert len(stepped) == 16

    def assert_near(found: list[np.ndarray], expected: list[np.ndarray]) -> None:
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-6)

    assert_near(weights[1], average(stepped[:4], 0.7))
    assert_near(weights[2], average(stepped[:8], 0.7))
    assert np.abs(weights[1][0] - stepped[3][0]).max() > 1e-3
    went_on, came_back = begins[1][0], begins[3][0]
    assert all(map(np.array_equal, went_on, stepped[3]))
    assert all(map(np.array_equal, came_back, weights[1])), "the third ended below the start"
    assert_near(weights[4], average(stepped[12:], 0.7))  # begun anew with the weights
    assert_weights(captioner, weights[1])


@pytest.mark.slow
@pytest.mark.parametrize("ema", [0.0, 0.7])
def test_killed_and_continued_is_as_undisturbed(refine, judged, begins, tmp_path, monkeypatch, ema):
    """After an ordinary epoch, and in the middle of one that follows on one taken back."""
    chosen = self_critical(epochs=3, ema=ema, pictures=7)

    def die(metrics) -> None:
        raise Killed

    def die_in_the_middle():
        # Five steps an epoch, the last one of four pictures.
        step, left = Trainer.step, iter(range(5 + 2))

        def steps(trainer, rows, rng):
            if next(left, None) is None:
                raise Killed
            return step(trainer, rows, rng)

        return steps

    judged(0.5, 0.6, 0.4, 0.7)
    with pytest.raises(Killed):
        refine(chosen, tmp_path / "killed", die)
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "step", die_in_the_middle())
        with pytest.raises(Killed):
            refine(chosen, tmp_path / "killed")
    assert begins[2][1] == pytest.approx(0.005)
    told: list[dict[str, float]] = []
    killed, history = refine(chosen, tmp_path / "killed", told.append)
    assert told == history.epochs[1:]  # those before the kill are told too

    judged(0.5, 0.6, 0.4, 0.7)
    whole, undisturbed = refine(chosen, tmp_path / "whole")
    assert history == undisturbed
    assert_same_weights(killed, whole)
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


def test_a_loss_that_is_no_number_ends_it(decoder_of, split_of, monkeypatch):
    def step(trainer, rows, rng) -> Step:
        return Step(np.zeros((len(rows), 4)), cut=0, loss=float("nan"))

    monkeypatch.setattr(Trainer, "step", step)
    trainer = Trainer(decoder_of(), split_of(20, 1), self_critical(), 1)
    with (
        Progress("test", 20, "pictures") as progress,
        pytest.raises(
            InputError, match=r"epoch 2 .*nan.*lower train\.self_critical\.learning_rate"
        ),
    ):
        trainer.run_epoch(2, progress)


def test_the_order_of_the_pictures_and_the_samples_are_drawn_apart(
    decoder_of, split_of, monkeypatch
):
    seeds, make = [], np.random.default_rng
    monkeypatch.setattr(Trainer, "step", lambda *_: Step(np.zeros((20, 4)), cut=0, loss=0.0))
    trainer = Trainer(decoder_of(), split_of(20, 1), self_critical(), 1)
    monkeypatch.setattr(np.random, "default_rng", lambda seed: seeds.append(seed) or make(seed))
    with Progress("test", 20, "pictures") as progress:
        trainer.run_epoch(2, progress)
    firsts = [make(seed).random() for seed in seeds]  # [1, 2] and [1, 2, 0] are the same
    assert len(firsts) > 2
    assert len(set(firsts)) == len(firsts)


def test_a_step_is_compiled_beforehand_for_captions_of_any_length(
    decoder_of, split_of, monkeypatch
):
    if backend.jit():
        pytest.skip("XLA compiles for every length")
    calls, call = [], Policy.call
    monkeypatch.setattr(
        Policy, "call", lambda *given, **more: calls.append(1) or call(*given, **more)
    )
    captioner = decoder_of()
    before = captioner.decoder.get_weights()
    trainer = Trainer(captioner, split_of(20, 1), self_critical(), 1)
    assert all(map(np.array_equal, before, captioner.decoder.get_weights()))
    memory = [ops.convert_to_numpy(value) for value in trainer.policy.optimizer.variables]
    assert all(np.abs(value).max() == 0 for value in memory if value.ndim)
    assert int(trainer.policy.optimizer.iterations) == 0
    compiled = len(calls)
    for rows in (np.arange(8), np.arange(4), np.arange(12)):
        trainer.step(rows, np.random.default_rng(len(rows)))
    assert len(calls) == compiled > 0
    few = Trainer(captioner, split_of(9, 1), self_critical(samples=2), 1)
    compiled = len(calls)
    for rows in (np.arange(1), np.arange(8)):  # two captions are fewer groups
        few.step(rows, np.random.default_rng(len(rows)))
    assert len(calls) == compiled


@pytest.mark.parametrize(
    ("pictures", "ema", "warns"),
    [(5000, 0.998, False), (500, 0.998, True), (500, 0.98, False), (60, 0.0, False)],
)
@pytest.mark.parametrize(("epochs", "patience"), [(5, 5), (5, 40), (40, 5)])
def test_an_average_that_would_hardly_move_is_told(pictures, ema, warns, epochs, patience, caplog):
    settings = self_critical(ema=ema, epochs=epochs, patience=patience, pictures=64)
    settings.warn_of_average(pictures)
    assert bool(caplog.text) == warns
    assert not warns or "Lower ema: 0.979 reaches back 6 epochs" in caplog.text
    which = "patience" if patience == 5 else "all"
    assert not warns or f"after 5 epochs ({which}) the average" in caplog.text
    caplog.clear()
    self_critical(ema=ema, epochs=0).warn_of_average(pictures)
    assert not caplog.text


def test_order_and_samples_depend_on_seed_and_epoch_and_every_picture_comes_once(
    decoder_of, split_of, monkeypatch
):
    seen: list[tuple[list[int], float]] = []

    def step(trainer, rows, rng) -> Step:
        seen.append((rows.tolist(), rng.random()))
        return Step(np.zeros((len(rows), 4)), cut=0, loss=0.0)

    monkeypatch.setattr(Trainer, "step", step)
    captioner, train = decoder_of(), split_of(20, 1)

    def epoch(seed: int, number: int) -> list[tuple[list[int], float]]:
        seen.clear()
        with Progress("test", 20, "pictures") as progress:
            Trainer(captioner, train, self_critical(), seed).run_epoch(number, progress)
        return list(seen)

    first = epoch(1, 1)
    assert [len(rows) for rows, _ in first] == [8, 8, 4]
    assert sorted(row for rows, _ in first for row in rows) == list(range(20))
    assert len({chance for _, chance in first}) == 3
    assert epoch(1, 1) == first
    for other in (epoch(1, 2), epoch(2, 1)):
        for (rows, chance), (other_rows, other_chance) in zip(first, other, strict=True):
            assert rows != other_rows
            assert chance != other_chance


def test_half_precision_is_told(begun, split_of, tmp_path):
    captioner = begun()
    captioner.decoder.dtype_policy = "mixed_float16"
    splits = split_of(8, 1), split_of(8, 2)
    with pytest.raises(InputError, match=r"expected float32 or mixed_bfloat16.*epochs to 0"):
        fit_self_critical(captioner, *splits, self_critical(), 1, tmp_path, lambda metrics: None)
