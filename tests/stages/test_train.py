"""The command `train`."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from pipeline.captioner import bundle, self_critical, training
from pipeline.captioner.captioner import SearchSettings
from pipeline.captioner.checkpoint import History
from pipeline.errors import InputError
from pipeline.files import unsealed, write_sealed
from pipeline.images.encoder import Encoder
from pipeline.images.shards import open_shards, read_manifest
from pipeline.text.embeddings import write_embeddings
from stages.train import KEPT, ROOT, _code, _key
from tests.stages.conftest import SETTINGS


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


def test_the_finished_checkpoint_stays_to_begin_from(trained):
    [checkpoint] = (trained.data / "cache" / "train").iterdir()
    assert len(json.loads((checkpoint / "history.json").read_text())["epochs"]) == 2


@pytest.mark.slow
def test_of_finished_checkpoints_the_newest_stay_and_those_of_a_killed_run_too(
    trained, train_inputs, tmp_path, monkeypatch
):
    folder = trained.data / "cache" / "train"
    shutil.rmtree(folder, ignore_errors=True)
    fit = training.fit

    def killed_in_the_second(captioner, train, val, settings, *others):
        if settings.seed == 21:
            raise InputError("killed")
        return fit(captioner, train, val, settings, *others)

    try:
        with monkeypatch.context() as patch:
            patch.setattr("pipeline.captioner.training.fit", killed_in_the_second)
            trained.run("train", *train_inputs, tmp_path, epochs=1, seeds=[20, 21])
        [first] = folder.iterdir()  # over, and no bundle came of it
        for seed in range(KEPT + 1):
            result = trained.run("train", *train_inputs, tmp_path, epochs=1, seeds=[10 + seed])
            assert result.code == 0, result.err
        found = set(folder.iterdir())
        assert first in found
        assert len(found) == KEPT + 1
    finally:
        shutil.rmtree(folder)


@pytest.mark.slow  # quick for weights: tests/pipeline/captioner/test_training.py
def test_the_same_seed_gives_the_same_bytes(trained, train_inputs, content, tmp_path):
    shutil.rmtree(trained.data / "cache" / "train", ignore_errors=True)  # trained anew
    assert trained.run("train", *train_inputs, tmp_path).code == 0
    assert content(tmp_path) == content(trained.data / "train")


def test_what_people_said_is_kept_in_the_bundle_and_changes_nothing_else(
    trained, agreeing, content
):
    plain, more = content(trained.data / "train" / "bundle"), content(agreeing)
    added = {f"consensus/{name}.parquet" for name in ("features", "ngrams", "pictures")}
    added.add("consensus/kernel.json")
    assert set(more) - set(plain) == added
    assert {name for name in plain if plain[name] != more[name]} == {"bundle.json"}
    assert len(bundle.load_captioner(agreeing).consensus.alike) == 25


@pytest.mark.slow
def test_self_critical_training_begins_from_what_was_trained(trained, train_inputs, tmp_path):
    assert trained.run("train", *train_inputs, tmp_path / "before").code == 0
    further = {**SETTINGS["train"]["self_critical"], "epochs": 1}
    result = trained.run("train", *train_inputs, tmp_path / "after", self_critical=further)
    assert result.code == 0, result.err
    assert "train: " not in result.err  # cross-entropy is not paid again
    before, after = (
        json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("before", "after")
    )
    assert {name: after[name] for name in before} == before
    assert after["self_critical"]["epochs"] == 1
    rewards = tmp_path / "after" / "curves" / "plots" / "metrics" / "reward.tsv"
    assert len(rewards.read_text().splitlines()) == 2


@pytest.mark.slow
def test_another_seed_is_trained_alone(trained, train_inputs, tmp_path, monkeypatch):
    """And nothing of the first one is paid again, its self-critical training neither."""
    made = []
    for module in (training, self_critical):

        class Noted(module.Trainer):
            def __init__(self, *given, seen=module.__name__):
                made.append(seen)
                super().__init__(*given)

        monkeypatch.setattr(module, "Trainer", Noted)
    further = {**SETTINGS["train"]["self_critical"], "epochs": 1}
    for seeds in ([31], [31, 32]):
        result = trained.run(
            "train", *train_inputs, tmp_path, self_critical=further, epochs=1, seeds=seeds
        )
        assert result.code == 0, result.err
        assert made == [training.__name__, self_critical.__name__]
        made.clear()


def test_every_seed_is_trained_and_the_best_comes_first(trained, train_inputs, content, tmp_path):
    result = trained.run("train", *train_inputs, tmp_path, seeds=[1, 5])
    assert result.code == 0, result.err
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    one, other = metrics["seeds"]["1"], metrics["seeds"]["5"]
    assert one == json.loads((trained.data / "train" / "metrics.json").read_text())
    for name in one:
        assert metrics[name] == pytest.approx((one[name] + other[name]) / 2)
        # of two numbers, the square root of half the square of their difference
        apart = abs(one[name] - other[name]) / 2**0.5
        assert metrics["deviation"][name] == pytest.approx(apart, abs=1e-9)
    assert one["val_loss"] != other["val_loss"]
    for curves in ("curves", "curves/seed_5"):
        lines = (tmp_path / curves / "plots" / "metrics" / "loss.tsv").read_text().splitlines()
        assert len(lines) == 3

    alone = bundle.load_captioner(trained.data / "train" / "bundle").decoder.get_weights()
    members = bundle.load_members(tmp_path / "bundle")
    reached = [(seed["val_cider_d"], -seed["val_loss"]) for seed in (one, other)]
    place = 0 if reached[0] >= reached[1] else 1
    for own, weight in zip(members[place].decoder.get_weights(), alone, strict=True):
        np.testing.assert_array_equal(own, weight)  # one seed beside another is as it is alone

    before = content(tmp_path)
    again = trained.run("train", *train_inputs, tmp_path, seeds=[1, 5])
    assert again.code == 0, again.err
    assert "loss" not in again.err  # neither is paid again
    assert content(tmp_path) == before


def test_of_seeds_trained_on_self_critically_the_best_after_that_comes_first(
    trained, train_inputs, tmp_path, monkeypatch
):
    """By what it reached in that, either way round; cross-entropy orders them one way alone."""
    reached: dict[int, float] = {}

    def refine(captioner, train, val, settings, seed, checkpoint, on_epoch):
        weights = captioner.decoder.get_weights()
        captioner.decoder.set_weights([weight * 0 + seed for weight in weights])
        told = {"val_loss": float(seed), "val_cider_d": reached[seed]}
        return History([{"val_loss": 9.0, "val_cider_d": 0.1}, told], best=1)

    monkeypatch.setattr("stages.train.fit_self_critical", refine)
    further = {**SETTINGS["train"]["self_critical"], "epochs": 1}
    for best, worst in ((5, 1), (1, 5)):
        reached[best], reached[worst] = 0.4, 0.3
        out = tmp_path / str(best)
        result = trained.run("train", *train_inputs, out, seeds=[1, 5], self_critical=further)
        assert result.code == 0, result.err
        members = [
            one.decoder.get_weights()[0].flat[0] for one in bundle.load_members(out / "bundle")
        ]
        assert members == [best, worst]
        metrics = json.loads((out / "metrics.json").read_text())
        assert metrics["self_critical"]["val_cider_d"] == pytest.approx(0.35)
        assert metrics["self_critical"]["val_loss"] == pytest.approx(3.0)
        deviation = metrics["deviation"]["self_critical"]
        assert deviation["val_cider_d"] == pytest.approx(0.1 / 2**0.5)
        assert deviation["val_loss"] == pytest.approx(4 / 2**0.5)
        assert metrics["seeds"]["5"]["self_critical"]["val_cider_d"] == reached[5]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"seeds": [1, 2, 1]}, "expected each seed once"),
        ({"seeds": []}, "train.seeds"),
        ({"seeds": [-1]}, "train.seeds"),
        ({"decoder": "transformer"}, "train.decoder"),
        ({"decoder": "attention"}, "train.decoder: attention needs a grid"),
        ({"dropout": 1.0}, "train.dropout"),
        ({"learning_rate": "fast"}, "train.learning_rate: input should be a valid number"),
        (
            {
                "precision": "mixed_float16",
                "self_critical": {**SETTINGS["train"]["self_critical"], "epochs": 1},
            },
            "self-critical training: expected train.precision",
        ),
        ({"lerning_rate": 0.1}, "train.lerning_rate is not a setting"),
        ({"label_smoothing": 1.0}, "train.label_smoothing"),
        ({"attention_penalty": 0.5}, "train.attention_penalty: expected 0"),
        ({"attention_width": 8}, "train.attention_width: expected null"),
        (
            {"schedule": "plateau", "plateau": 3},
            "plateau: expected fewer epochs than train.patience",
        ),
        (
            {"schedule": "plateau", "plateau": 3, "patience": 9, "epochs": 4},
            "train.epochs: expected 5 at least",
        ),
        ({"scheduled_sampling": 0.5, "epochs": 1}, "train.scheduled_sampling: expected 0"),
        (
            {"variational_dropout": True, "dropout": 0.0},
            "train.variational_dropout: expected false",
        ),
        ({"word_vectors": "frozen"}, "Set vocabulary.embeddings.file, or train.word_vectors"),
    ],
)
def test_wrong_settings_are_one_line(featured, train_inputs, one_line, tmp_path, changes, told):
    result = featured.run("train", *train_inputs, tmp_path / "out", **changes)
    assert told in one_line(result)
    assert not (tmp_path / "out").exists()


def test_features_of_another_encoder_are_one_line(featured, train_inputs, one_line, tmp_path):
    images, captions, words, vectors, encoder, features = train_inputs
    other = shutil.copytree(encoder, tmp_path / "encoder")
    spec = json.loads(unsealed((other / "encoder.json").read_bytes()))
    write_sealed(other / "encoder.json", {**spec, "fingerprint": "0" * 64})
    out = tmp_path / "out"
    result = featured.run("train", images, captions, words, vectors, other, features, out)
    assert "expected features of the encoder 000000000000" in one_line(result)
    assert not out.exists()


def test_a_split_without_pictures_is_one_line(
    featured, train_inputs, make_tiny, one_line, tmp_path
):
    tiny = make_tiny(tmp_path / "data", {"train": 6})
    _, captions, *others = train_inputs
    result = tiny.run("train", tiny.images, captions, *others, tmp_path / "out")
    assert "with captions in split 'val'. Received: none, after `clean`" in one_line(result)


def test_pictures_without_features_are_one_line(featured, train_inputs, one_line, tmp_path):
    images, captions, words, vectors, encoder, _ = train_inputs
    known = featured.data / "few"
    few = tmp_path / "few.parquet"
    table = pq.read_table(images)
    pq.write_table(table.slice(0, 20), few)
    assert featured.run("features", featured.raw, few, encoder, known).code == 0
    inputs = images, captions, words, vectors, encoder, known
    result = featured.run("train", *inputs, tmp_path / "out")
    told = "features of each picture of split 'train'. Received: 16 of 30 without"
    assert told in one_line(result)


@pytest.fixture(
    scope="module", params=["parquet", pytest.param("tfrecord", marks=pytest.mark.slow)]
)
def gridded(request, encoded, train_inputs, tmp_path_factory):
    """What `train` is given, with features of grids, and the folder of these."""
    out = tmp_path_factory.mktemp("grids") / "features"
    result = encoded.run(
        "features", encoded.raw, encoded.images, encoded.data / "encoder", out,
        pooling="grid", format=request.param,
    )  # fmt: skip
    assert result.code == 0, result.err
    return *train_inputs[:-1], out


@pytest.mark.slow
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
    search = SearchSettings.plain(beam_width=3, length_penalty=1.0, max_words=20)
    [found] = bundle.load_captioner(folder).caption(grid, search)
    assert told.out == f"{picture}\t{found[0].text}\n"


@pytest.mark.slow
def test_pretrained_word_vectors_are_begun_with_and_part_of_what_names_a_training(
    featured, train_inputs, one_line, content, tmp_path
):
    *others, _, encoder, features = train_inputs
    outputs = {}
    for seed in (1, 2):
        vectors = tmp_path / f"{seed}.npy"
        write_embeddings(vectors, np.random.default_rng(seed).normal(size=(15, 6)))
        inputs = *others, vectors, encoder, features
        for kind in ("frozen", "trained"):
            out = tmp_path / f"{kind}-{seed}"
            result = featured.run("train", *inputs, out, word_vectors=kind, epochs=1)
            assert result.code == 0, result.err
            decoder = bundle.load_captioner(out / "bundle").decoder
            found = np.asarray(decoder.embed.embeddings)
            assert np.allclose(found, np.load(vectors)) == (kind == "frozen")
            outputs[kind, seed] = found
    assert not np.allclose(outputs["trained", 1], outputs["trained", 2], atol=0.5)
    wide = tmp_path / "wide.npy"
    write_embeddings(wide, np.zeros((15, 7)))
    inputs = *others, wide, encoder, features
    result = featured.run("train", *inputs, tmp_path / "out", word_vectors="frozen")
    assert "train.embedding = 6" in one_line(result)
    assert not (tmp_path / "out").exists()


@pytest.fixture
def folders(monkeypatch) -> list[Path]:
    """The checkpoints that trainings ask for; each is killed at once."""
    asked = []

    def told(captioner, train, val, settings, checkpoint, on_epoch):
        asked.append(checkpoint)
        raise InputError("killed")

    monkeypatch.setattr("pipeline.captioner.training.fit", told)
    return asked


@pytest.fixture
def with_few(make_tiny, train_inputs, tmp_path):
    """Make what `train` is given, with a list of as many pictures of each split."""

    def made(**splits: int) -> tuple[Path, ...]:
        return make_tiny(tmp_path / "data", splits).images, *train_inputs[1:]

    return made


@pytest.mark.parametrize(("val", "warns"), [(1, True), (2, False)])
def test_one_validation_picture_is_warned_of(
    featured, with_few, tmp_path, folders, caplog, val, warns
):
    featured.run("train", *with_few(train=6, val=val), tmp_path / "out")
    assert len(folders) == 1
    assert ("the epoch with the lowest val_loss is kept" in caplog.text) == warns


def test_one_training_picture_is_none_to_reward_captions_by(
    featured, with_few, one_line, tmp_path, folders
):
    inputs, out = with_few(train=1, val=2), tmp_path / "out"
    further = {**SETTINGS["train"]["self_critical"], "epochs": 1}
    result = featured.run("train", *inputs, out, self_critical=further)
    assert "train.self_critical: expected two training pictures" in one_line(result)
    assert not folders, "told before anything is trained"
    consensus = {**SETTINGS["train"]["consensus"], "pictures": 10}
    result = featured.run("train", *inputs, out, consensus=consensus)
    assert "train.consensus: expected two training pictures" in one_line(result)
    assert not folders
    featured.run("train", *inputs, out)
    assert folders, "cross-entropy can learn of one"


def test_a_killed_training_does_not_continue_with_other_word_vectors(
    featured, train_inputs, tmp_path, folders, caplog
):
    *others, _, encoder, features = train_inputs
    for seed in (1, 2, 1):
        vectors = tmp_path / "vectors.npy"
        write_embeddings(vectors, np.random.default_rng(seed).normal(size=(15, 6)))
        inputs = *others, vectors, encoder, features
        featured.run("train", *inputs, tmp_path / "out", word_vectors="trained")
    assert folders[0] == folders[2] != folders[1]
    assert "are not used" not in caplog.text
    featured.run("train", *inputs, tmp_path / "out", word_vectors="random")
    assert "vocabulary.embeddings.file are not used" in caplog.text


def test_a_finished_training_is_not_kept_for_other_code(
    featured, train_inputs, tmp_path, folders, monkeypatch
):
    modules = [module.relative_to(ROOT) for module in _code()]
    monkeypatch.setattr("stages.train.ROOT", tmp_path / "code")
    for name in modules:
        (tmp_path / "code" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "code" / name).write_text("one = 1")
    for text in ("one = 1", "one = 2", "one = 1"):
        (tmp_path / "code" / "pipeline/captioner/decoders/base.py").write_text(text)
        featured.run("train", *train_inputs, tmp_path / "out")
    assert folders[0] == folders[2] != folders[1]
    before = _key([], "{}")
    (tmp_path / "code" / "pipeline/evaluation/cider.py").write_text("one = 2")
    assert _key([], "{}") != before


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("keras.__version__", "0.0"),
        ("keras.backend.backend", lambda: "json"),  # any module that is there
        ("tensorflow.__version__", "0.0"),
        ("numpy.__version__", "0.0"),
        ("pipeline.backend.has_gpu", lambda: True),
    ],
)
def test_a_finished_training_is_not_kept_for_another_keras_or_device(
    train_inputs, monkeypatch, name, other
):
    *files, _, _ = train_inputs
    monkeypatch.setattr("pipeline.backend.has_gpu", lambda: False)
    before = _key(files, "{}")
    assert _key(files, "{}") == before
    monkeypatch.setattr(name, other)
    assert _key(files, "{}") != before


def test_what_decides_on_a_training_is_all_that_dvc_runs_it_again_for():
    graph = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]["train"]["deps"]
    listed = {ROOT / dep for dep in graph if dep.endswith(".py")}
    others = {  # how files are read and written, and what is told
        *("pipeline/__init__.py", "pipeline/errors.py", "pipeline/files.py"),
        *("pipeline/params.py", "pipeline/progress.py", "pipeline/quiet.py", "pipeline/tables.py"),
        *("pipeline/weights.py", "pipeline/evaluation/over_seeds.py", "pipeline/images/spec.py"),
        *("stages/__init__.py", "stages/command.py"),
    }
    assert set(_code()) <= listed
    assert listed - set(_code()) == {ROOT / name for name in others}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"max_words": 201}, "train.max_words: input should be less than or equal to 200"),
        ({"self_critical": {"max_words": 201}}, "train.self_critical.max_words: input should be"),
        ({"consensus": {"pictures": 1}}, "Received: 1, which tells of no other picture"),
    ],
)
def test_what_would_end_hours_later_is_told_at_once(
    featured, train_inputs, one_line, tmp_path, changes, told
):
    params = yaml.safe_load((ROOT / "params.yaml").read_text())["train"]
    whole = {
        name: {**params[name], **value} if isinstance(value, dict) else value
        for name, value in changes.items()
    }
    assert told in one_line(featured.run("train", *train_inputs, tmp_path / "out", **whole))


@pytest.mark.slow
def test_all_settings_together_train_to_a_bundle_that_captions(
    featured, gridded, command, tmp_path
):
    result = featured.run(
        "train", *gridded, tmp_path / "train", decoder="attention", tie_weights=True,
        layer_norm=True, variational_dropout=True, accumulate=2, schedule="plateau", epochs=3,
        label_smoothing=0.1, scheduled_sampling=0.5, attention_penalty=0.5, ema=0.5,
        precision="mixed_bfloat16",
    )  # fmt: skip
    assert result.code == 0, result.err
    told = command("caption", featured.raw / "test-03.png", "--bundle", tmp_path / "train/bundle")
    assert told.code == 0, told.err
