"""How gradients become updates, against the same in numpy."""

import keras
import numpy as np
import pytest

from pipeline.captioner import updates
from pipeline.captioner.decoders.base import DecoderSettings
from pipeline.captioner.decoders.find import build
from pipeline.captioner.updates import Accumulating, UpdateSettings, adam, averaged, bounded

OFF = {"clip_norm": 1.0, "accumulate": 1, "ema": 0.0, "precision": "float32"}
GRADIENTS = np.random.default_rng(1).normal(0, 2, (12, 2, 3)).astype("float32")


def settings(**changes: object) -> UpdateSettings:
    return UpdateSettings(**{**OFF, **changes})


def weights() -> list[keras.Variable]:
    return [keras.Variable(np.full(3, 0.5, "float32")), keras.Variable(np.ones(3, "float32"))]


def values(variables: list[keras.Variable]) -> np.ndarray:
    return np.stack([keras.ops.convert_to_numpy(value) for value in variables])


def schedule() -> keras.optimizers.schedules.LearningRateSchedule:
    return keras.optimizers.schedules.PolynomialDecay(0.1, 10)


@pytest.mark.parametrize("precision", ["float32", "mixed_float16"])
def test_gradients_added_up_update_as_their_sum_does(precision):
    asked = settings(precision=precision, ema=0.8)
    one, other = weights(), weights()
    at_once, gathered = adam(schedule(), asked), Accumulating(adam(schedule(), asked))
    at_once.build(one)
    gathered.build(other)
    for group in GRADIENTS.reshape(4, 3, 2, 3):
        at_once.apply(list(group.sum(axis=0)), one)
        for gradient in group:
            before = values(other)
            gathered.apply(list(gradient), other)
            np.testing.assert_array_equal(values(other), before)
        gathered.finish(other)
        np.testing.assert_allclose(values(one), values(other), rtol=1e-6)
    assert int(gathered.inner.iterations) == 4
    state = {id(variable) for variable in gathered.variables}
    assert not state & {id(variable) for variable in other}  # which Keras would donate twice
    for optimizer, kept in ((at_once, one), (gathered.inner, other)):
        optimizer.finalize_variable_values(kept)
    np.testing.assert_allclose(values(one), values(other), rtol=1e-6)


def test_the_norm_of_the_sum_is_bounded_and_not_that_of_each():
    asked = settings(clip_norm=1e-3)
    gathered = Accumulating(keras.optimizers.SGD(1.0, global_clipnorm=asked.clip_norm))
    kept = weights()
    gathered.build(kept)
    before = values(kept)
    large = np.array([[3.0, 0, 0], [0, 0, 0]], "float32")
    for gradient in (large, -large, np.roll(large, 1, axis=1)):
        gathered.apply(list(gradient), kept)
    gathered.finish(kept)
    np.testing.assert_allclose(values(kept) - before, -1e-3 * np.roll(large, 1, axis=1) / 3, 1e-3)


def test_the_average_is_the_sum_that_it_is_defined_by():
    kept = weights()
    optimizer = adam(0.1, settings(ema=0.7))
    optimizer.build(kept)
    seen = []
    for gradient in GRADIENTS:
        optimizer.apply(list(gradient), kept)
        own = values(kept)
        seen.append(own)
        optimizer.finalize_variable_values(kept)
        expected = np.average(seen, axis=0, weights=0.7 ** np.arange(len(seen))[::-1])
        np.testing.assert_allclose(values(kept), expected, rtol=1e-5)
        for variable, value in zip(kept, own, strict=True):
            variable.assign(value)
    assert np.abs(own - expected).max() > 1e-3


def test_in_float16_an_update_that_overflows_is_left_out():
    kept = weights()
    optimizer = adam(0.1, settings(precision="mixed_float16", ema=0.5))
    optimizer.build(kept)
    scale = float(keras.ops.convert_to_numpy(optimizer.scale_loss(1.0)))
    assert scale > 1
    before = values(kept)
    optimizer.apply([np.full(3, np.inf, "float32"), np.ones(3, "float32")], kept)
    np.testing.assert_array_equal(values(kept), before)
    assert float(keras.ops.convert_to_numpy(optimizer.scale_loss(1.0))) == scale / 2
    optimizer.apply(list(GRADIENTS[0]), kept)
    assert np.abs(values(kept) - before).max() > 0


def test_before_the_first_update_there_is_no_average():
    """As where all of them overflowed: it would be zeros."""
    decoder = build(
        DecoderSettings.plain(decoder="inject", units=4, embedding=3, dropout=0.0), 9, (5,)
    )
    optimizer = adam(0.1, settings(precision="mixed_float16", ema=0.9))
    optimizer.build(decoder.trainable_variables)
    gradients = [np.full(value.shape, np.inf, "float32") for value in decoder.trainable_variables]
    optimizer.apply(gradients)
    own = decoder.get_weights()
    with averaged(decoder, optimizer, 0.9):
        for found, expected in zip(decoder.get_weights(), own, strict=True):
            np.testing.assert_array_equal(found, expected)


