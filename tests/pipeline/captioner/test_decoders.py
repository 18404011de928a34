"""Every decoder keeps the one interface."""

import keras
import numpy as np
import pytest
from keras import ops

from pipeline import backend
from pipeline.backend import has_gpu
from pipeline.captioner.decoders import base
from pipeline.captioner.decoders.base import Decoder, DecoderSettings
from pipeline.captioner.decoders.find import DECODERS, build
from pipeline.captioner.decoders.grid import GridDecoder, lstm
from pipeline.captioner.decoders.scores import TiedScores
from pipeline.errors import InputError
from pipeline.text.marks import PAD, START, UNKNOWN
from tests.quick import some_quick

WORDS = 12  # of the vocabulary
POOLED, GRID = (5,), (3, 2, 5)
NEVER = (PAD, START, UNKNOWN)
CASES = [(name, GRID if kind.needs_grid else POOLED) for name, kind in sorted(DECODERS.items())]
EXTRAS = {"tie_weights": True, "layer_norm": True, "variational_dropout": True}
SOME = ("inject", "merge", "adaptive")  # of each family one
every_decoder = pytest.mark.parametrize(("name", "shape"), CASES)
some_decoders_quickly = pytest.mark.parametrize(
    ("name", "shape"), some_quick(CASES, quick=[case for case in CASES if case[0] in SOME])
)
plain_and_rich = pytest.mark.parametrize(
    "extras",
    [pytest.param({}, id="plain", marks=pytest.mark.slow), pytest.param(EXTRAS, id="rich")],
)


@pytest.fixture
def decoder(name: str, shape: tuple[int, ...]) -> Decoder:
    return made(name, shape)


def made(name: str, shape: tuple[int, ...], **changes: object) -> Decoder:
    """Build a decoder with weights that say something; a precision may be among the changes."""
    keras.utils.set_random_seed(1)
    precision = changes.pop("precision", "float32")
    decoder = build(settings(name, **changes), WORDS, shape, precision)
    rng = np.random.default_rng(1)
    decoder.set_weights([rng.normal(0, 0.5, weight.shape) for weight in decoder.get_weights()])
    return decoder


def settings(name: str, **changes: object) -> DecoderSettings:
    shape = {"units": 8, "embedding": 6, "dropout": 0.5}
    return DecoderSettings.plain(decoder=name, **{**shape, **changes})


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
@plain_and_rich
def test_all_words_at_once_agrees_with_one_word_at_a_time(name, shape, extras):
    decoder = made(name, shape, **extras)
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
@plain_and_rich
def test_gradients_reach_every_weight(name, shape, extras):
    import tensorflow as tf

    decoder = made(name, shape, **extras)
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
@pytest.mark.parametrize(
    ("words", "transposed"),
    some_quick([(1, False), (6, False), (6, True)], quick=[(6, False), (6, True)]),
)
def test_gradients_of_whole_captions_are_those_of_one_word_after_another(
    monkeypatch, name, shape, words, transposed
):
    """The loops over words have gradients written by hand; those of `step` are TensorFlow's."""
    import tensorflow as tf

    monkeypatch.setattr(backend, "reads_transposed", lambda: transposed)
    decoder = made(name, shape)
    features, tokens = inputs(shape, words=words)
    rng = np.random.default_rng(7)
    asked = rng.normal(size=(3, words, WORDS - 4)).astype("float32")
    looked = rng.normal(size=(3, words, 7)).astype("float32")  # of 6 places, and a sentinel
    paths = [weight.path for weight in decoder.trainable_weights]
    values = [weight.value for weight in decoder.trainable_weights]

    def loss(log_probs, weights):
        told = ops.sum(log_probs[..., 4:] * asked)
        return (
            told if weights is None else told + ops.sum(weights * looked[..., : weights.shape[-1]])
        )

    with tf.GradientTape() as tape:
        if decoder.attends:
            logits, weights = decoder.score_and_look((features, tokens))
        else:
            logits, weights = decoder((features, tokens)), None
        at_once = loss(ops.log_softmax(logits), weights)
    found = tape.gradient(at_once, values)
    with tf.GradientTape() as tape:
        state, memory, each = decoder.start(features), decoder.memory(features), []
        for place in range(words):
            if decoder.attends:
                log_probs, state, weights = decoder.attend_step(tokens[:, place], state, memory)
            else:
                log_probs, state = decoder.step(tokens[:, place], state, memory)
            each.append((log_probs, weights))
        weights = ops.stack([one for _, one in each], 1) if decoder.attends else None
        one_by_one = loss(ops.stack([log_probs for log_probs, _ in each], 1), weights)
    expected = tape.gradient(one_by_one, values)
    for path, one, other in zip(paths, found, expected, strict=True):
        if one is None or other is None:  # a first word has nothing before it
            assert words == 1
            continue
        one, other = (numbers(tf.convert_to_tensor(value)) for value in (one, other))
        scale = np.abs(other).max()
        np.testing.assert_allclose(one, other, atol=1e-4 * scale + 1e-6, err_msg=path)


