"""One encoder a device: each works, and the shards are those of one encoder."""

import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

import keras
import numpy as np
import pytest
import yaml

from pipeline.images.devices import OnDevices
from pipeline.images.encoder import Encoder
from pipeline.images.networks import NETWORKS
from pipeline.tables import IMAGES, write_rows
from tests.pipeline.images.conftest import draw
from tests.stages.conftest import SETTINGS

REPOSITORY = Path(__file__).parents[3]
SIDE = 32
PIXELS = np.random.default_rng(1).integers(0, 256, (4, SIDE, SIDE, 3), dtype=np.uint8)
WORK = '''
"""Make features on one device and on two, which the CPU is taken for; print what was where."""

import hashlib
import json
import sys
from pathlib import Path

import keras

folder, precision = Path(sys.argv[1]), sys.argv[2]
if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

    [cpu] = tf.config.list_physical_devices("CPU")
    two = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, two)

from pipeline import backend
from pipeline.images.devices import OnDevices
from stages.features import features

all_of_them = keras.distribution.list_devices()
used, made, encode_on, begin = [], [], OnDevices._on, OnDevices.__init__


def watched(self, device):
    used.append(device)
    return encode_on(self, device)


def kept(self, *arguments):
    made.append(self)
    begin(self, *arguments)


OnDevices._on, OnDevices.__init__ = watched, kept
told = {}
for name, devices in ("one", []), ("two", all_of_them):
    backend.gpus = lambda: devices
    out = folder / f"{keras.backend.backend()}-{name}"
    features(
        folder / "raw", folder / "images.parquet", folder / "encoder", out,
        params=folder / f"{precision}.yaml", cache=folder / f"cache-{out.name}",
    )
    told[name] = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in out.iterdir()}


def places(encoder):
    """Where the weights lie."""
    values = [weight.value for weight in encoder.ready.weights]
    if keras.backend.backend() == "jax":
        return sorted({str(device.id) for value in values for device in value.devices()})
    return sorted({value.device.rsplit(":", 1)[1] for value in values})


told["used"] = sorted(used)
told["places"] = {name: places(encoder) for name, encoder in made[0].encoders.items()}
print(json.dumps(told))
'''


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    keras.utils.set_random_seed(1)
    return Encoder(NETWORKS["compact"].body(None, SIDE), "compact", SIDE, "train", "grid")


def test_a_copy_gives_the_same_bytes_with_weights_of_its_own(encoder):
    copy = encoder.copy()
    assert copy.identity == encoder.identity
    assert np.array_equal(copy.encode(PIXELS), encoder.encode(PIXELS))
    assert copy.body.weights[0] is not encoder.body.weights[0]


class Stub:
    """Stands in for the encoder of a device; a batch of zeros is refused."""

    def __init__(self) -> None:
        self.batches, self.is_busy = 0, False
        self.together: threading.Barrier | None = None

    def encode(self, pictures: np.ndarray) -> np.ndarray:
        assert not self.is_busy
        self.is_busy = True
        self.batches += 1
        if self.together is not None:
            self.together.wait()
        self.is_busy = False
        if not pictures.any():
            raise RuntimeError("out of memory")
        return pictures


@pytest.fixture
def pool(encoder, monkeypatch) -> OnDevices:
    """Three devices with a stub each, where the machine may have one."""
    monkeypatch.setattr(keras, "device", lambda name: nullcontext())
    made = OnDevices(encoder, ["cpu:0", "cpu:1", "cpu:2"])
    made.encoders = {name: Stub() for name in ("cpu:0", "cpu:1", "cpu:2")}
    return made


def test_all_devices_work_at_the_same_time_and_none_has_two_batches_at_once(pool):
    together = threading.Barrier(3, timeout=30)  # broken where one of them waits for another
    for stub in pool.encoders.values():
        stub.together = together
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda _: pool.encode(PIXELS), range(12)))
    assert [stub.batches for stub in pool.encoders.values()] == [4, 4, 4]


def test_one_thread_comes_to_every_device(pool):
    for _ in range(6):
        pool.encode(PIXELS)
    assert [stub.batches for stub in pool.encoders.values()] == [2, 2, 2]


def test_a_device_is_free_again_after_an_error(pool):
    for _ in range(3):
        with pytest.raises(RuntimeError, match="out of memory"):
            pool.encode(np.zeros_like(PIXELS))
    assert np.array_equal(pool.encode(PIXELS), PIXELS)


def test_nothing_is_built_before_a_batch_comes(encoder, monkeypatch):
    monkeypatch.setattr(Encoder, "copy", lambda self: pytest.fail("built for nothing"))
    assert set(OnDevices(encoder, ["cpu:0", "cpu:1"]).encoders) == {"cpu:0"}


@pytest.fixture(scope="module")
def folder(encoder, tmp_path_factory) -> Path:
    """Pictures, an encoder, and the settings of two runs."""
    folder = tmp_path_factory.mktemp("devices")
    pictures = [draw(folder / "raw" / f"p{n:03d}.png", n) for n in range(30)]
    rows = [
        {
            **{"image_id": one.image_id, "split": "train", "path": one.path, "offset": 0},
            **{"bytes": (folder / "raw" / one.path).stat().st_size, "sha256": one.sha256},
            **{"width": 40, "height": 30, "mode": "RGB", "dhash": "0" * 64},
        }
        for one in pictures
    ]
    write_rows(folder / "images.parquet", rows, IMAGES, ["image_id"])
    encoder.save(folder / "encoder")
    for precision in ("float32", "bfloat16"):
        section = {**SETTINGS["features"], "batch_size": 4, "precision": precision}
        (folder / f"{precision}.yaml").write_text(yaml.safe_dump({"features": section}))
    (folder / "work.py").write_text(WORK)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backend", "precision"),
    [("tensorflow", "float32"), ("tensorflow", "bfloat16"), ("jax", "float32")],
)
def test_two_devices_give_the_shards_of_one(folder, backend, precision):
    environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(REPOSITORY)}
    environment["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"
    command = [sys.executable, str(folder / "work.py"), str(folder), precision]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["one"] == told["two"]
    assert len(told["one"]) == 3, "two shards and the manifest"
    assert told["used"].count("cpu:0") + told["used"].count("cpu:1") == 8
    assert {"cpu:0", "cpu:1"} <= set(told["used"])
    assert told["places"] == {"cpu:0": ["0"], "cpu:1": ["1"]}
