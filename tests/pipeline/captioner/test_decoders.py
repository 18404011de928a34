"""Every decoder keeps the one interface."""

import keras
import numpy as np
import pytest
from keras import ops

from pipeline.captioner.decoders.base import Decoder, DecoderSettings
from pipeline.captioner.decoders.find import DECODERS, build
from pipeline.text.marks import PAD, START, UNKNOWN

WORDS, WIDTH = 12, 5  # vocabulary and features
NEVER = (PAD, START, UNKNOWN)
pytestmark = pytest.mark.parametrize("name", sorted(DECODERS))


@pytest.fixture
def decoder(name: str) -> Decoder:
    keras.utils.set_random_seed(1)
    made = build(settings(name), WORDS, (WIDTH,))
    rng = np.random.default_rng(1)
    made.set_weights([rng.normal(0, 0.5, weight.shape) for weight in made.get_weights()])
    return made


def settings(name: str) -> DecoderSettings:
    return DecoderSettings(decoder=name, units=8, embedding=6, dropout=0.5)


def inputs(captions: int = 3, words: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    tokens = rng.integers(4, WORDS, (captions, words)).astype("int32")
    tokens[:, 0] = START
    return rng.normal(size=(captions, WIDTH)).astype("float32"), tokens


def numbers(tensor) -> np.ndarray:
    return ops.convert_to_numpy(tensor)


def test_all_words_at_once_agrees_with_one_word_at_a_time(decoder):
    features, tokens = inputs()
    at_once = numbers(ops.log_softmax(decoder((features, tokens))))
    state = decoder.start(features)
    for place in range(tokens.shape[1]):
        one, state = decoder.step(tokens[:, place], state)
        np.testing.assert_allclose(numbers(one)[:, 4:], at_once[:, place, 4:], atol=1e-4)
    assert np.ptp(at_once[..., 4:]) > 0.1, "chances that are all alike would prove nothing"


def test_marks_that_no_caption_contains_have_no_chance(decoder):
    features, tokens = inputs()
    log_probs, _ = decoder.step(tokens[:, 0], decoder.start(features))
    chances = np.exp(numbers(log_probs))
    assert (chances[:, list(NEVER)] == 0).all()
    assert (np.delete(chances, NEVER, axis=1) > 0).all()
    np.testing.assert_allclose(chances.sum(axis=1), 1, atol=1e-5)


def test_the_picture_matters(decoder):
    features, tokens = inputs()
    scores = numbers(decoder((features, tokens)))
    others = numbers(decoder((features[::-1].copy(), tokens)))
    assert np.abs(scores - others)[0, :, 4:].max() > 1e-2


def test_later_words_do_not_change_earlier_scores(decoder):
    features, tokens = inputs()
    changed = tokens.copy()
    changed[:, 3:] = 0
    np.testing.assert_allclose(
        numbers(decoder((features, tokens)))[:, :3],
        numbers(decoder((features, changed)))[:, :3],
        atol=1e-5,
    )


def test_training_begins_at_the_word_frequencies(name):
    decoder = build(settings(name), WORDS, (WIDTH,))
    counts = np.arange(WORDS) * 10
    decoder.start_output_bias(counts)
    decoder.to_vocabulary.kernel.assign(np.zeros((8, WORDS)))
    features, tokens = inputs()
    log_probs, _ = decoder.step(tokens[:, 0], decoder.start(features))
    known = np.delete(counts, NEVER)
    expected = np.tile(known / known.sum(), (3, 1))
    np.testing.assert_allclose(np.delete(np.exp(numbers(log_probs)), NEVER, axis=1), expected, 1e-4)


def test_nothing_is_dropped_unless_in_training(decoder):
    features, tokens = inputs()
    first = numbers(decoder((features, tokens)))
    np.testing.assert_array_equal(first, numbers(decoder((features, tokens))))
    dropped = numbers(decoder((features, tokens), training=True))
    assert np.abs(first - dropped)[..., 4:].max() > 1e-3


def test_gradients_reach_every_weight(decoder):
    import tensorflow as tf

    features, tokens = inputs()
    with tf.GradientTape() as tape:
        loss = ops.mean(ops.log_softmax(decoder((features, tokens)))[:, :, 5])
    names = [weight.path for weight in decoder.trainable_weights]
    values = [weight.value for weight in decoder.trainable_weights]
    assert all(layer.built for layer in decoder.layers), "a layer is not used"
    for path, gradient in zip(names, tape.gradient(loss, values), strict=True):
        assert gradient is not None, path
        assert np.abs(numbers(tf.convert_to_tensor(gradient))).max() > 0, path


def test_weights_saved_and_loaded_score_alike(decoder, name, tmp_path):
    decoder.save_weights(tmp_path / "d.weights.h5")
    again = build(settings(name), WORDS, (WIDTH,))
    again.load_weights(tmp_path / "d.weights.h5")
    np.testing.assert_array_equal(numbers(decoder(inputs())), numbers(again(inputs())))