@some_decoders_quickly
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
def test_places_are_compared_in_the_width_that_is_asked_for(name, shape):
    """As the decoder would by itself: 49 of `adaptive`, the units of the others."""
    for asked, width in ((3, 3), (None, 49 if name == "adaptive" else 8)):
        decoder = made(name, shape, attention_width=asked)
        assert decoder.to_query.kernel.shape == (8, width)
        assert decoder.to_keys.kernel.shape == (8, width)
        _, weights = decoder.attend_all(inputs(shape))
        np.testing.assert_allclose(numbers(weights).sum(axis=-1), 1, atol=1e-5)


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
    width = decoder.usual_width()
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


@pytest.mark.parametrize("units", some_quick([5, 8], quick=[8]))
@every_decoder
def test_tied_words_are_read_and_said_by_one_matrix(name, shape, units):
    """By numbers: moving a word's vector moves its score by as much, through the output alone."""
    decoder = made(name, shape, tie_weights=True, units=units, embedding=5)
    weights = [weight.shape for weight in decoder.trainable_weights if WORDS in weight.shape]
    assert sorted(map(len, weights)) == [1, 2], "one matrix and a bias know the vocabulary"
    projected = [layer.name for layer in decoder.layers if layer.name == "word_vector"]
    assert len(projected) == (units != 5)
    features, tokens = inputs(shape)
    unread = 11
    tokens[tokens == unread] = 4
    before = numbers(decoder((features, tokens)))
    vectors = numbers(decoder.embed.embeddings).copy()
    vectors[unread] *= 2
    decoder.embed.embeddings.assign(vectors)
    after = numbers(decoder((features, tokens)))
    np.testing.assert_array_equal(np.delete(after, unread, -1), np.delete(before, unread, -1))
    bias = numbers(decoder.to_vocabulary.bias)[unread]
    np.testing.assert_allclose(after[..., unread] - bias, 2 * (before[..., unread] - bias), 1e-4)


def last_names(weight: keras.Variable) -> str:
    """Its layer's name and its own."""
    return "/".join(weight.path.split("/")[-2:])


def test_the_gradient_of_tied_words_is_that_of_reading_and_of_saying():
    import tensorflow as tf

    tied, untied = (made("inject", POOLED, tie_weights=tie, units=6) for tie in (True, False))
    common = {last_names(weight): weight for weight in tied.weights}
    for weight in untied.weights:
        if last_names(weight) != "scores/kernel":
            weight.assign(common[last_names(weight)].value)
    untied.to_vocabulary.kernel.assign(numbers(tied.embed.embeddings).T)
    gradients = []
    for decoder in (tied, untied):
        matrix = decoder.embed.embeddings.value
        sources = [matrix] if decoder is tied else [matrix, decoder.to_vocabulary.kernel.value]
        with tf.GradientTape() as tape:
            loss = ops.mean(ops.log_softmax(decoder(inputs(POOLED)))[:, :, 5])
        gradients.append([numbers(tf.convert_to_tensor(g)) for g in tape.gradient(loss, sources)])
    [both], [reading, saying] = gradients
    np.testing.assert_allclose(both, reading + saying.T, atol=1e-5)
    assert min(np.abs(reading).max(), np.abs(saying).max()) > 1e-3


def dropped(decoder: Decoder, method: str, values: np.ndarray) -> np.ndarray:
    """Which values are dropped, (b, t, n)."""
    return numbers(getattr(decoder, method)(values, True)) == 0


@pytest.mark.parametrize("name", ["inject", "merge", "adaptive"])
def test_variational_masks_are_the_same_at_every_word_and_differ_between_captions(name):
    shape = GRID if DECODERS[name].needs_grid else POOLED
    values = np.ones((4, 9, 40), "float32")
    each = dropped(made(name, shape), "drop_over_words", values)
    assert (each != each[:, :1]).any()
    one = dropped(made(name, shape, variational_dropout=True), "drop_over_words", values)
    np.testing.assert_array_equal(one, np.repeat(one[:, :1], 9, axis=1))
    assert (one[0] != one[1]).any()
    assert 0.3 < one.mean() < 0.7


