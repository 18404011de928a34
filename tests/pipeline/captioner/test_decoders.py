"""Every decoder keeps the one interface."""

import keras
import numpy as np
import pytest
from keras import ops

from pipeline.captioner.decoders.base import Decoder, DecoderSettings
from pipeline.captioner.decoders.find import DECODERS, build
from pipeline.captioner.decoders.grid import GridDecoder, lstm
from pipeline.errors import InputError
from pipeline.text.marks import PAD, START, UNKNOWN

WORDS = 12  # of the vocabulary
POOLED, GRID = (5,), (3, 2, 5)
NEVER = (PAD, START, UNKNOWN)
CASES = [(name, GRID if kind.needs_grid else POOLED) for name, kind in sorted(DECODERS.items())]
every_decoder = pytest.mark.parametrize(("name", "shape"), CASES)


@pytest.fixture
def decoder(name: str, shape: tuple[int, ...]) -> Decoder:
    keras.utils.set_random_seed(1)
    made = build(settings(name), WORDS, shape)
    rng = np.random.default_rng(1)
    made.set_weights([rng.normal(0, 0.5, weight.shape) for weight in made.get_weights()])
    return made


def settings(name: str) -> DecoderSettings:
    return DecoderSettings(decoder=name, units=8, embedding=6, dropout=0.5)


def inputs(
    shape: tuple[int, ...], captions: int = 3, words: int = 6
) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    tokens = rng.integers(4, WORDS, (captions, words)).astype("int32")
    tokens[:, 0] = START
    return rng.normal(size=(captions, *shape)).astype("float32"), tokens


def numbers(tensor) -> np.ndarray:
    return ops.convert_to_numpy(tensor)


@every_decoder
def test_all_words_at_once_agrees_with_one_word_at_a_time(decoder, shape):
    features, tokens = inputs(shape)
    at_once = numbers(ops.log_softmax(decoder((features, tokens))))
    state, memory = decoder.start(features), decoder.memory(features)
    for place in range(tokens.shape[1]):
        one, state = decoder.step(tokens[:, place], state, memory)
        np.testing.assert_allclose(numbers(one)[:, 4:], at_once[:, place, 4:], atol=1e-4)
    assert np.ptp(at_once[..., 4:]) > 0.1, "chances that are all alike would prove nothing"


@every_decoder
def test_marks_that_no_caption_contains_have_no_chance(decoder, shape):
    features, tokens = inputs(shape)
    log_probs, _ = decoder.step(tokens[:, 0], decoder.start(features), decoder.memory(features))
    chances = np.exp(numbers(log_probs))
    assert (chances[:, list(NEVER)] == 0).all()
    assert (np.delete(chances, NEVER, axis=1) > 0).all()
    np.testing.assert_allclose(chances.sum(axis=1), 1, atol=1e-5)


@every_decoder
def test_the_picture_matters(decoder, shape):
    features, tokens = inputs(shape)
    scores = numbers(decoder((features, tokens)))
    others = numbers(decoder((features[::-1].copy(), tokens)))
    assert np.abs(scores - others)[0, :, 4:].max() > 1e-2


@every_decoder
def test_later_words_do_not_change_earlier_scores(decoder, shape):
    features, tokens = inputs(shape)
    changed = tokens.copy()
    changed[:, 3:] = 0
    np.testing.assert_allclose(
        numbers(decoder((features, tokens)))[:, :3],
        numbers(decoder((features, changed)))[:, :3],
        atol=1e-5,
    )


@every_decoder
def test_training_begins_at_the_word_frequencies(name, shape):
    decoder = build(settings(name), WORDS, shape)
    counts = np.arange(WORDS) * 10
    decoder.start_output_bias(counts)
    decoder.to_vocabulary.kernel.assign(np.zeros(decoder.to_vocabulary.kernel.shape))
    features, tokens = inputs(shape)
    log_probs, _ = decoder.step(tokens[:, 0], decoder.start(features), decoder.memory(features))
    known = np.delete(counts, NEVER)
    expected = np.tile(known / known.sum(), (3, 1))
    np.testing.assert_allclose(np.delete(np.exp(numbers(log_probs)), NEVER, axis=1), expected, 1e-4)


