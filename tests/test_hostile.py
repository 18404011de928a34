"""Files that mean harm, or are broken in ways nobody thought of: one line, and nothing happens.

What each reader of a data set makes of odd rows is tested beside it; pictures, tar shards and zips
of bundles have tests of their own, too.
"""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline import weights
from pipeline.errors import InputError
from pipeline.files import sha256_of, unsealed, write_sealed
from pipeline.images.shards import MANIFEST, open_shards
from pipeline.params import load
from pipeline.text.clean import CleanSettings
from tools.fuzz_readers import ENCODER, READERS, feed, whole, write_features

ROOT = Path(__file__).parents[1]
SLOW = "tfrecord"  # loads TensorFlow
ATHERIS_RUNS = 2000


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow if name == SLOW else ()) for name in READERS],
)
def test_whatever_the_bytes_they_are_read_or_told_in_one_line(tmp_path, name):
    good = whole(name, tmp_path)
    quiet = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]

    @settings(deadline=None, max_examples=60, suppress_health_check=quiet)
    @given(
        at=st.floats(0, 1),
        cut=st.integers(0, 40),
        put=st.binary(max_size=20),
        all_new=st.booleans(),
    )
    def damaged(at: float, cut: int, put: bytes, all_new: bool) -> None:
        place = int(at * len(good))
        feed(name, put if all_new else good[:place] + put + good[place + cut :])

    feed(name, good)
    damaged()


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["params", "csv", "jsonl", "coco", "karpathy", "flickr8k", "tar", "picture", "name"],
)
def test_what_atheris_finds(tmp_path, name):
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("atheris is not installed: see tools/fuzz.py")
    (tmp_path / "seeds").mkdir()
    (tmp_path / "seeds" / "whole").write_bytes(whole(name, tmp_path))
    options = [f"-runs={ATHERIS_RUNS}", "-max_total_time=60", "-rss_limit_mb=4096", "-timeout=10"]
    command = [sys.executable, "-m", "tools.fuzz", name, *options, str(tmp_path / "seeds")]
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]


YAML = {
    "lists without end": "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
    + "".join(
        f"{c}: &{c} [{', '.join(9 * ['*' + p])}]\n"
        for p, c in zip("abcdefg", "bcdefgh", strict=True)
    )
    + "clean:\n  min_words: *h\n  max_words: 30\n  max_dropped: 0.05\n",
    "nested too deeply": "clean: " + "[" * 5000,
    "a list of itself": "clean:\n  min_words: &a [*a]\n  max_words: 1\n  max_dropped: 0.0\n",
    "a number without end": "clean:\n  min_words: " + "9" * 5000 + "\n",
    "no number": "clean:\n  min_words: !!int ''\n",
    "no day": "clean:\n  min_words: 2001-99-99\n",
    "a program": "clean: !!python/object/apply:os.system ['touch done']\n",
    "a module": "clean: !!python/module:antigravity\n",
}


@pytest.mark.parametrize("name", YAML)
def test_settings_that_mean_harm_are_one_line(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(YAML[name])
    with pytest.raises(InputError) as caught:
        load(CleanSettings, "clean", tmp_path / "params.yaml")
    assert len(str(caught.value)) < 5000
    assert "\n" not in str(caught.value)
    assert os.listdir(tmp_path) == ["params.yaml"]  # noqa: PTH208 - no program has run


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "a/../../x", "..", "a\\b"])
def test_shards_and_files_of_a_bundle_lie_in_their_folder(tmp_path, name):
    from pipeline.captioner import bundle

    write_features(tmp_path / "set", "parquet")
    manifest = json.loads(unsealed((tmp_path / "set" / MANIFEST).read_bytes()))
    manifest["shards"][0]["file"] = name
    write_sealed(tmp_path / "set" / MANIFEST, manifest)
    with pytest.raises(InputError, match="names of files beside it"):
        open_shards(tmp_path / "set", ENCODER)
    needed = ("vocabulary.json", "decoder.weights.h5", "encoder/encoder.json")
    files = dict.fromkeys((name, *needed, "encoder/encoder.weights.h5"), "0" * 64)
    shape = bundle.DecoderSettings.plain(decoder="inject", units=8, embedding=6, dropout=0.1)
    content = {
        "version": 2,
        "decoder": shape.model_dump(),
        "feature_shape": [9],
        "encoder": ENCODER,
    }
    write_sealed(tmp_path / "bundle.json", {**content, "files": files})
    with pytest.raises(InputError, match="names of files in the bundle"):
        bundle.read_description(tmp_path)


