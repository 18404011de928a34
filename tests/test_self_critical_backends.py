"""Self-critical training is the same under TensorFlow and under JAX."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.captioner.decoders.base import DecoderSettings

REPOSITORY = Path(__file__).parents[1]
NAMES = ("inject", "adaptive")  # pooled, and a grid that captions of a picture share
WORK = '''
"""Sample captions and take one step from the weights in a folder; save all numbers."""

import sys
from pathlib import Path

import keras
import numpy as np

from pipeline import backend
from pipeline.captioner.batches import Captions, Split
from pipeline.captioner.captioner import Captioner
from pipeline.captioner.decoders.base import DecoderSettings
from pipeline.captioner.decoders.find import DECODERS, build
from pipeline.captioner.self_critical import SelfCriticalSettings, Trainer
from pipeline.captioner.updates import averaged
from pipeline.text.vocabulary import Vocabulary

folder = Path(sys.argv[1])
texts = [text.split() for text in ("a red dog runs", "two cats sleep near a tree")] * 4
vocabulary = Vocabulary.build(texts, 1)
grids = np.random.default_rng(2).normal(size=(len(texts), 2, 3, 5)).astype("float32")
captions = Captions(np.arange(len(texts)), [vocabulary.encode(text) for text in texts])

numbers = {}
for name in sys.argv[2:]:
    shape = DecoderSettings.plain(decoder=name, units=8, embedding=6, dropout=0.5)
    features = grids if DECODERS[name].needs_grid else grids[:, 0, 0]
    split = Split(features, captions, [[text] for text in texts])
    backend.seed(1)
    decoder = build(shape, len(vocabulary), features.shape[1:])
    decoder.load_weights(folder / f"{name}.weights.h5")
    settings = SelfCriticalSettings(
        epochs=1, patience=1, baseline="greedy", samples=3, pictures=8, learning_rate=0.01,
        clip_norm=5.0, ema=0.5, max_words=6,
    )
    trainer = Trainer(Captioner(decoder, vocabulary), split, settings, seed=1)
    # A gradient itself, and not what Adam makes of it.
    optimizer = keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5)
    trainer.policy.compile(optimizer)
    before = np.concatenate([value.ravel() for value in decoder.get_weights()])
    sampled = trainer.sampler.sample(features, np.random.default_rng(3))
    step = trainer.step(np.arange(8), np.random.default_rng(3))
    after = np.concatenate([value.ravel() for value in decoder.get_weights()])
    trainer.step(np.arange(8), np.random.default_rng(4))
    with averaged(trainer.policy, optimizer, 0.5):
        average = np.concatenate([value.ravel() for value in decoder.get_weights()])
    numbers |= {
        f"{name} tokens": sampled.tokens,
        f"{name} greedy": sampled.greedy,
        f"{name} rewards": step.rewards,
        f"{name} moved": after - before,
        f"{name} average moved": average - before,
    }
np.savez(folder / f"{keras.backend.backend()}.npz", **numbers)
'''


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    """What the work above gives under each backend, from the same weights files."""
    from pipeline.captioner.decoders.find import DECODERS, build

    folder = tmp_path_factory.mktemp("backends")
    for name in NAMES:
        shape = DecoderSettings.plain(decoder=name, units=8, embedding=6, dropout=0.0)
        decoder = build(shape, 13, (2, 3, 5) if DECODERS[name].needs_grid else (5,))
        rng = np.random.default_rng(1)
        decoder.set_weights([rng.normal(0, 0.5, value.shape) for value in decoder.get_weights()])
        decoder.save_weights(folder / f"{name}.weights.h5")

    work = folder / "work.py"
    work.write_text(WORK)
    arguments = [str(work), str(folder), *NAMES]
    environment = {**os.environ, "KERAS_BACKEND": "jax", "PYTHONPATH": str(REPOSITORY)}
    jax = subprocess.Popen(
        [sys.executable, *arguments], env=environment, stderr=subprocess.PIPE, text=True
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", arguments)
        runpy.run_path(str(work))
    _, told = jax.communicate()
    assert jax.returncode == 0, told
    return np.load(folder / "tensorflow.npz"), np.load(folder / "jax.npz")


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_jax_samples_the_captions_of_tensorflow_and_moves_as_far(numbers, name):
    one, other = numbers
    for key in ("tokens", "greedy"):
        assert one[f"{name} {key}"].tolist() == other[f"{name} {key}"].tolist()
    assert len(np.unique(one[f"{name} tokens"].reshape(-1, 7), axis=0)) > 12  # of 24
    np.testing.assert_allclose(one[f"{name} rewards"], other[f"{name} rewards"])
    assert np.abs(one[f"{name} moved"]).max() > 1e-3
    np.testing.assert_allclose(one[f"{name} moved"], other[f"{name} moved"], atol=1e-5)
    further = one[f"{name} average moved"]
    assert np.abs(further - one[f"{name} moved"]).max() > 1e-4
    np.testing.assert_allclose(further, other[f"{name} average moved"], atol=1e-5)