@pytest.mark.parametrize("name", sorted(name for name in DECODERS if DECODERS[name].needs_grid))
def test_in_training_a_feature_is_dropped_at_all_places_of_a_grid(name):
    decoder = made(name, GRID)
    features, _ = inputs(GRID)
    whole = numbers(decoder.read_grid(features))
    assert whole.shape == (len(features), 6, 5)
    assert whole.all()
    dropped = numbers(decoder.read_grid(np.repeat(features, 20, axis=0), training=True)) == 0
    assert (dropped == dropped[:, :1]).all(), "at one place as at the others"
    assert 0.2 < dropped.mean() < 0.8
    assert len(np.unique(dropped[:, 0], axis=0)) > 4, "other ones of each picture"


@pytest.mark.parametrize("name", sorted(name for name in DECODERS if DECODERS[name].needs_grid))
def test_whatever_is_read_of_a_grid_has_passed_its_dropout(name, monkeypatch):
    decoder = made(name, GRID)
    features, tokens = inputs(GRID)
    monkeypatch.setattr(decoder, "drop_features", lambda grid, training: ops.zeros_like(grid))
    found = numbers(decoder((features, tokens), training=False))
    other = numbers(decoder((features + np.arange(5), tokens), training=False))
    np.testing.assert_array_equal(found, other)


@every_decoder
def test_variational_dropout_drops_words_that_are_read_and_what_is_scored(name, shape):
    """All words alike: then what is dropped is what makes the places of a caption differ."""
    decoder = made(name, shape, variational_dropout=True)
    words = numbers(decoder.read_words(np.full((3, 6), 5, "int32"), True))
    np.testing.assert_array_equal(words, np.repeat(words[:, :1], 6, axis=1))
    assert (words == 0).any()
    outputs = np.ones((3, 6, 8), "float32")
    scores = numbers(decoder.scores(outputs, True))
    np.testing.assert_array_equal(scores, np.repeat(scores[:, :1], 6, axis=1))
    assert np.abs(scores - numbers(decoder.scores(outputs)))[..., 4:].max() > 1e-3


@every_decoder
def test_normalised_words_and_outputs_do_not_depend_on_their_size(name, shape):
    decoder = made(name, shape, layer_norm=True)
    _, tokens = inputs(shape)
    before = numbers(decoder.read_words(tokens))
    decoder.embed.embeddings.assign(7 * numbers(decoder.embed.embeddings) + 3)
    np.testing.assert_allclose(numbers(decoder.read_words(tokens)), before, atol=1e-3)
    outputs = np.random.default_rng(1).normal(size=(3, 8)).astype("float32")
    one, other = (numbers(decoder.scores(factor * outputs)) for factor in (1, 9))
    np.testing.assert_allclose(one, other, atol=1e-3)


@some_decoders_quickly
def test_frozen_word_vectors_stay_and_trained_ones_do_not(name, shape):
    matrix = np.random.default_rng(5).normal(size=(WORDS, 6)).astype("float32")
    for trainable in (True, False):
        decoder = made(name, shape, tie_weights=True)
        decoder.start_word_vectors(matrix, trainable)
        np.testing.assert_array_equal(numbers(decoder.embed.embeddings), matrix)
        decoder.compile(
            keras.optimizers.SGD(0.1),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            run_eagerly=True,  # to compile each takes seconds
        )
        features, tokens = inputs(shape)
        decoder.train_on_batch((features, tokens[:, :-1]), tokens[:, 1:])
        changed = np.abs(numbers(decoder.embed.embeddings) - matrix).max()
        assert (changed > 1e-4) == trainable