@every_decoder
def test_nothing_is_dropped_unless_in_training(decoder, shape):
    features, tokens = inputs(shape)
    first = numbers(decoder((features, tokens)))
    np.testing.assert_array_equal(first, numbers(decoder((features, tokens))))
    dropped = numbers(decoder((features, tokens), training=True))
    assert np.abs(first - dropped)[..., 4:].max() > 1e-3


@every_decoder
def test_gradients_reach_every_weight(decoder, shape):
    import tensorflow as tf

    features, tokens = inputs(shape)
    with tf.GradientTape() as tape:
        loss = ops.mean(ops.log_softmax(decoder((features, tokens)))[:, :, 5])
    names = [weight.path for weight in decoder.trainable_weights]
    values = [weight.value for weight in decoder.trainable_weights]
    assert all(layer.built for layer in decoder.layers), "a layer is not used"
    for path, gradient in zip(names, tape.gradient(loss, values), strict=True):
        assert gradient is not None, path
        assert np.abs(numbers(tf.convert_to_tensor(gradient))).max() > 0, path


@every_decoder
def test_weights_saved_and_loaded_score_alike(decoder, name, shape, tmp_path):
    decoder.save_weights(tmp_path / "d.weights.h5")
    again = build(settings(name), WORDS, shape)
    again.load_weights(tmp_path / "d.weights.h5")
    np.testing.assert_array_equal(numbers(decoder(inputs(shape))), numbers(again(inputs(shape))))


@every_decoder
def test_captions_of_one_picture_are_searched_side_by_side(decoder, shape):
    features, tokens = inputs(shape)
    other = np.flip(tokens, axis=1).copy()
    both = np.stack([tokens, other], axis=1).reshape(6, -1)  # two captions a picture
    memory = decoder.memory(features)
    assert all(len(part) == 3 for part in memory), "a picture's memory is kept once"
    together = tuple(ops.repeat(part, 2, axis=0) for part in decoder.start(features))
    alone = [decoder.start(features), decoder.start(features)]
    for place in range(tokens.shape[1]):
        log_probs, together = decoder.step(both[:, place], together, memory)
        for caption, ids in enumerate((tokens, other)):
            expected, alone[caption] = decoder.step(ids[:, place], alone[caption], memory)
            np.testing.assert_allclose(
                numbers(log_probs)[caption::2, 4:], numbers(expected)[:, 4:], atol=1e-5
            )


@pytest.mark.parametrize("name", sorted(DECODERS))
def test_a_decoder_of_a_grid_refuses_pooled_features(name):
    if DECODERS[name].needs_grid:
        with pytest.raises(InputError, match=f"train.decoder: {name} needs a grid") as caught:
            build(settings(name), WORDS, POOLED)
        assert "Set features.pooling: grid" in str(caught.value)
        assert "\n" not in str(caught.value)
    else:
        assert build(settings(name), WORDS, POOLED).feature_shape == POOLED


@pytest.mark.parametrize("name", sorted(name for name in DECODERS if not DECODERS[name].needs_grid))
def test_a_grid_counts_as_its_average_where_it_is_not_attended_to(name):
    keras.utils.set_random_seed(1)
    decoder = build(settings(name), WORDS, POOLED)
    features, tokens = inputs(GRID)
    average = features.mean(axis=(1, 2))
    np.testing.assert_allclose(
        numbers(decoder((features, tokens))), numbers(decoder((average, tokens))), atol=1e-4
    )


attending = pytest.mark.parametrize(
    ("name", "shape"), [(name, GRID) for name, kind in sorted(DECODERS.items()) if kind.needs_grid]
)


@attending
def test_weights_of_the_places_add_up_to_one_at_every_word(decoder, shape):
    assert isinstance(decoder, GridDecoder)
    _, weights = decoder.attend_all(inputs(shape))
    weights = numbers(weights)
    assert weights.shape == (3, 6, 6 + decoder.has_sentinel)
    assert (weights > 0).all()
    np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-5)
    assert np.ptp(weights) > 0.02, "weights that are all alike would prove nothing"


