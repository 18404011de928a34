"""What holds for every search: alone or together, eager, compiled or exported, TensorFlow or JAX.

And constraints, which work with every search alike.
"""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from pipeline.captioner.decoders.scores import IMPOSSIBLE
from pipeline.captioner.search.base import EMPTY
from pipeline.captioner.search.constraints import Constraints
from pipeline.captioner.search.guide import Guide
from pipeline.text.marks import END
from tests.pipeline.captioner.search.tables import (
    A,
    B,
    C,
    D,
    Search,
    Table,
    captions,
    check,
    keeps_to,
    run,
)
from tests.quick import some_quick

REPOSITORY = Path(__file__).parents[4]
NAMES = ("greedy", "beam", "diverse", "required", "sample")
BOUNDS = Constraints(min_words=2, block_ngrams=2, forbidden=(B,))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "bounds",
    [
        pytest.param(Constraints(), id="free", marks=pytest.mark.slow),
        pytest.param(BOUNDS, id="bound"),
    ],
)
def test_pictures_together_are_as_each_alone(name, bounds):
    table = Table.random(seed=7, words=5, pictures=3)
    together = run(name, table, range(3), bounds)
    alone = [captions(run(name, table, [picture], bounds)) for picture in range(3)]
    assert [captions(together, picture) for picture in range(3)] == alone
    assert len({found[0][2] for found in alone}) > 1, "the pictures have to differ"
    for picture, found in enumerate(alone):
        check(found, table, 6, 0.0 if name == "greedy" else 0.9, picture)


@pytest.mark.parametrize("name", some_quick(NAMES, quick=["beam"]))
def test_compiled_is_as_eager(name):
    table = Table.random(seed=3, words=5, pictures=5)
    model = Search(name, table, BOUNDS)
    numbers = np.arange(5, dtype="int32")
    eager = model(numbers)
    compiled = model.predict(numbers, batch_size=2, verbose=0)  # the last batch is smaller
    for one, other in zip(eager, compiled, strict=True):
        np.testing.assert_allclose(ops.convert_to_numpy(one), other, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="exports TensorFlow's format")
def test_exported_is_as_eager(name, tmp_path):
    import tensorflow as tf

    table = Table.random(seed=3, words=5, pictures=5)
    model = Search(name, table, BOUNDS)
    numbers = np.arange(5, dtype="int32")
    eager = model(numbers)
    signature = [keras.InputSpec(shape=(None,), dtype="int32")]
    model.export(tmp_path / "saved", input_signature=signature, verbose=False)
    exported = tf.saved_model.load(tmp_path / "saved").serve(numbers)
    for one, other in zip(eager, exported, strict=True):
        np.testing.assert_allclose(ops.convert_to_numpy(one), other.numpy(), rtol=1e-5)


WORK = """
import sys
import numpy as np
from tests.pipeline.captioner.search.test_searches import found_by_all
np.savez(sys.argv[1], **found_by_all())
"""


def found_by_all() -> dict[str, np.ndarray]:
    """What every search finds, compiled, under the backend in use."""
    table, numbers = Table.random(seed=3, words=5, pictures=5), np.arange(5, dtype="int32")
    worth = np.random.default_rng(4).normal(0, 1, (5, table.size)).astype("float32")
    guided = replace(BOUNDS, guide=Guide(ops.convert_to_tensor(worth)))
    return {
        f"{name} {kind} {number}": part
        for name in NAMES
        for kind, bounds in (("bound", BOUNDS), ("guided", guided))
        for number, part in enumerate(Search(name, table, bounds).predict(numbers, verbose=0))
    }


@pytest.mark.slow
def test_jax_finds_what_tensorflow_finds(tmp_path):
    path = tmp_path / "jax.npz"
    environment = {**os.environ, "KERAS_BACKEND": "jax", "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-c", WORK, str(path)]
    jax = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    here = found_by_all()
    _, told = jax.communicate()
    assert jax.returncode == 0, told
    there = np.load(path)
    for key, value in here.items():
        np.testing.assert_allclose(value, there[key], rtol=1e-4, err_msg=key)


@pytest.mark.parametrize("name", NAMES)
@given(
    seed=st.integers(0, 10**6),
    min_words=st.integers(0, 4),
    block=st.integers(0, 3),
    forbidden=st.sets(st.sampled_from([B, C, D]), max_size=2),
)
@settings(max_examples=8, deadline=None, derandomize=True)
def test_every_search_keeps_to_the_constraints(name, seed, min_words, block, forbidden):
    bounds = Constraints(min_words, block, tuple(forbidden))
    table = Table.random(seed, words=6)
    found = captions(run(name, table, [0], bounds))
    assert found
    for _, _, words in found:
        assert keeps_to(bounds, words), words
    check(found, table, 6, 0.0 if name == "greedy" else 0.9)


@pytest.mark.parametrize("name", NAMES)
def test_without_any_caption_left_every_place_is_empty(name):
    table = Table.random(seed=1, words=2)
    found = run(name, table, [0], Constraints(min_words=3, block_ngrams=1))
    assert (ops.convert_to_numpy(found.scores) < EMPTY).all()


def test_blocked_words_may_come_once_and_overlap():
    table = Table.of({1: {A: 1.0}, A: {A: 0.8, B: 0.15, END: 0.05}, B: {A: 0.9, END: 0.1}})
    [(_, _, words)] = captions(run("greedy", table, [0], Constraints(block_ngrams=2)))
    assert words == (A, A, B, A)  # AA, AB, BA; then AA and AB are taken, and END is left
    [(_, _, words)] = captions(run("greedy", table, [0], Constraints(block_ngrams=1)))
    assert words == (A, B)
    [(_, _, words)] = captions(run("greedy", table, [0], Constraints(block_ngrams=6)))
    [(_, _, longer)] = captions(run("greedy", table, [0], Constraints(block_ngrams=60)))
    assert words == longer == (A,) * 6


def test_constraints_change_what_is_out_and_nothing_else():
    table = Table.random(seed=2, words=4)
    logs = table.logs[0, A, A:]  # (4, v): any four rows
    tokens = np.array([[A, B, 0, 0], [A, A, 0, 0], [B, A, 0, 0], [D, D, 0, 0]], "int32")
    bounds = Constraints(min_words=3, block_ngrams=1, forbidden=(C,))
    masked = ops.convert_to_numpy(bounds.apply(logs, ops.convert_to_tensor(tokens), 2))
    out = masked < IMPOSSIBLE
    chosen_from = [set(np.flatnonzero(row)) & {END, A, B, C, D} for row in out]
    assert chosen_from == [{END, A, B, C}, {END, A, C}, {END, A, B, C}, {END, C, D}]
    np.testing.assert_array_equal(masked[~out], logs[~out])


def test_without_constraints_nothing_is_touched():
    logs = np.zeros((1, 7), "float32")
    assert Constraints().apply(logs, np.zeros((1, 3), "int32"), 0) is logs
