"""A pretrained encoder is continued on the words of captions."""

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image

from pipeline import backend
from pipeline.errors import InputError
from pipeline.images.compact import NormalisedPointwise
from pipeline.images.finetune import (
    FinetuneSettings,
    _optimizer,
    finetune,
    half_mirrored,
    learning,
    upper_layers,
)
from tests.pipeline.images.conftest import draw

SIDE = 16
SETTINGS = FinetuneSettings(
    **{"labels": 2, "share": 0.5, "epochs": 4, "batch_size": 8, "learning_rate": 0.02},
    **{"weight_decay": 0.0, "mirror": False, "seed": 1},
)


def network() -> tuple[keras.Model, keras.Model]:
    """Build a tiny encoder, and the body in it."""
    backend.seed(1)
    pictures = keras.Input((SIDE, SIDE, 3))
    values = layers.Conv2D(4, 3, 2, activation="tanh", name="lowest")(pictures)
    values = layers.Conv2D(4, 3, 2, activation="tanh", name="low")(values)
    values = layers.BatchNormalization(name="norm")(values)
    values = layers.Conv2D(4, 1, activation="tanh", name="high")(values)
    values = layers.Conv2D(4, 1, activation="tanh", name="highest")(values)
    body = keras.Model(pictures, layers.GlobalAveragePooling2D()(values), name="tiny")
    whole = keras.Input((SIDE, SIDE, 3), dtype="uint8")
    return keras.Model(whole, body(keras.ops.cast(whole, "float32") / 255.0)), body


def lessons(raw, number=32):
    """Draw pictures of one grey or another; the label is which."""
    rng = np.random.default_rng(1)
    wanted = rng.integers(0, 2, (number, 1))
    pictures = []
    for row, bright in enumerate(wanted[:, 0]):
        picture = draw(raw / f"{row:03d}.png", row)
        Image.new("RGB", (40, 30), (10 + 235 * int(bright),) * 3).save(raw / picture.path)
        content = (raw / picture.path).read_bytes()
        pictures.append(told(picture, content))
    return pictures, np.hstack([wanted, 1 - wanted]).astype("float32")


def told(picture, content):
    """Describe the picture as `ingest` would."""
    import dataclasses
    import hashlib

    from pipeline.images.decode import Span

    return dataclasses.replace(
        picture, span=Span(0, len(content)), sha256=hashlib.sha256(content).hexdigest()
    )


def weights(body):
    return {layer.name: [w.copy() for w in layer.get_weights()] for layer in body.layers}


def test_upper_layers_learn_and_the_others_stay(tmp_path):
    encoder, body = network()
    before = weights(body)
    finetune(encoder, body, *_arguments(tmp_path), SETTINGS)
    after = weights(body)
    changed = {
        name
        for name in before
        if any(not np.array_equal(a, b) for a, b in zip(before[name], after[name], strict=True))
    }
    assert changed == {"high", "highest"}
    assert all(layer.trainable for layer in body.layers), "as it was before"


def test_statistics_stay_also_where_a_convolution_measures_them_itself(tmp_path):
    """As that of `compact` does, which is no `BatchNormalization`."""
    backend.seed(1)
    pictures = keras.Input((SIDE, SIDE, 3))
    values = layers.Conv2D(4, 3, 2, name="low")(pictures)
    own = NormalisedPointwise(4)
    values = own(values)
    body = keras.Model(pictures, layers.GlobalAveragePooling2D()(values), name="tiny")
    whole = keras.Input((SIDE, SIDE, 3), dtype="uint8")
    encoder = keras.Model(whole, body(keras.ops.cast(whole, "float32") / 255.0))
    kernel = np.array(own.kernel)
    finetune(encoder, body, *_arguments(tmp_path), SETTINGS)
    assert np.array_equal(np.array(own.mean), np.zeros(4))
    assert np.array_equal(np.array(own.variance), np.ones(4))
    assert not np.array_equal(np.array(own.kernel), kernel), "it learns"
    assert own.measures


def _arguments(tmp_path):
    raw = tmp_path / "raw"
    pictures, wanted = lessons(raw)
    return pictures, raw, wanted


def test_the_uppermost_come_first(tmp_path, monkeypatch):
    encoder, body = network()
    trained = []
    original = keras.Model.compile

    def compile_(self, *arguments, **others):
        trained.append([layer.name for layer in body.layers if layer.trainable and layer.weights])
        return original(self, *arguments, **others)

    monkeypatch.setattr(keras.Model, "compile", compile_)
    finetune(encoder, body, *_arguments(tmp_path), SETTINGS.model_copy(update={"epochs": 2}))
    assert trained == [[], ["highest"], ["high", "highest"]]