@pytest.mark.parametrize("changes", [{"shape": [10**12]}, {"shape": [0]}, {"shape": [-3]}])
def test_a_manifest_that_claims_more_than_there_is_takes_no_memory(tmp_path, changes):
    write_features(tmp_path / "set", "parquet")
    path = tmp_path / "set" / MANIFEST
    write_sealed(path, {**json.loads(unsealed(path.read_bytes())), **changes})
    with pytest.raises(InputError, match=r"as manifest\.json says"):
        open_shards(tmp_path / "set", ENCODER)


def test_a_pipe_in_the_place_of_a_description_does_not_hang(tmp_path):
    from pipeline.captioner import bundle

    os.mkfifo(tmp_path / "bundle.json")
    with pytest.raises(InputError, match="a device or a pipe"):
        bundle.read_description(tmp_path)


def to_elsewhere(file: h5py.File, folder: Path) -> None:
    file["vars"] = h5py.ExternalLink(str(folder / "other.h5"), "secret")


def a_soft_link(file: h5py.File, folder: Path) -> None:
    file["vars"] = h5py.SoftLink("/")


def bytes_of_another_file(file: h5py.File, folder: Path) -> None:
    file.create_dataset("0", (4,), "u1", external=[("/etc/passwd", 0, 4)])


def virtual(file: h5py.File, folder: Path) -> None:
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource(folder / "other.h5", "secret", (4,))
    file.create_virtual_dataset("0", layout)


def terabytes(file: h5py.File, folder: Path) -> None:
    file.create_dataset("0", (1 << 40,), "f4", chunks=(1 << 10,))


def itself(file: h5py.File, folder: Path) -> None:
    group = file.create_group("layers")
    group["layers"] = group


def doubling(file: h5py.File, folder: Path) -> None:
    group = file
    for _ in range(40):  # of which the last has 2^40 names
        inner = group.create_group("0")
        group["1"] = inner
        group = inner


def objects(file: h5py.File, folder: Path) -> None:
    file.create_dataset("0", (1,), h5py.string_dtype())


@pytest.mark.parametrize(
    "trap",
    [
        *(to_elsewhere, a_soft_link, bytes_of_another_file, virtual, terabytes),
        *(itself, doubling, objects),
    ],
)
def test_weights_with_a_trap_are_refused(tmp_path, trap):
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["secret"] = np.ones(4, "f4")
    with h5py.File(tmp_path / "x.weights.h5", "w") as file:
        file["plain"] = np.ones(4, "f4")
        trap(file, tmp_path)
    with pytest.raises(ValueError, match=r"which|whose|without end|more than|bytes in a file"):
        weights.check(tmp_path / "x.weights.h5")


def test_a_network_of_any_size_is_not_built_for_a_small_file(tmp_path):
    from pipeline.captioner import bundle

    shape = bundle.DecoderSettings.plain(
        decoder="inject", units=10**6, embedding=10**6, dropout=0.1
    )
    names = ("vocabulary.json", "decoder.weights.h5")
    names += ("encoder/encoder.json", "encoder/encoder.weights.h5")
    (tmp_path / "encoder").mkdir()
    for name in names[1:]:
        with h5py.File(tmp_path / name, "w") as file:
            file["0"] = np.ones(4, "f4")
    (tmp_path / names[0]).write_bytes(whole("vocabulary", tmp_path))
    description = bundle.Description(
        version=bundle.VERSION,
        decoder=shape,
        feature_shape=(9,),
        encoder=ENCODER,
        files={name: sha256_of(tmp_path / name) for name in names},
    )
    write_sealed(tmp_path / "bundle.json", description.model_dump())
    with pytest.raises(InputError, match="where 16000060000000 are needed at least"):
        bundle.load_captioner(tmp_path)
