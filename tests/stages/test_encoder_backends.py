"""`encoder` and `features` do the same under TensorFlow and under JAX."""

import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from pipeline.images import finetune
from pipeline.images.decode import read_square
from pipeline.images.encoder import Encoder
from pipeline.images.precision import least_cosine
from pipeline.images.shards import read_manifest, read_shards

REPOSITORY = Path(__file__).parents[2]
pytestmark = pytest.mark.slow  # a process that has JAX compile seven networks
WORK = '''
"""Train an encoder, fine-tune another, and make features, by the settings in a folder."""

import sys
from pathlib import Path

import keras
import numpy as np

from pipeline.images import finetune
from stages.encoder import encoder
from stages.features import features

raw, images, captions, made, folder = map(Path, sys.argv[1:])
out = folder / keras.backend.backend()
start = finetune.start_at_frequencies


def start_alike(head, wanted):
    """Have the head begin with the same weights under both, which draw other random numbers."""
    start(head, wanted)
    head.kernel.assign(np.random.default_rng(1).normal(0, 0.1, head.kernel.shape))


finetune.start_at_frequencies, finetune.DROPOUT = start_alike, 0.0
for name in ("trained", "tuned"):
    encoder(raw, images, captions, folder, out / name, params=folder / f"{name}.yaml")
for name in ("average", "grid", "bfloat16"):
    features(raw, images, made, out / name, params=folder / f"{name}.yaml", cache=out / "cache")
features(raw, images, out / "trained", out / "own", folder / "average.yaml", out / "cache")
'''


@pytest.fixture(scope="module")
def made(encoded, tiny_settings, tmp_path_factory) -> Path:
    """What both backends make, each in a folder of its name."""
    folder = tmp_path_factory.mktemp("backends")
    shutil.copyfile(encoded.data / "encoder" / "encoder.weights.h5", folder / "mine.weights.h5")
    (folder / "work.py").write_text(WORK)
    tuning = {**tiny_settings["encoder"]["finetuning"], "epochs": 2}  # 2 layers, then 4
    tuned = {"weights": "mine.weights.h5", "finetune": True, "finetuning": tuning}
    for name, section, changes in (
        ("trained", "encoder", {}),
        ("tuned", "encoder", tuned),
        ("average", "features", {"dtype": "float32"}),
        ("grid", "features", {"dtype": "float32", "pooling": "grid"}),
        ("bfloat16", "features", {"dtype": "float32", "precision": "bfloat16"}),
    ):
        settings = {section: {**tiny_settings[section], **changes}}
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(settings))
    given = (encoded.raw, encoded.images, encoded.captions, encoded.data / "encoder", folder)
    command = [sys.executable, str(folder / "work.py"), *map(str, given)]
    environment = {**os.environ, "KERAS_BACKEND": "jax", "PYTHONPATH": str(REPOSITORY)}
    jax = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", command[1:])
        for name in ("start_at_frequencies", "DROPOUT"):  # put back afterwards
            patch.setattr(finetune, name, getattr(finetune, name))
        runpy.run_path(command[1])
    _, told = jax.communicate()
    assert jax.returncode == 0, told
    return folder


def values(folder: Path) -> np.ndarray:
    return read_shards(folder, read_manifest(folder).encoder).values


def test_fine_tuning_moves_every_weight_as_tensorflow_does(made, encoded):
    before = Encoder.load(encoded.data / "encoder").body
    one, other = (Encoder.load(made / name / "tuned").body for name in ("tensorflow", "jax"))
    moved = 0
    for start, *ends in zip(before.weights, one.weights, other.weights, strict=True):
        expected, found = (np.ravel(np.asarray(end) - np.asarray(start)) for end in ends)
        assert expected.any() == found.any(), start.path
        if expected.any():
            moved += 1
            assert least_cosine(found[None], expected[None]) > 0.99, start.path
            assert np.linalg.norm(found) == pytest.approx(np.linalg.norm(expected), rel=0.02)
    assert moved >= 4, "the upper half of eight layers, whichever have weights"


@pytest.mark.parametrize("name", ["average", "grid"])
def test_features_are_those_of_tensorflow(made, name):
    one, other = (values(made / backend / name) for backend in ("tensorflow", "jax"))
    assert one.shape == other.shape
    assert least_cosine(one, other) > 0.99999


def test_features_in_bfloat16_are_nearly_those_in_float32(made):
    exact = values(made / "tensorflow" / "average")
    for backend in ("tensorflow", "jax"):
        found = values(made / backend / "bfloat16")
        assert least_cosine(found, exact) > 0.999
        assert not np.array_equal(found, exact)


def test_what_jax_trained_is_used_by_tensorflow(made, encoded):
    encoder = Encoder.load(made / "jax" / "trained")
    assert encoder.spec.fingerprint != Encoder.load(encoded.data / "encoder").spec.fingerprint
    known = read_shards(made / "jax" / "own", encoder.identity)
    pixels = [read_square(encoded.raw / f"{name}.png", 32, 10**6) for name in known.ids]
    assert least_cosine(encoder.encode(np.stack(pixels)), known.values) > 0.99999
