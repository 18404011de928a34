"""Decoders, search and training are the same under TensorFlow and under JAX."""

import os
import runpy
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from pipeline.captioner.decoders.base import DecoderSettings

REPOSITORY = Path(__file__).parents[1]
pytestmark = pytest.mark.slow  # a process that has JAX compile every decoder
KEYS = ("log_probs", "steps", "beam", "words", "trained", "rich", "random")
WORK = '''
"""Score, search and train one epoch from the weights in a folder; save all numbers."""

import sys
from pathlib import Path

import keras
import numpy as np

from pipeline import backend
from pipeline.captioner import training
from pipeline.captioner.batches import Captions, Split
from pipeline.captioner.captioner import Captioner, SearchSettings
from pipeline.captioner.decoders.find import DECODERS, build
from pipeline.text.vocabulary import Vocabulary

folder, backend_name = Path(sys.argv[1]), keras.backend.backend()
trains = sys.argv[2] == "train"
texts = [text.split() for text in ("a red dog runs", "two cats sleep near a tree")] * 8
vocabulary = Vocabulary.build(texts, 1)
search = SearchSettings.plain(beam_width=3, length_penalty=0.9, max_words=6)
grids = np.random.default_rng(2).normal(size=(len(texts), 2, 3, 5)).astype("float32")
captions = Captions(np.arange(len(texts)), [vocabulary.encode(text) for text in texts])
tokens = np.array([[1, 4, 5, 6], [1, 6, 6, 9]], "int32")

OFF = dict(
    word_vectors="random", tie_weights=False, layer_norm=False, variational_dropout=False,
    attention_width=None,
    accumulate=1, schedule="cosine", plateau=1, label_smoothing=0.0, scheduled_sampling=0.0,
    attention_penalty=0.0, ema=0.0, precision="float32",
)
RICH = dict(
    tie_weights=True, layer_norm=True, variational_dropout=True, accumulate=3, schedule="plateau",
    label_smoothing=0.1, ema=0.5, epochs=2,
)
RANDOM = dict(RICH, dropout=0.3, scheduled_sampling=1.0, precision="mixed_float16", accumulate=2)


def train(settings, split, name):
    """Train from weights that are the same under both backends."""
    decoder = build(settings, len(vocabulary), split.features.shape[1:], settings.precision)
    rng = np.random.default_rng(1)
    decoder.set_weights([rng.normal(0, 0.5, weight.shape) for weight in decoder.get_weights()])
    told = []
    checkpoint = folder / f"{backend_name}-{name}"
    training.fit(Captioner(decoder, vocabulary), split, split, settings, checkpoint, told.append)
    return [list(metrics.values()) for metrics in told]


numbers = {}
for name in DECODERS:
    settings = training.TrainSettings(
        decoder=name, units=8, embedding=6, dropout=0.0, epochs=1, patience=1, batch_size=4,
        learning_rate=0.01, warmup=0.1, clip_norm=1.0, max_words=6, seed=1, **OFF,
    )
    features = grids if DECODERS[name].needs_grid else grids[:, 0, 0]
    split = Split(features, captions, [[text] for text in texts])
    backend.seed(1)
    decoder = build(settings, len(vocabulary), features.shape[1:])
    decoder.load_weights(folder / f"{name}.weights.h5")
    captioner = Captioner(decoder, vocabulary)
    log_probs = keras.ops.log_softmax(decoder((features[:2], tokens)))
    state, memory, steps = decoder.start(features[:2]), decoder.memory(features[:2]), []
    for place in range(tokens.shape[1]):
        step, state = decoder.step(tokens[:, place], state, memory)
        steps.append(keras.ops.convert_to_numpy(step))
    found, trained, rich, random = [], [], [], []
    if not trains and name in ("inject", "adaptive", "top_down"):  # one of each kind is enough
        found = captioner.caption(features[:5], search)
    if trains and name in ("inject", "adaptive"):
        checkpoint = folder / f"{backend_name}-{name}"
        training.fit(captioner, split, split, settings, checkpoint, trained.append)
        penalty = dict(attention_penalty=0.5 * DECODERS[name].needs_grid)
        changed = settings.model_copy(update={**RICH, **penalty})
        rich = train(changed, split, f"{name}-rich")
        changed = settings.model_copy(update={**RANDOM, **penalty})
        random = train(changed, split, f"{name}-random")
    numbers |= {
        f"{name} log_probs": keras.ops.convert_to_numpy(log_probs),
        f"{name} steps": steps,
        f"{name} beam": [[caption.log_prob for caption in picture] for picture in found],
        f"{name} words": [[caption.text for caption in picture] for picture in found],
        f"{name} trained": [list(metrics.values()) for metrics in trained],
        f"{name} rich": rich,
        f"{name} random": random,
    }
arrays = {key: np.array(value) for key, value in numbers.items()}
np.savez(folder / f"{backend_name}-{sys.argv[2]}.npz", **arrays)
'''


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The work above, and weights of every decoder to do it with."""
    from pipeline.captioner.decoders.find import DECODERS, build

    folder = tmp_path_factory.mktemp("backends")
    for name in DECODERS:
        shape = DecoderSettings.plain(decoder=name, units=8, embedding=6, dropout=0.0)
        decoder = build(shape, 13, (2, 3, 5) if DECODERS[name].needs_grid else (5,))
        rng = np.random.default_rng(1)
        decoder.set_weights([rng.normal(0, 0.7, value.shape) for value in decoder.get_weights()])
        decoder.save_weights(folder / f"{name}.weights.h5")
    (folder / "work.py").write_text(WORK)
    return folder


def run(folder: Path, what: str) -> list[Mapping[str, np.ndarray]]:
    """Do the work under each backend, at the same time; return all numbers of both."""
    environment = {**os.environ, "KERAS_BACKEND": "jax", "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, str(folder / "work.py"), str(folder), what]
    jax = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["work.py", *command[2:]])
        runpy.run_path(str(folder / "work.py"))
    _, told = jax.communicate()
    assert jax.returncode == 0, told
    return [np.load(folder / f"{backend}-{what}.npz") for backend in ("tensorflow", "jax")]


@pytest.fixture(scope="module")
def numbers(folder):
    return run(folder, "caption")


@pytest.mark.parametrize("decoder", get_args(DecoderSettings.model_fields["decoder"].annotation))
def test_jax_gives_the_numbers_of_tensorflow(numbers, decoder):
    one, other = ({key: found[f"{decoder} {key}"] for key in KEYS} for found in numbers)
    np.testing.assert_allclose(one["log_probs"], other["log_probs"], atol=1e-4)
    np.testing.assert_allclose(one["steps"], other["steps"], atol=1e-4)
    np.testing.assert_allclose(one["beam"], other["beam"], atol=1e-4)
    assert one["words"].tolist() == other["words"].tolist()


def test_jax_trains_as_tensorflow_does(folder):
    numbers = run(folder, "train")
    for decoder in ("inject", "adaptive"):
        one, other = ({key: found[f"{decoder} {key}"] for key in KEYS} for found in numbers)
        assert len(one["trained"]) == 1
        assert len(one["rich"]) == 2
        # Adam divides by the gradient's size: what is rounded differently is soon 1e-3 apart.
        np.testing.assert_allclose(one["trained"], other["trained"], atol=2e-3)
        np.testing.assert_allclose(one["rich"], other["rich"], atol=5e-3)
        # What is drawn at random differs, and so do the numbers, but not by much.
        for found in (one, other):
            assert np.isfinite(found["random"]).all()
        np.testing.assert_allclose(one["random"], other["random"], atol=0.5)


IN_16_BITS = """
import numpy as np
import keras
from pipeline.captioner.decoders.base import DecoderSettings
from pipeline.captioner.decoders.find import DECODERS, build

for name in (name for name in DECODERS if DECODERS[name].needs_grid):
    shape = DecoderSettings.plain(decoder=name, units=8, embedding=6, dropout=0.0)
    decoder = build(shape, 13, (2, 3, 5), "mixed_bfloat16")
    grids, tokens = np.ones((2, 2, 3, 5), "float32"), np.ones((2, 4), "int32")
    decoder((grids, tokens))
    with keras.src.backend.AutocastScope("bfloat16"):
        outputs, _ = decoder.attend_all((grids.astype("float32"), tokens), None)
    print(name, keras.backend.standardize_dtype(outputs.dtype))
"""


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_what_is_asked_for_in_16_bits_is_computed_in_16_bits(backend):
    """An array of NumPy's among the numbers makes float32 of them under JAX, unseen."""
    environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-c", IN_16_BITS]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert dict(line.split() for line in done.stdout.splitlines()) == dict.fromkeys(
        ("attention", "adaptive", "top_down"), "bfloat16"
    )
