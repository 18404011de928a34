"""The command `features`."""

import json
import logging
import shutil
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.files import unsealed, write_sealed
from pipeline.images.decode import read_square
from pipeline.images.devices import OnDevices
from pipeline.images.encoder import Encoder
from pipeline.images.shards import read_manifest, read_shards
from pipeline.images.spec import read_spec
from stages.features import at_once, encode_with, kept_as


def run(tiny, out, **changes):
    return tiny.run("features", tiny.raw, tiny.images, tiny.data / "encoder", out, **changes)


def test_every_picture_has_the_encoder_s_features(featured):
    encoder = Encoder.load(featured.data / "encoder")
    known = read_shards(featured.data / "features", encoder.spec.fingerprint)
    assert known.ids == sorted(known.ids)
    assert known.values.shape == (42, 2048)
    manifest = read_manifest(featured.data / "features")
    assert [shard.rows for shard in manifest.shards] == [16, 16, 10]
    pixels = [read_square(featured.raw / f"{name}.png", 32, 10**6) for name in known.ids[:16]]
    np.testing.assert_array_equal(
        encoder.encode(np.stack(pixels)).astype("float16"), known.values[:16]
    )


@pytest.mark.parametrize("warm", [True, False])
def test_the_same_bytes_with_and_without_a_warm_cache(featured, content, tmp_path, warm, caplog):
    if not warm:
        shutil.rmtree(featured.data / "cache" / "features")
    with caplog.at_level(logging.INFO):
        assert run(featured, tmp_path / "out").code == 0
    assert f"{0 if warm else 42} encoded now" in caplog.text
    assert content(tmp_path / "out") == content(featured.data / "features")


def test_grids_and_other_precisions_are_never_mixed_with_averages(featured, tmp_path, caplog):
    fingerprint = read_manifest(featured.data / "features").encoder
    with caplog.at_level(logging.INFO):
        for name, changes in {
            "-grid": {"pooling": "grid"},
            "-views": {"pooling": "views"},
            "-bfloat16": {"precision": "bfloat16"},
        }.items():
            caplog.clear()
            assert run(featured, tmp_path / name, **changes).code == 0
            assert "42 encoded now" in caplog.text
            assert read_manifest(tmp_path / name).encoder == fingerprint + name
    grids = read_shards(tmp_path / "-grid", f"{fingerprint}-grid")
    averages = read_shards(featured.data / "features", fingerprint)
    assert grids.values.shape == (42, 4, 4, 1024)
    assert grids.ids == averages.ids
    views = read_shards(tmp_path / "-views", f"{fingerprint}-views")
    assert (views.ids, views.values.shape) == (averages.ids, (42, 2 * 2048))
    pooled = grids.values.astype("float32").mean((1, 2))
    np.testing.assert_allclose(pooled, averages.values[:, :1024], rtol=0.01, atol=0.001)


def test_of_views_as_many_are_seen_at_once_as_of_pictures(featured, tmp_path, monkeypatch):
    encode, seen = Encoder.encode, []

    def noted(encoder, pictures):
        seen.append(len(pictures))
        return encode(encoder, pictures)

    monkeypatch.setattr(Encoder, "encode", noted)
    for batch_size, pictures in ((16, 2), (3, 1)):
        shutil.rmtree(featured.data / "cache" / "features")
        seen.clear()
        out = tmp_path / f"{batch_size}"
        assert run(featured, out, pooling="views", batch_size=batch_size).code == 0
        assert set(seen) == {pictures}


