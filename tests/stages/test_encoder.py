"""The command `encoder`."""

import random
import shutil
import tracemalloc

import keras
import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.images.encoder import Encoder
from stages.encoder import _lessons, _read_all, _tables


@pytest.fixture
def run(cleaned, tmp_path):
    """Settle an encoder in tmp_path / "out"; the weights are looked for in tmp_path."""

    def encoder(tiny=cleaned, **changes):
        inputs = tiny.raw, tiny.images, tiny.captions, tmp_path, tmp_path / "out"
        return tiny.run("encoder", *inputs, **changes)

    return encoder


def test_compact_is_trained_on_the_captions(encoded):
    encoder = Encoder.load(encoded.data / "encoder")
    assert (encoder.spec.network, encoder.spec.side) == ("compact", 32)
    assert (encoder.spec.features, encoder.spec.source) == (2048, "train")


def test_pictures_are_held_once_in_their_order(monkeypatch):
    sizes = [256] * 40 + [100]

    def batches(pictures, raw, side, batch_size):
        for number, size in enumerate(sizes):
            yield range(size), np.full((size, side, side, 3), number, np.uint8)

    monkeypatch.setattr("stages.encoder.read_batches", batches)
    tracemalloc.start()
    pixels = _read_all(range(sum(sizes)), None, 32)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1.2 * pixels.nbytes
    assert pixels.shape == (sum(sizes), 32, 32, 3)
    assert np.array_equal(pixels[:, 0, 0, 0], np.repeat(np.arange(41), sizes))


def test_pictures_that_do_not_fit_into_memory_are_told_before_any_is_read(monkeypatch):
    monkeypatch.setattr("pipeline.machine.memory", lambda: 2**20)
    with pytest.raises(
        InputError, match=r"encoder\.side: expected 400 training pictures of 32 pix"
    ):
        _read_all(range(400), None, 32)
    for memory in (2**30, None):
        monkeypatch.setattr("pipeline.machine.memory", lambda memory=memory: memory)
        monkeypatch.setattr("stages.encoder.read_batches", lambda *_: [])
        assert len(_read_all(range(400), None, 32)) == 400


@pytest.mark.slow
def test_a_network_that_drops_layers_is_fine_tuned_with_the_same_bytes_each_time(
    run, content, tmp_path
):
    """EfficientNetV2 has layers that draw their seed when they are made."""
    body = keras.applications.EfficientNetV2B0(
        include_top=False, weights=None, input_shape=(32, 32, 3), include_preprocessing=False
    )
    body.save_weights(tmp_path / "mine.weights.h5")
    contents = []
    for number in (1, 2):
        random.seed(number)  # as in two processes
        changes = {"network": "EfficientNetV2B0", "side": 32, "weights": "mine.weights.h5"}
        result = run(finetune=True, **changes)
        assert result.code == 0, result.err
        contents.append(content(tmp_path / "out"))
    assert contents[0] == contents[1]


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes(encoded, run, content, tmp_path):
    assert run().code == 0
    assert content(tmp_path / "out") == content(encoded.data / "encoder")


def test_a_weights_file_is_taken_as_it_is(encoded, run, tmp_path):
    made = Encoder.load(encoded.data / "encoder")
    shutil.copyfile(encoded.data / "encoder" / "encoder.weights.h5", tmp_path / "mine.weights.h5")
    assert run(weights="mine.weights.h5").code == 0
    again = Encoder.load(tmp_path / "out")
    assert again.spec.fingerprint == made.spec.fingerprint
    assert again.spec.source == "mine.weights.h5"


@pytest.mark.slow
def test_a_weights_file_is_fine_tuned_with_the_same_bytes_each_time(
    encoded, run, content, tmp_path
):
    shutil.copyfile(encoded.data / "encoder" / "encoder.weights.h5", tmp_path / "mine.weights.h5")
    contents = []
    for _ in range(2):
        assert run(weights="mine.weights.h5", finetune=True).code == 0
        contents.append(content(tmp_path / "out"))
    tuned, before = Encoder.load(tmp_path / "out"), Encoder.load(encoded.data / "encoder")
    assert contents[0] == contents[1]
    assert tuned.spec.source == "mine.weights.h5, fine-tuned"
    assert tuned.spec.fingerprint != before.spec.fingerprint