@pytest.mark.parametrize(
    ("number", "epochs", "counts"),
    [
        (31, 6, [0, 5, 10, 15, 20, 25, 31]),
        (2, 4, [0, 1, 1, 1, 2]),
        (1, 3, [0, 1, 1, 1]),  # a small share: the one layer learns from the first epoch on
    ],
)
def test_more_layers_learn_epoch_after_epoch_and_always_one(number, epochs, counts):
    upper = [layers.Dense(1) for _ in range(number)]
    found = [learning(upper, epoch, epochs) for epoch in range(epochs + 1)]
    assert [len(chosen) for chosen in found] == counts
    assert all(chosen == upper[: len(chosen)] for chosen in found)


def test_the_optimizer_goes_on_as_one_that_knew_all_weights_from_the_start():
    settings = SETTINGS.model_copy(update={"weight_decay": 0.1})
    rate = keras.optimizers.schedules.CosineDecay(settings.learning_rate, settings.epochs * 5)
    whole = keras.optimizers.AdamW(rate, weight_decay=0.1)
    rng = np.random.default_rng(1)
    ours, theirs = (
        [keras.Variable(np.ones(3, "float32"), name=name) for name in ("late", "early")]
        for _ in range(2)
    )
    whole.build(theirs[::-1])
    optimizer = None
    for epoch in range(1, 4):
        first = 1 if epoch == 1 else 0  # in the model's order, what comes in later is before
        optimizer = _optimizer(settings, 5, ours[first:], optimizer)
        for _ in range(5):
            gradients = [rng.normal(size=3).astype("float32") for _ in ours[first:]]
            optimizer.apply(gradients, ours[first:])
            whole.apply(gradients, theirs[first:])
    for one, other in zip(ours, theirs, strict=True):
        assert np.array_equal(one, other)
        assert not np.array_equal(one, np.ones(3))


@pytest.mark.slow
def test_the_features_come_to_tell_the_labels(tmp_path):
    encoder, body = network()
    pictures, raw, wanted = _arguments(tmp_path)
    finetune(
        encoder,
        body,
        pictures,
        raw,
        wanted,
        SETTINGS.model_copy(update={"epochs": 12, "learning_rate": 0.1, "batch_size": 4}),
    )
    pixels = np.stack([np.asarray(Image.open(raw / p.path).resize((SIDE, SIDE))) for p in pictures])
    features = np.asarray(encoder(pixels))
    bright, dark = features[wanted[:, 0] == 1], features[wanted[:, 0] == 0]
    apart = np.linalg.norm(bright.mean(0) - dark.mean(0))
    encoder, body = network()
    features = np.asarray(encoder(pixels))
    before = features[wanted[:, 0] == 1].mean(0) - features[wanted[:, 0] == 0].mean(0)
    assert apart > 2 * np.linalg.norm(before)


def test_half_of_the_pictures_are_mirrored():
    pictures = np.random.default_rng(1).integers(0, 256, (400, 2, 3, 3), dtype=np.uint8)
    given = half_mirrored(pictures, np.random.default_rng(1))
    same = (given == pictures).all(axis=(1, 2, 3))
    swapped = (given == pictures[:, :, ::-1]).all(axis=(1, 2, 3))
    assert given.dtype == np.uint8
    assert (same ^ swapped).all()
    assert 150 < swapped.sum() < 250


@pytest.mark.parametrize("mirror", [False, True])
def test_pictures_are_mirrored_only_where_that_is_set(tmp_path, monkeypatch, mirror):
    asked = []
    monkeypatch.setattr(
        "pipeline.images.finetune.half_mirrored", lambda views, rng: asked.append(1) or views
    )
    settings = SETTINGS.model_copy(update={"epochs": 1, "mirror": mirror})
    finetune(*network(), *_arguments(tmp_path), settings)
    assert bool(asked) is mirror


@pytest.mark.parametrize(("share", "names"), [(0.01, ["highest"]), (0.5, ["highest", "high"])])
def test_the_share_is_of_the_layers_with_weights(share, names):
    _, body = network()
    assert [layer.name for layer in upper_layers(body, share)] == names


def test_a_network_without_weights_is_told():
    pictures = keras.Input((SIDE, SIDE, 3))
    body = keras.Model(pictures, layers.GlobalAveragePooling2D()(pictures), name="bare")
    with pytest.raises(InputError, match="bare has no layers with weights"):
        upper_layers(body, 0.5)