@attending
def test_weights_agree_word_by_word(decoder, shape):
    features, tokens = inputs(shape)
    _, at_once = decoder.attend_all((features, tokens))
    state, memory = decoder.start(features), decoder.memory(features)
    for place in range(tokens.shape[1]):
        _, state, weights = decoder.attend_step(tokens[:, place], state, memory)
        np.testing.assert_allclose(numbers(weights), numbers(at_once)[:, place], atol=1e-5)


@attending
def test_it_matters_where_a_thing_is_but_not_the_order_of_the_places(decoder, shape):
    features, tokens = inputs(shape)
    moved = features.reshape(3, 6, 5)[:, ::-1].reshape(3, *shape).copy()
    scores, weights = decoder.attend_all((features, tokens))
    others, moved_weights = decoder.attend_all((moved, tokens))
    np.testing.assert_allclose(numbers(scores), numbers(others), atol=1e-5)
    np.testing.assert_allclose(
        numbers(weights)[..., :6], numbers(moved_weights)[..., :6][..., ::-1], atol=1e-5
    )


@attending
def test_what_is_seen_is_the_places_by_their_weights(decoder, shape):
    rng = np.random.default_rng(3)
    memory = decoder.memory(inputs(shape)[0])
    query = rng.normal(size=(3, 2, 8)).astype("float32")  # two queries a picture
    seen = decoder.look(query, memory)
    places, keys = (numbers(part) for part in memory[:2])
    to_query, to_weight = numbers(decoder.to_query.kernel), numbers(decoder.to_weight.kernel)
    for picture in range(3):
        for one, asked in enumerate(query[picture]):
            logits = (np.tanh(keys[picture] + asked @ to_query) @ to_weight)[:, 0]
            weights = np.exp(logits) / np.exp(logits).sum()
            np.testing.assert_allclose(numbers(seen.weights)[picture, one], weights, atol=1e-5)
            context = weights @ places[picture]
            np.testing.assert_allclose(numbers(seen.context)[picture, one], context, atol=1e-5)


def test_the_lstm_is_that_of_keras():
    rng = np.random.default_rng(4)
    cell = keras.layers.LSTMCell(3)
    cell.build((None, 5))
    word, hidden, memory = (rng.normal(size=(2, n)).astype("float32") for n in (5, 3, 3))
    expected, (_, expected_cell) = cell(word, [hidden, memory])
    gates = word @ numbers(cell.kernel) + hidden @ numbers(cell.recurrent_kernel)
    found, found_cell = lstm(ops.convert_to_tensor(gates), memory)  # Keras's bias: 1 to forget
    np.testing.assert_allclose(numbers(found), numbers(expected), atol=1e-5)
    np.testing.assert_allclose(numbers(found_cell), numbers(expected_cell), atol=1e-5)


def test_the_sentinel_shuts_the_picture_out_where_its_weight_is_one():
    keras.utils.set_random_seed(1)
    decoder = build(settings("adaptive"), WORDS, GRID)
    features, tokens = inputs(GRID)
    width = decoder.attention_width()
    decoder.to_weight.kernel.assign(np.full((width, 1), 10.0))
    decoder.to_query.kernel.assign(np.zeros((8, width)))
    decoder.to_keys.kernel.assign(np.zeros((8, width)))
    decoder.sentinel_key.kernel.assign(np.zeros((8, width)))
    for layer, sign in ((decoder.to_keys, -1.0), (decoder.sentinel_key, 1.0)):
        layer.bias.assign(np.full(width, sign))
    state, memory = decoder.start(features), decoder.memory(features)
    other = decoder.memory(features + np.arange(6).reshape(3, 2, 1))
    log_probs, _, weights = decoder.attend_step(tokens[:, 0], state, memory)
    np.testing.assert_allclose(numbers(weights)[:, -1], 1, atol=1e-5)
    others, _, _ = decoder.attend_step(tokens[:, 0], state, other)
    np.testing.assert_allclose(numbers(log_probs), numbers(others), atol=1e-5)