def test_fine_tuning_learns_what_share_of_a_picture_s_captions_has_a_word(
    encoded, run, tmp_path, monkeypatch
):
    asked = []
    monkeypatch.setattr(  # one of a picture's two captions tells the place, both the colour
        "pipeline.images.train_encoder.choose_labels", lambda texts, number: ["left", "red"]
    )
    monkeypatch.setattr(
        "pipeline.images.finetune.finetune", lambda *arguments: asked.append(arguments[4])
    )
    shutil.copyfile(encoded.data / "encoder" / "encoder.weights.h5", tmp_path / "mine.weights.h5")
    assert run(weights="mine.weights.h5", finetune=True).code == 0
    left, red = asked[0].T
    assert (set(left), set(red)) == ({0, 0.5}, {0, 1})


def test_a_picture_that_lost_its_captions_teaches_nothing(cleaned, monkeypatch, caplog):
    """It would teach that it has none of the words."""
    monkeypatch.setattr("pipeline.images.train_encoder.MIN_PICTURES", 5)
    images, captions = _tables(cleaned.images, cleaned.captions)
    lost = "train-03"
    kept = captions.filter([name != lost for name in captions["image_id"].to_pylist()])
    with caplog.at_level("INFO"):
        pictures, texts, _ = _lessons(images, kept, 10)
    assert len(pictures) == 29
    assert lost not in {picture.image_id for picture in pictures}
    assert all(texts)
    assert "1 training pictures have no caption left" in caplog.text


@pytest.mark.parametrize(
    ("changes", "mend"),
    [
        ({}, "lower encoder.compact.learning_rate"),
        ({"weights": "mine.weights.h5"}, "take another"),
        (
            {"weights": "mine.weights.h5", "finetune": True},
            "lower encoder.finetuning.learning_rate",
        ),
    ],
)
def test_weights_that_are_no_numbers_are_never_an_encoder(
    encoded, run, one_line, tmp_path, monkeypatch, changes, mend
):
    shutil.copyfile(encoded.data / "encoder" / "encoder.weights.h5", tmp_path / "mine.weights.h5")
    for name in ("pipeline.images.train_encoder.fit", "pipeline.images.finetune.finetune"):
        monkeypatch.setattr(name, lambda *_: None)
    get_weights = keras.Model.get_weights
    monkeypatch.setattr(
        keras.Model, "get_weights", lambda model: [np.nan * one for one in get_weights(model)]
    )
    told = one_line(run(**changes))
    assert "expected weights of compact that are numbers" in told
    assert mend in told
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"weights": "none.h5"}, "no such file"),
        ({"finetune": True}, "finetune is for pretrained weights"),
        ({"weights": "imagenet"}, "never trained on ImageNet"),
        ({"network": "ResNet50"}, "compact alone"),
        ({"network": "resnet50"}, "encoder.network"),
        ({"side": 16}, "encoder.side"),
    ],
)
def test_wrong_settings_are_one_line(run, one_line, tmp_path, changes, told):
    assert told in one_line(run(**changes))
    assert not (tmp_path / "out").exists()


def test_too_few_pictures_to_train_on_are_one_line(make_tiny, run, one_line, tmp_path):
    for splits in ({"train": 4}, {"test": 4}):
        tiny = make_tiny(tmp_path / f"data-{next(iter(splits))}", splits)
        tiny.run("clean", tiny.data / "ingest" / "captions.parquet", tiny.data / "clean")
        assert "training pictures" in one_line(run(tiny))


def test_a_picture_that_has_changed_is_one_line(make_tiny, run, one_line, tmp_path):
    tiny = make_tiny(tmp_path / "data", {"train": 36})
    tiny.run("clean", tiny.data / "ingest" / "captions.parquet", tiny.data / "clean")
    shutil.copyfile(tiny.raw / "train-00.png", tiny.raw / "train-01.png")
    assert "train-01.png: has changed since `ingest` saw it" in one_line(run(tiny))