@pytest.mark.parametrize(
    "precision", ["mixed_bfloat16", pytest.param("mixed_float16", marks=pytest.mark.slow)]
)
@some_decoders_quickly
def test_in_half_precision_weights_and_scores_are_float32(name, shape, precision):
    decoder = made(name, shape, precision=precision, **EXTRAS)
    assert keras.config.dtype_policy().name == "float32", "what is made later is not changed"
    assert {weight.dtype for weight in decoder.trainable_weights} == {"float32"}
    assert decoder.compute_dtype == precision.removeprefix("mixed_")
    features, tokens = inputs(shape)
    scores = decoder((features, tokens))
    assert keras.backend.standardize_dtype(scores.dtype) == "float32"
    expected = numbers(made(name, shape, **EXTRAS)((features, tokens)))
    np.testing.assert_allclose(numbers(scores)[..., 4:], expected[..., 4:], atol=0.2)
    state, memory = decoder.start(features), decoder.memory(features)
    log_probs, after = decoder.step(tokens[:, 0], state, memory)
    assert keras.backend.standardize_dtype(log_probs.dtype) == "float32"
    for one, other in zip(state, after, strict=True):
        assert one.dtype == other.dtype, "a state that changes its type stops the search"


def test_tied_words_are_said_by_the_same_numbers_in_training_and_in_search(monkeypatch):
    """In 16 bits too, where all that is read within a call is rounded."""
    said, call = [], TiedScores.call

    def recorded(layer, outputs, words, training):
        said.append((numbers(outputs), numbers(call(layer, outputs, words, training))))
        return call(layer, outputs, words, training)

    decoder = made("inject", POOLED, precision="mixed_bfloat16", tie_weights=True)
    monkeypatch.setattr(TiedScores, "call", recorded)
    features, tokens = inputs(POOLED)
    decoder((features, tokens))
    decoder.step(tokens[:, 0], decoder.start(features), decoder.memory(features))
    vectors, bias = numbers(decoder.embed.embeddings), numbers(decoder.to_vocabulary.bias)
    assert len(said) == 2
    for outputs, scores in said:
        expected = outputs.astype("float32") @ vectors.T + bias
        np.testing.assert_allclose(scores, expected + decoder.to_vocabulary.never, 1e-5, 1e-5)


@pytest.mark.parametrize("name", sorted(name for name in DECODERS if not DECODERS[name].needs_grid))
@pytest.mark.parametrize("precision", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_cudnn_has_the_lstm_whatever_is_turned_on(name, precision):
    """The words are read by one fused kernel in training, forwards and backwards."""
    if not has_gpu():
        pytest.skip("no GPU: cuDNN's LSTM kernel cannot be looked for")
    decoder = made(name, POOLED, precision=precision, **EXTRAS)
    if keras.backend.backend() == "jax":
        if precision != "float32":
            pytest.skip("JAX has the kernel in float32 alone")
        program = _gradient_under_jax(decoder)
        assert "cudnn_rnn_bwd" in program
        assert "stablehlo.while" not in program
        return
    kinds = _kernels_under_tensorflow(decoder)
    assert {"CudnnRNNV3", "CudnnRNNBackpropV3"} <= kinds, sorted(kinds)
    assert not {"While", "StatelessWhile"} & kinds


@pytest.mark.parametrize(
    ("backend", "precision", "expected"),
    [
        ("tensorflow", "float32", True),
        ("tensorflow", "mixed_float16", True),
        ("tensorflow", "mixed_bfloat16", True),
        ("jax", "float32", True),
        ("jax", "mixed_bfloat16", False),  # JAX's cuDNN LSTM raises for it while it compiles
    ],
)
def test_the_kernel_is_taken_where_it_can_be(monkeypatch, backend, precision, expected):
    decoder = made("inject", POOLED, precision=precision)
    monkeypatch.setattr(keras.backend, "backend", lambda: backend)
    assert not decoder.has_kernel()
    monkeypatch.setattr(base, "has_gpu", lambda: True)
    assert decoder.has_kernel() is expected


def _gradient_under_jax(decoder) -> str:
    import jax

    fixed = [value.value for value in decoder.non_trainable_variables]

    def loss(weights):
        scores, _ = decoder.stateless_call(weights, fixed, inputs(POOLED), training=True)
        return ops.mean(scores[..., 4:])

    return jax.jit(jax.grad(loss)).lower([one.value for one in decoder.trainable_weights]).as_text()


def _kernels_under_tensorflow(decoder) -> set[str]:
    import tensorflow as tf

    @tf.function
    def step(features, tokens):
        with tf.GradientTape() as tape:
            loss = ops.mean(decoder((features, tokens), training=True)[..., 4:])
        return tape.gradient(loss, [weight.value for weight in decoder.trainable_weights])

    graph = step.get_concrete_function(*map(tf.constant, inputs(POOLED))).graph.as_graph_def()
    nodes = [*graph.node, *(node for one in graph.library.function for node in one.node_def)]
    return {node.op for node in nodes}