def test_auto_settles_on_a_precision_and_says_so(featured, tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        assert run(featured, tmp_path / "out", precision="auto").code == 0
    assert "features: precision " in caplog.text
    assert "by 16 pictures (each: float32 " in caplog.text


def test_auto_is_settled_once_for_a_cache(featured, tmp_path, monkeypatch, caplog):
    cache = featured.data / "cache" / "features"
    shutil.rmtree(cache)
    probed = []

    def fastest(encoder, pixels):
        probed.append(len(pixels))
        return encoder.at("bfloat16")  # as it may be chosen by chance

    monkeypatch.setattr("stages.features.fastest", fastest)
    with caplog.at_level(logging.INFO):
        for _ in range(2):
            assert run(featured, tmp_path / "out", precision="auto").code == 0
    assert probed == [16]
    assert read_manifest(tmp_path / "out").encoder.endswith("-bfloat16")
    assert f"bfloat16, as was chosen before ({cache / 'precision.json'})" in caplog.text
    assert "0 encoded now" in caplog.text, "no picture is encoded again"
    assert run(featured, tmp_path / "out", precision="auto", pooling="grid").code == 0
    assert probed == [16, 16], "another network is another choice"
    assert run(featured, tmp_path / "out", precision="auto").code == 0
    assert probed == [16, 16], "and the first one is still known"
    shutil.rmtree(cache)  # as `make clean-cache` does
    assert run(featured, tmp_path / "out", precision="auto").code == 0
    assert probed == [16, 16, 16]


def test_what_a_few_pictures_chose_is_not_kept_for_many(featured, tmp_path, monkeypatch):
    def fastest(encoder, pixels):
        return encoder.at("bfloat16")

    monkeypatch.setattr("stages.features.fastest", fastest)
    monkeypatch.setattr("stages.features.probe_size", lambda _: 99)
    kept = featured.data / "cache" / "features" / "precision.json"
    kept.unlink(missing_ok=True)
    assert run(featured, tmp_path / "out", precision="auto").code == 0
    assert not kept.exists()


def test_features_that_were_made_otherwise_are_not_taken_from_the_cache(
    featured, tmp_path, monkeypatch, caplog
):
    """Another version of a package, or of ours of decoding or encoding, gives other bytes."""
    changes = {
        "stages.features.ENCODING": 99,
        "stages.features.DECODING": 99,
        "keras.__version__": "0.0",
        "pipeline.backend.version": lambda: "0.0",
    }
    caplog.set_level(logging.INFO)
    for name, value in changes.items():
        caplog.clear()
        with monkeypatch.context() as patch:
            patch.setattr(name, value)
            assert run(featured, tmp_path / "out").code == 0
        assert "42 encoded now" in caplog.text, name


@pytest.mark.parametrize(("has_gpu", "expected"), [(True, 20), (False, 16)])
def test_a_gpu_is_probed_with_a_whole_batch(featured, tmp_path, monkeypatch, has_gpu, expected):
    probed = []

    def fastest(encoder, pixels):
        probed.append(len(pixels))
        raise InputError("enough")

    (featured.data / "cache" / "features" / "precision.json").unlink(missing_ok=True)
    monkeypatch.setattr("pipeline.backend.has_gpu", lambda: has_gpu)
    monkeypatch.setattr("pipeline.images.computing.kind_of_device", lambda: "H200")
    monkeypatch.setattr("stages.features.fastest", fastest)
    assert run(featured, tmp_path / "out", precision="auto", batch_size=20).code == 2
    assert probed == [expected]


def test_the_slowest_part_is_told(featured, tmp_path, caplog):
    shutil.rmtree(featured.data / "cache" / "features")
    with caplog.at_level(logging.INFO):
        assert run(featured, tmp_path / "out").code == 0
    assert "was the slowest: of " in caplog.text
    assert "of its 2 threads" in caplog.text
    assert "42 encoded now, the others known before; shards: " in caplog.text


@pytest.mark.parametrize(
    ("backend", "has_gpu", "expected"),
    [("tensorflow", False, 2), ("tensorflow", True, 1), ("jax", False, 1), ("jax", True, 1)],
)
def test_two_batches_are_encoded_at_once_where_that_is_safe(
    monkeypatch, backend, has_gpu, expected
):
    monkeypatch.setattr("keras.backend.backend", lambda: backend)
    monkeypatch.setattr("pipeline.backend.has_gpu", lambda: has_gpu)
    assert at_once() == expected


@pytest.mark.parametrize("gpus", [0, 1, 2])
def test_all_gpus_are_taken_and_told_where_there_are_several(
    featured, tmp_path, monkeypatch, caplog, gpus
):
    taken = []
    monkeypatch.setattr("pipeline.backend.gpus", lambda: ["cpu:0"] * gpus)
    monkeypatch.setattr(
        "stages.features.extract",
        lambda pictures, raw, source, *_: taken.append(source) or stop(),
    )

    def stop():
        raise InputError("enough")

    with caplog.at_level(logging.INFO):
        assert run(featured, tmp_path / "out").code == 2
    [source] = taken
    assert (source.at_once, type(source.encode.__self__)) == (
        (2, OnDevices) if gpus == 2 else (2 - gpus, Encoder)
    )
    assert ("encodes on 2 GPUs" in caplog.text) is (gpus == 2)


def test_what_has_no_room_is_one_line(featured, one_line, tmp_path, monkeypatch):
    shutil.rmtree(featured.data / "cache" / "features")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    assert "1000 bytes free" in one_line(run(featured, tmp_path / "out"))


def test_another_format_has_the_same_values(featured, tmp_path):
    assert run(featured, tmp_path / "out", format="tfrecord", rows_per_shard=50).code == 0
    encoder = read_manifest(featured.data / "features").encoder
    one, other = (read_shards(f, encoder) for f in (featured.data / "features", tmp_path / "out"))
    assert one.ids == other.ids
    assert np.array_equal(one.values, other.values)


@pytest.mark.parametrize(
    "changes",
    [
        {"format": "csv"},
        {"dtype": "int8"},
        {"batch_size": 0},
        {"pooling": "max"},
        {"precision": "float64"},
        {"workers": 0},
        {"cache_gib": 0},
    ],
)
def test_wrong_settings_are_one_line(featured, one_line, tmp_path, changes):
    assert f"features.{next(iter(changes))}" in one_line(run(featured, tmp_path / "out", **changes))


def test_a_missing_encoder_is_one_line(tiny, one_line, tmp_path):
    result = tiny.run("features", tiny.raw, tiny.images, tmp_path, tmp_path / "out")
    assert "encoder.json: no such file" in one_line(result)


def test_files_of_two_encoders_are_one_line(featured, one_line, tmp_path):
    folder = shutil.copytree(featured.data / "encoder", tmp_path / "encoder")
    spec = json.loads(unsealed((folder / "encoder.json").read_bytes()))
    write_sealed(folder / "encoder.json", {**spec, "fingerprint": "0" * 64})
    result = featured.run("features", featured.raw, featured.images, folder, tmp_path / "out")
    assert "do not belong together" in one_line(result)


def test_a_picture_that_is_gone_is_one_line_and_nothing_is_written(
    make_tiny, encoded, one_line, tmp_path
):
    tiny = make_tiny(tmp_path / "data", {"train": 20})
    (tiny.raw / "train-19.png").unlink()
    encoder, out = encoded.data / "encoder", tmp_path / "out"
    result = tiny.run("features", tiny.raw, tiny.images, encoder, out)
    assert "train-19.png" in one_line(result)
    assert not out.exists()


@pytest.mark.slow
def test_a_cluster_gives_the_same_bytes(featured, content, tmp_path, caplog):
    ray = pytest.importorskip("ray")
    shutil.rmtree(featured.data / "cache" / "features")
    try:
        with caplog.at_level(logging.INFO):
            assert run(featured, tmp_path / "out", engine="ray").code == 0
    finally:
        ray.shutdown()
    assert "42 encoded now" in caplog.text
    assert content(tmp_path / "out") == content(featured.data / "features")


def on_nowhere(featured, out, **changes):
    ray = {"address": "127.0.0.1:1", "actors": 2, "num_cpus": 2.5, "num_gpus": 0}
    return run(featured, out, engine="ray", ray=ray, **changes)


def test_a_run_with_a_warm_cache_needs_no_cluster(featured, content, tmp_path):
    assert run(featured, tmp_path / "out").code == 0
    assert on_nowhere(featured, tmp_path / "out").code == 0
    assert content(tmp_path / "out") == content(featured.data / "features")


@pytest.fixture
def given(featured, tmp_path, monkeypatch):
    """Run the stage for a cluster with an empty cache; return what the cluster would be given."""
    taken = []

    def encode_on_cluster(*arguments):
        taken.extend(arguments)
        raise InputError("enough")

    def cluster_of(**changes):
        shutil.rmtree(featured.data / "cache" / "features", ignore_errors=True)
        monkeypatch.setattr("stages.features.encode_on_cluster", encode_on_cluster)
        assert on_nowhere(featured, tmp_path / "out", **changes).code == 2
        return taken

    return cluster_of


def test_actors_get_the_backend_and_what_else_decides_on_bytes(given, monkeypatch):
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    environment = given()[-1]
    assert environment["KERAS_BACKEND"] == keras.backend.backend()
    assert environment["TF_ENABLE_ONEDNN_OPTS"] == "0"


def test_an_actor_of_another_backend_is_refused(given, monkeypatch):
    make_encoder, expected = given()[2], kept_as()
    monkeypatch.setattr("keras.backend.backend", lambda: "other")
    monkeypatch.setattr("pipeline.backend.version", lambda: "1")
    with pytest.raises(InputError) as told:
        make_encoder()
    assert f"expected the packages {expected[1:]}" in str(told.value)
    assert "Received: other" in str(told.value)


def test_an_actor_with_another_encoder_is_refused(given, featured, monkeypatch):
    """As where its machine has a copy of the folder, of before."""
    monkeypatch.setattr("pipeline.images.computing.limit_threads", lambda _: None)
    make_encoder = given()[2]
    other = Encoder.load(featured.data / "encoder")
    other.body.set_weights([weight + 1 for weight in other.body.get_weights()])
    changed = Encoder(other.body, other.spec.network, other.spec.side, other.spec.source)
    shutil.copytree(featured.data / "encoder", featured.data / "kept")
    try:
        changed.save(featured.data / "encoder")
        with pytest.raises(InputError) as told:
            make_encoder()
    finally:
        shutil.rmtree(featured.data / "encoder")
        (featured.data / "kept").rename(featured.data / "encoder")
    assert f"expected the encoder {other.identity[:12]}" in str(told.value)
    assert f"Received: {changed.identity[:12]}" in str(told.value)


def test_an_actor_computes_with_the_threads_it_was_given(featured, monkeypatch):
    threads, hidden = [], []
    monkeypatch.setattr("pipeline.images.computing.limit_threads", threads.append)
    monkeypatch.setattr("pipeline.images.computing.hide_gpus", lambda: hidden.append(True))
    expected = read_spec(featured.data / "encoder").fingerprint, kept_as()
    given = featured.data / "encoder", "average", "float32", expected, 3
    encode_with(*given, num_gpus=0.5)
    assert not hidden
    encode = encode_with(*given, num_gpus=0)
    assert (threads, hidden) == ([3, 3], [True])
    pixels = np.zeros((1, 32, 32, 3), "uint8")
    expected = Encoder.load(featured.data / "encoder").encode(pixels)
    np.testing.assert_array_equal(encode(pixels), expected)


@pytest.mark.parametrize(("precision", "hidden"), [("float32", True), ("auto", False)])
def test_the_gpus_are_the_actors_unless_the_precision_is_tried_here(
    given, monkeypatch, precision, hidden
):
    asked = []
    monkeypatch.setattr("pipeline.images.computing.hide_gpus", lambda: asked.append(True))
    given(precision=precision)
    assert bool(asked) is hidden
