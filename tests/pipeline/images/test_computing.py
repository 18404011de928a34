"""What features are computed on; in processes of their own, as it is set before any begins."""

import os
import subprocess
import sys

import pytest
import tensorflow as tf

from pipeline.images import computing

THREADS = """
import os, sys
import keras
from pipeline.images.computing import limit_threads
limit_threads(int(sys.argv[1]))
rows = keras.random.normal((64, 64)) @ keras.random.normal((64, 64))
print(len(os.listdir("/proc/self/task")))
"""
HIDDEN = """
import keras
from pipeline.images.computing import hide_gpus
hide_gpus()
import jax
print(jax.config.jax_platforms, float(keras.ops.sum(keras.ops.ones(3))))
"""


def told(code: str, name: str, *arguments: str) -> str:
    """Run code in a process under a backend; return what it prints last."""
    command = [sys.executable, "-c", code, *arguments]
    environment = {**os.environ, "KERAS_BACKEND": name}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return result.stdout.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tensorflow", "jax"])
def test_a_backend_starts_as_many_threads_as_it_may(name):
    few, many = (int(told(THREADS, name, count)) for count in ("1", "31"))
    assert many - few >= 30


@pytest.mark.slow
def test_under_jax_no_gpu_is_looked_for():
    assert told(HIDDEN, "jax") == "cpu 3.0"


def test_under_tensorflow_no_gpu_is_seen(monkeypatch):
    seen = []
    monkeypatch.setattr(tf.config, "set_visible_devices", lambda *given: seen.append(given))
    computing.hide_gpus()
    assert seen == [([], "GPU")]


def test_where_tensorflow_has_begun_all_stays_as_it_is(monkeypatch):
    def begun(*_):
        raise RuntimeError("Visible devices cannot be modified after being initialized")

    monkeypatch.setattr(tf.config, "set_visible_devices", begun)
    computing.hide_gpus()
