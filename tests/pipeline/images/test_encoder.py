"""The encoder: what is loaded is what was saved, or is refused."""

import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.files import unsealed, write_sealed
from pipeline.images.encoder import Encoder, fingerprint, load_weights
from pipeline.images.networks import NETWORKS, beside
from pipeline.images.spec import SPEC, WEIGHTS, read_spec

SIDE = 32
PIXELS = np.random.default_rng(1).integers(0, 256, (3, SIDE, SIDE, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    keras.utils.set_random_seed(1)
    return Encoder(NETWORKS["compact"].body(None, SIDE), "compact", SIDE, "train")


@pytest.fixture(scope="module")
def saved(encoder, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("encoder") / "encoder"
    encoder.save(folder)
    return folder


@pytest.fixture
def copy(saved, tmp_path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "encoder"))


def test_loaded_it_gives_the_same_features(encoder, saved):
    loaded = Encoder.load(saved)
    assert loaded.spec == encoder.spec == read_spec(saved)
    assert np.array_equal(loaded.encode(PIXELS), encoder.encode(PIXELS))
    assert encoder.encode(PIXELS).shape == (3, encoder.spec.features)


def test_a_grid_is_the_map_before_pooling(encoder, saved):
    grid = Encoder.load(saved, "grid")
    assert (encoder.shape, grid.shape) == ((2048,), (4, 4, 1024))
    found = grid.encode(PIXELS)
    assert (found.shape, found.dtype) == ((3, 4, 4, 1024), np.float32)
    average = encoder.encode(PIXELS)
    np.testing.assert_allclose(found.mean((1, 2)), average[:, :1024], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.max((1, 2)), average[:, 1024:], rtol=1e-4, atol=1e-6)


def test_each_way_of_running_has_its_own_identity_and_features(encoder, saved):
    ways = [("average", "float32"), ("average", "bfloat16"), ("grid", "bfloat16")]
    loaded = [Encoder.load(saved, *way) for way in ways]
    assert {one.spec.fingerprint for one in loaded} == {encoder.identity}
    assert len({one.identity for one in loaded}) == 3
    assert loaded[1].shape == (2048,)
    found = loaded[1].encode(PIXELS)
    assert found.dtype == np.float32
    assert not np.array_equal(found, encoder.encode(PIXELS))
    assert encoder.at("bfloat16").identity == loaded[1].identity
    assert np.array_equal(encoder.at("bfloat16").encode(PIXELS), found)


def test_saved_twice_it_has_the_same_bytes(encoder, saved, tmp_path):
    encoder.save(tmp_path / "again")
    for name in (SPEC, WEIGHTS):
        assert (tmp_path / "again" / name).read_bytes() == (saved / name).read_bytes()


def test_earlier_layers_are_saved_and_loaded(tmp_path):
    keras.utils.set_random_seed(1)
    body = beside(NETWORKS["MobileNetV2"].body(None, SIDE), ["block_15_expand_relu", "block_5_add"])
    encoder = Encoder(body, "MobileNetV2", SIDE, "random")
    encoder.save(tmp_path / "encoder")
    loaded, grid = (Encoder.load(tmp_path / "encoder", one) for one in ("average", "grid"))
    assert loaded.spec == encoder.spec
    assert (loaded.spec.layers, loaded.shape) == (["block_15_expand_relu", "block_5_add"], (2272,))
    assert np.array_equal(loaded.encode(PIXELS), encoder.encode(PIXELS))
    assert np.array_equal(loaded.copy().encode(PIXELS), encoder.encode(PIXELS))
    assert grid.encode(PIXELS).shape == (3, 1, 1, 2272)
    other = Encoder(beside(NETWORKS["MobileNetV2"].body(None, SIDE), []), "MobileNetV2", SIDE, "r")
    other.body.set_weights(body.get_weights())
    assert fingerprint(other.body, "MobileNetV2", SIDE) != encoder.spec.fingerprint


def tiny(*weights: float) -> keras.Model:
    body = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name="only")])
    body.set_weights([np.array(weights, "float32").reshape(2, 1), np.zeros(1, "float32")])
    return body


def test_the_fingerprint_changes_with_whatever_decides_on_the_features():
    first = fingerprint(tiny(1, 2), "compact", 32)
    assert first == fingerprint(tiny(1, 2), "compact", 32)
    assert len(first) == 64
    others = [
        fingerprint(tiny(1, np.nextafter(np.float32(2), np.float32(3))), "compact", 32),
        fingerprint(tiny(1, 2), "compact", 64),
        fingerprint(tiny(1, 2), "ResNet50", 32),
    ]
    assert len({first, *others}) == 4


def test_a_flipped_byte_in_the_weights_is_found(copy):
    data = bytearray((copy / WEIGHTS).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / WEIGHTS).write_bytes(data)
    with pytest.raises(InputError, match="fingerprint"):
        Encoder.load(copy)


def test_weights_of_another_training_are_refused(copy):
    keras.utils.set_random_seed(2)
    NETWORKS["compact"].body(None, SIDE).save_weights(copy / WEIGHTS)
    with pytest.raises(InputError, match="do not belong together"):
        Encoder.load(copy)


@pytest.mark.parametrize(
    "changes",
    [{"side": 64}, {"network": "VGG16"}, {"features": 7}, {"network": "MobileNetV2"}],
)
def test_another_description_is_refused(copy, changes):
    spec = json.loads(unsealed((copy / SPEC).read_bytes()))
    write_sealed(copy / SPEC, {**spec, **changes})
    with pytest.raises(InputError) as caught:
        Encoder.load(copy)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("layers", [["block_99"], ["block_5_add", "block_5_add"]])
def test_layers_that_cannot_be_are_told_with_the_file(tmp_path, layers):
    body = NETWORKS["MobileNetV2"].body(None, SIDE)
    Encoder(body, "MobileNetV2", SIDE, "random").save(tmp_path / "encoder")
    path = tmp_path / "encoder" / SPEC
    spec = json.loads(unsealed(path.read_bytes()))
    assert "layers" not in spec, "as before there were any"
    write_sealed(path, {**spec, "layers": layers})
    with pytest.raises(InputError, match=f"{SPEC}: expected a side and layers of Mob") as caught:
        Encoder.load(tmp_path / "encoder")
    assert "\n" not in str(caught.value)


def test_missing_files_are_named(copy):
    (copy / WEIGHTS).unlink()
    with pytest.raises(InputError, match=WEIGHTS):
        Encoder.load(copy)
    (copy / SPEC).unlink()
    with pytest.raises(InputError, match=SPEC):
        Encoder.load(copy)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"network": 7}'])
def test_what_is_no_description_is_refused_in_one_line(tmp_path, text):
    (tmp_path / SPEC).write_text(text)
    with pytest.raises(InputError, match="expected the description of an encoder") as caught:
        read_spec(tmp_path)
    assert "\n" not in str(caught.value)


def test_whatever_byte_of_a_weights_file_is_flipped_the_error_is_one_line(tmp_path):
    tiny(1, 2).save_weights(tmp_path / "w.weights.h5")
    whole = (tmp_path / "w.weights.h5").read_bytes()
    refused = []
    for place in range(0, len(whole), len(whole) // 150):
        damaged = bytearray(whole)
        damaged[place] ^= 0x5A
        (tmp_path / "w.weights.h5").write_bytes(damaged)
        try:
            load_weights(tiny(0, 0), tmp_path / "w.weights.h5", "compact")
        except InputError as error:
            refused.append(str(error))
    assert len(refused) > 3
    assert not any("\n" in message for message in refused)
