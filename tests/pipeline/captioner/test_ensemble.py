"""Several decoders score words together."""

import numpy as np
import pytest
from keras import ops

from pipeline.captioner.captioner import Captioner, SearchSettings
from pipeline.captioner.decoders.base import Decoder
from pipeline.captioner.decoders.ensemble import Ensemble
from pipeline.captioner.decoders.find import DECODERS, build
from tests.quick import some_quick

POOLED, GRID = (5,), (2, 3, 5)
CASES = [(name, GRID if kind.needs_grid else POOLED) for name, kind in sorted(DECODERS.items())]
BOTH_KINDS = [("inject", POOLED), ("adaptive", GRID)]
SEARCH = SearchSettings.plain(beam_width=3, length_penalty=0.9, max_words=6)


@pytest.fixture
def make(train_settings, vocabulary):
    """Makes decoders of one shape whose weights depend on a seed."""

    def member(name: str, shape: tuple[int, ...], seed: int) -> Decoder:
        decoder = build(train_settings(decoder=name), len(vocabulary), shape)
        rng = np.random.default_rng(seed)
        decoder.set_weights([rng.normal(0, 0.7, one.shape) for one in decoder.get_weights()])
        return decoder

    return member


def pictures(shape: tuple[int, ...], count: int = 4) -> np.ndarray:
    return np.random.default_rng(3).normal(size=(count, *shape)).astype("float32")


@pytest.mark.parametrize(("name", "shape"), some_quick(CASES, quick=BOTH_KINDS))
def test_the_mean_of_the_members_log_probabilities_made_to_add_up_to_one(make, name, shape):
    members = [make(name, shape, seed) for seed in (1, 2, 3)]
    ensemble = Ensemble(members)
    features, tokens = pictures(shape), np.full((4,), 5, "int32")

    def step(decoder):
        state, memory = decoder.start(features), decoder.memory(features)
        _, state = decoder.step(np.full((4,), 1, "int32"), state, memory)
        return ops.convert_to_numpy(decoder.step(tokens, state, memory)[0]).astype("float64")

    mean = np.mean([step(member) for member in members], axis=0)
    expected = mean - np.log(np.exp(mean).sum(axis=1, keepdims=True))
    found = step(ensemble)
    possible = expected > -1e6
    np.testing.assert_allclose(found[possible], expected[possible], atol=1e-4)
    assert (found[~possible] < -1e6).all()


@pytest.mark.parametrize(("name", "shape"), BOTH_KINDS)
def test_whole_captions_agree_with_one_word_at_a_time(make, name, shape, vocabulary):
    ensemble = Ensemble([make(name, shape, seed) for seed in (1, 2)])
    captioner = Captioner(ensemble, vocabulary)
    features = pictures(shape)
    for picture, captions in zip(features, captioner.caption(features, SEARCH), strict=True):
        ids = vocabulary.encode(list(captions[0].words))  # with both marks
        tokens = np.array([ids], "int32")
        scores = ops.convert_to_numpy(ops.log_softmax(ensemble((picture[None], tokens[:, :-1]))))
        log_prob = scores[0, np.arange(len(ids) - 1), tokens[0, 1:]].sum()
        assert captions[0].log_prob == pytest.approx(log_prob, abs=1e-3)


def test_members_that_are_the_same_caption_as_one_alone(make, vocabulary):
    one = make("inject", POOLED, 1)
    features = pictures(POOLED)
    alone = Captioner(one, vocabulary).caption(features, SEARCH)
    found = Captioner(Ensemble([one, one]), vocabulary).caption(features, SEARCH)
    assert [[c.words for c in group] for group in found] == [
        [c.words for c in group] for group in alone
    ]
    for group, expected in zip(found, alone, strict=True):
        np.testing.assert_allclose(
            [c.log_prob for c in group], [c.log_prob for c in expected], atol=1e-4
        )


def test_where_it_looks_is_the_mean_of_where_its_members_look(make, vocabulary):
    members = [make("adaptive", GRID, seed) for seed in (1, 2)]
    features, words = pictures(GRID, 1), [["red", "dog"]]
    ensemble = Captioner(Ensemble(members), vocabulary)
    assert ensemble.attends
    [looks] = ensemble.looks(features, words)
    each = [Captioner(member, vocabulary).looks(features, words)[0] for member in members]
    np.testing.assert_allclose(looks.maps, np.mean([one.maps for one in each], axis=0), atol=1e-6)
    np.testing.assert_allclose(looks.maps.sum(axis=(1, 2)) + looks.elsewhere, 1, atol=1e-5)
