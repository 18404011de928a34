"""Which network, with which weights; and what is told where there are none."""

from pathlib import Path

import keras
import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.errors import InputError
from pipeline.images.networks import NETWORKS
from pipeline.images.settle import EncoderSettings, pretrained, side_of, untrained

COMPACT = {"labels": 5, "epochs": 1, "batch_size": 4, "learning_rate": 0.01, "seed": 1}
FINETUNING = {
    **{"labels": 5, "share": 0.5, "epochs": 1, "batch_size": 4, "learning_rate": 0.01},
    **{"weight_decay": 0.0, "mirror": False, "seed": 1},
}
URL = "https://storage.googleapis.com/tensorflow/keras-applications/resnet/resnet50_notop.h5"


def settings(**changes: object) -> EncoderSettings:
    chosen = {"network": "compact", "weights": "train", "weights_folder": "w", "side": 32}
    chosen["layers"] = []
    sections = {"compact": COMPACT, "finetune": False, "finetuning": FINETUNING}
    return EncoderSettings(**{**chosen, **sections, **changes})


def test_a_network_trained_here_cannot_be_fine_tuned():
    with pytest.raises(ValidationError, match="finetune is for pretrained weights"):
        settings(finetune=True)
    assert settings(finetune=True, weights="imagenet", network="ResNet50").finetune


@pytest.fixture
def body() -> keras.Model:
    keras.utils.set_random_seed(1)
    return NETWORKS["compact"].body(None, 32)


@pytest.mark.parametrize("name", ["mine.weights.h5", "mine.h5"])  # Keras 3's format and Keras 2's
def test_a_weights_file_is_loaded(body, tmp_path, name):
    body.save_weights(tmp_path / "mine.weights.h5")
    if name == "mine.h5":
        from keras.src.legacy.saving import legacy_h5_format

        legacy_h5_format.save_weights_to_hdf5_group(_h5(tmp_path / name), body)
    encoder = pretrained(settings(weights=name), tmp_path)
    pairs = zip(encoder.body.get_weights(), body.get_weights(), strict=True)
    assert all(np.array_equal(*pair) for pair in pairs)
    assert (encoder.spec.source, encoder.spec.side) == (name, 32)


def _h5(path: Path):
    import h5py

    return h5py.File(path, "w")


def test_a_missing_weights_file_is_told_with_what_is_there(tmp_path):
    (tmp_path / "a.weights.h5").touch()
    (tmp_path / "b.h5").touch()
    with pytest.raises(InputError, match=r"c\.h5: no such file.*there is: a\.weights\.h5, b\.h5"):
        pretrained(settings(weights="c.h5"), tmp_path)


@pytest.mark.parametrize("folder", ["", "absent"])
def test_a_folder_without_weights_is_told(tmp_path, folder):
    with pytest.raises(InputError, match=r"there is: no \.h5 file"):
        pretrained(settings(weights="c.h5"), tmp_path / folder)


def test_weights_of_another_network_are_refused(body, tmp_path, recwarn):
    body.save_weights(tmp_path / "compact.weights.h5")
    with pytest.raises(InputError, match=r"compact\.weights\.h5: expected weights of MobileN") as e:
        pretrained(settings(network="MobileNetV2", weights="compact.weights.h5"), tmp_path)
    assert "\n" not in str(e.value)
    assert not [w for w in recwarn if w.category is UserWarning]  # Keras has hundreds for this


@pytest.mark.parametrize("content", [b"", b"not HDF5"])
def test_a_broken_weights_file_is_refused_in_one_line(tmp_path, content):
    (tmp_path / "w.h5").write_bytes(content)
    with pytest.raises(InputError, match=r"w\.h5: expected weights of compact") as caught:
        pretrained(settings(weights="w.h5"), tmp_path)
    assert "\n" not in str(caught.value)


def test_only_compact_is_trained_here():
    with pytest.raises(ValidationError, match="train is for network: compact alone"):
        settings(network="ResNet50")
    assert untrained(settings()).spec.side == 32


def test_compact_has_no_imagenet_weights():
    with pytest.raises(ValidationError, match="never trained on ImageNet"):
        settings(weights="imagenet")


@pytest.mark.parametrize("name", ["/weights/mine.h5", "../mine.h5", "a/../../mine.h5"])
def test_weights_outside_of_their_folder_are_refused(name):
    """DVC would not notice when they change."""
    with pytest.raises(ValidationError, match="the name of a file in encoder"):
        settings(weights=name)
    assert settings(weights="below/mine.h5").weights == "below/mine.h5"


def test_without_a_network_one_line_says_what_to_fetch_and_where_to_put_it(monkeypatch, tmp_path):
    def no_network(*_, **__):
        raise Exception(f"URL fetch failure on {URL}: None -- [Errno -3] name resolution")

    monkeypatch.setattr("keras.src.applications.resnet.file_utils.get_file", no_network)
    with pytest.raises(InputError) as caught:
        pretrained(settings(network="ResNet50", weights="imagenet"), tmp_path)
    told = str(caught.value)
    assert f"Fetch {URL} " in told
    assert str(tmp_path) in told
    assert "encoder.weights: resnet50_notop.h5" in told
    assert "\n" not in told


def test_the_side_is_as_set_or_the_network_s_own():
    assert side_of(settings(side=64)) == 64
    assert side_of(settings(side=None, network="InceptionV3", weights="imagenet")) == 299


@pytest.mark.parametrize(("network", "least"), [("InceptionV3", 75), ("Xception", 71)])
def test_a_side_that_a_network_cannot_be_built_for_is_refused(network, least):
    given = {"network": network, "weights": "imagenet"}
    assert side_of(settings(side=least, **given)) == least
    with pytest.raises(ValidationError, match=f"at least {least} pixels for {network}, not 64"):
        settings(side=64, **given)


MOBILE = {"network": "MobileNetV2", "weights": "mine.weights.h5"}


def test_earlier_layers_come_with_the_weights_of_the_file(tmp_path):
    keras.utils.set_random_seed(2)
    plain = NETWORKS["MobileNetV2"].body(None, 32)
    plain.save_weights(tmp_path / "mine.weights.h5")
    encoder = pretrained(settings(**MOBILE, layers=["block_15_expand_relu"]), tmp_path)
    pairs = zip(encoder.body.get_weights(), plain.get_weights(), strict=True)
    assert all(np.array_equal(*pair) for pair in pairs)
    assert (encoder.spec.layers, encoder.spec.features) == (["block_15_expand_relu"], 1280 + 960)
    without = pretrained(settings(**MOBILE), tmp_path)
    assert without.spec.fingerprint != encoder.spec.fingerprint


def test_earlier_layers_of_the_network_trained_here_are_refused():
    with pytest.raises(ValidationError, match="not for compact"):
        settings(layers=["places"])


def test_an_earlier_layer_that_is_named_twice_is_refused():
    with pytest.raises(ValidationError, match=r"each once\. Received: a, b, a"):
        settings(**MOBILE, layers=["a", "b", "a"])