def test_while_averaged_a_decoder_has_other_weights_and_then_its_own():
    decoder = build(
        DecoderSettings.plain(decoder="inject", units=4, embedding=3, dropout=0.0), 9, (5,)
    )
    optimizer = adam(0.1, settings(ema=0.9))
    optimizer.build(decoder.trainable_variables)
    rng = np.random.default_rng(1)
    seen = []
    for _ in range(3):
        gradients = [rng.normal(size=value.shape) for value in decoder.trainable_variables]
        optimizer.apply([value.astype("float32") for value in gradients])
        seen.append(decoder.get_weights())
    with averaged(decoder, optimizer, 0.9):
        average = decoder.get_weights()
    for place, kept in enumerate(decoder.get_weights()):
        first, second, third = (weights[place] for weights in seen)
        np.testing.assert_array_equal(kept, third)
        expected = (0.81 * first + 0.9 * second + third) / 2.71
        np.testing.assert_allclose(average[place], expected, rtol=1e-4, atol=1e-6)
    with averaged(decoder, optimizer, 0.0):
        np.testing.assert_array_equal(decoder.get_weights()[0], seen[-1][0])


def test_updates_are_those_of_keras_own_adam_with_its_own_bound():
    rate = 0.03
    ours, theirs = weights(), weights()
    one = adam(rate, settings(clip_norm=4.0))
    other = keras.optimizers.Adam(rate, global_clipnorm=4.0)
    norms = np.linalg.norm(GRADIENTS.reshape(12, -1), axis=1)
    assert (norms > 4.0).any()
    assert (norms < 4.0).any()
    for optimizer, kept in ((one, ours), (other, theirs)):
        optimizer.build(kept)
        for gradient in GRADIENTS:
            optimizer.apply(list(gradient), kept)
    np.testing.assert_allclose(values(ours), values(theirs), rtol=1e-5)
    for own, kerass in zip(one.variables, other.variables, strict=True):
        np.testing.assert_allclose(
            keras.ops.convert_to_numpy(own), keras.ops.convert_to_numpy(kerass), rtol=1e-4
        )


def test_self_critical_trainings_average_is_keras_own():
    """It begins with the weights after the first update."""
    ours, theirs = weights(), weights()
    how = {"use_ema": True, "ema_momentum": 0.7}
    one, other = updates.BoundedAdam(0.1, 9.0, **how), keras.optimizers.Adam(0.1, **how)
    for optimizer, kept in ((one, ours), (other, theirs)):
        optimizer.build(kept)
        for gradient in GRADIENTS[:4]:
            optimizer.apply(list(gradient), kept)
        before = values(kept)
        optimizer.finalize_variable_values(kept)
        assert (values(kept) != before).all()
    np.testing.assert_allclose(values(ours), values(theirs), rtol=1e-4)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow's own")
def test_under_tensorflow_an_average_takes_two_passes(monkeypatch):
    base = keras.optimizers.Optimizer
    monkeypatch.setattr(base, "_update_model_variables_moving_average", None)  # is not needed
    kept = weights()
    optimizer = adam(0.1, settings(ema=0.5))
    optimizer.build(kept)
    optimizer.apply(list(GRADIENTS[0]), kept)


@pytest.mark.parametrize("on_gpu", [False, True])
def test_gradients_are_bounded_together_and_only_above_the_bound(monkeypatch, on_gpu):
    monkeypatch.setattr(updates, "has_gpu", lambda: on_gpu)
    large, small = np.array([3.0, 0.0], "float32"), np.array([[4.0]], "float32")
    for bound, factor in ((10.0, 1.0), (5.0, 1.0), (1.0, 0.2)):
        first, none, second = bounded([large, None, small], bound)
        assert none is None
        np.testing.assert_allclose(keras.ops.convert_to_numpy(first), factor * large, rtol=1e-6)
        np.testing.assert_allclose(keras.ops.convert_to_numpy(second), factor * small, rtol=1e-6)


@pytest.mark.parametrize("on_gpu", [False, True])
@pytest.mark.parametrize("lost", [np.inf, np.nan])
def test_a_gradient_that_is_no_number_leaves_no_number(monkeypatch, lost, on_gpu):
    """So that the loss after it is none, which a training tells and ends with."""
    monkeypatch.setattr(updates, "has_gpu", lambda: on_gpu)
    found = bounded([np.array([1.0, lost], "float32"), np.ones(2, "float32")], 5.0)
    for gradient in found:
        assert np.isnan(keras.ops.convert_to_numpy(gradient)).all()


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow's own")
def test_under_tensorflow_a_variable_is_updated_at_once(monkeypatch):
    kept = weights()
    optimizer = adam(0.1, settings())
    optimizer.build(kept)
    monkeypatch.setattr(keras.optimizers.Adam, "update_step", None)  # which is not needed
    optimizer.apply(list(GRADIENTS[0]), kept)
    assert (values(kept) != values(weights())).all()


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow's own")
def test_a_word_that_is_read_often_counts_by_the_sum_of_its_rows():
    import tensorflow as tf

    rows = np.array([[3.0, 0.0], [3.0, 0.0], [0.0, 4.0]], "float32")
    slices = tf.IndexedSlices(tf.constant(rows), tf.constant([1, 1, 0]), tf.constant([3, 2]))
    summed = np.array([[0.0, 4.0], [6.0, 0.0], [0.0, 0.0]], "float32")
    states = []
    for gradient in (slices, summed):
        kept = [keras.Variable(np.ones((3, 2), "float32"))]
        optimizer = adam(0.1, settings(clip_norm=0.5))
        optimizer.build(kept)
        optimizer.apply([gradient], kept)
        states.append([keras.ops.convert_to_numpy(one) for one in optimizer.variables])
    for one, other in zip(*states, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)
    first = 0.1 * 0.5 / np.sqrt(52) * summed  # of Adam's first moment, after one update
    assert any(one.shape == (3, 2) and np.allclose(one, first, rtol=1e-5) for one in states[0])
