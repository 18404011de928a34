"""The command `train`."""

import json
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline.captioner import bundle
from pipeline.captioner.captioner import SearchSettings
from pipeline.images.encoder import Encoder
from pipeline.images.shards import open_shards, read_manifest


def test_the_bundle_the_metrics_and_the_curves_are_written(trained):
    folder = trained.data / "train"
    captioner = bundle.load_captioner(folder / "bundle")
    assert len(captioner.vocabulary) == 15
    Encoder.load(folder / "bundle" / bundle.ENCODER)
    metrics = json.loads((folder / "metrics.json").read_text())
    assert sorted(metrics) == ["epoch", "epochs", "loss", "val_cider_d", "val_loss"]
    assert metrics["epochs"] == 2
    for name in ("loss", "val_loss", "val_cider_d"):
        curve = (folder / "curves" / "plots" / "metrics" / f"{name}.tsv").read_text().splitlines()
        assert curve[0] == f"step\t{name}"
        assert len(curve) == 3


def test_the_checkpoint_is_gone_when_the_bundle_is_there(trained):
    assert list((trained.data / "cache" / "train").iterdir()) == []


def test_the_same_seed_gives_the_same_bytes(trained, train_inputs, content, tmp_path):
    assert trained.run("train", *train_inputs, tmp_path).code == 0
    assert content(tmp_path) == content(trained.data / "train")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"decoder": "transformer"}, "train.decoder"),
        ({"decoder": "attention"}, "train.decoder: attention needs a grid"),
        ({"dropout": 1.0}, "train.dropout"),
        ({"learning_rate": "1e-3"}, "write 0.001"),
        ({"lerning_rate": 0.1}, "train.lerning_rate is not a setting"),
    ],
)
def test_wrong_settings_are_one_line(featured, train_inputs, one_line, tmp_path, changes, told):
    result = featured.run("train", *train_inputs, tmp_path / "out", **changes)
    assert told in one_line(result)
    assert not (tmp_path / "out").exists()


def test_features_of_another_encoder_are_one_line(featured, train_inputs, one_line, tmp_path):
    images, captions, words, encoder, features = train_inputs
    other = shutil.copytree(encoder, tmp_path / "encoder")
    spec = json.loads((other / "encoder.json").read_text())
    (other / "encoder.json").write_text(json.dumps({**spec, "fingerprint": "0" * 64}))
    out = tmp_path / "out"
    result = featured.run("train", images, captions, words, other, features, out)
    assert "expected features of the encoder 000000000000" in one_line(result)
    assert not out.exists()


def test_a_split_without_pictures_is_one_line(
    featured, train_inputs, make_tiny, one_line, tmp_path
):
    tiny = make_tiny(tmp_path / "data", {"train": 6})
    _, captions, *others = train_inputs
    result = tiny.run("train", tiny.images, captions, *others, tmp_path / "out")
    assert "split 'val'. Received: 0 pictures" in one_line(result)


def test_pictures_without_features_are_one_line(featured, train_inputs, one_line, tmp_path):
    images, captions, words, encoder, _ = train_inputs
    known = featured.data / "few"
    few = tmp_path / "few.parquet"
    table = pq.read_table(images)
    pq.write_table(table.slice(0, 20), few)
    assert featured.run("features", featured.raw, few, encoder, known).code == 0
    result = featured.run("train", images, captions, words, encoder, known, tmp_path / "out")
    assert "without features. Run `dvc repro`" in one_line(result)


@pytest.fixture(scope="module", params=["parquet", "tfrecord"])
def gridded(request, encoded, train_inputs, tmp_path_factory):
    """What `train` is given, with features of grids, and the folder of these."""
    out = tmp_path_factory.mktemp("grids") / "features"
    result = encoded.run(
        "features", encoded.raw, encoded.images, encoded.data / "encoder", out,
        pooling="grid", format=request.param,
    )  # fmt: skip
    assert result.code == 0, result.err
    return *train_inputs[:-1], out


def test_a_decoder_that_attends_is_trained_from_grids_to_captions(
    featured, gridded, command, tmp_path
):
    result = featured.run("train", *gridded, tmp_path / "train", decoder="adaptive", epochs=1)
    assert result.code == 0, result.err
    folder = tmp_path / "train" / "bundle"
    description = bundle.read_description(folder)
    assert len(description.feature_shape) == 3
    assert description.encoder == read_manifest(gridded[-1]).encoder
    picture = featured.raw / "test-03.png"
    told = command("caption", picture, "--bundle", folder, "--length-penalty", 1.0)
    assert told.code == 0, told.err
    reader = open_shards(gridded[-1], description.encoder)
    grid = reader.rows(np.array([reader.row_of()["test-03"]]))
    search = SearchSettings(beam_width=3, length_penalty=1.0, max_words=20)
    [found] = bundle.load_captioner(folder).caption(grid, search)
    assert told.out == f"{picture}\t{found[0].text}\n"
