"""The bundle: all that captioning needs, whole or refused."""

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from pipeline.captioner import bundle
from pipeline.captioner.captioner import Captioner, SearchSettings
from pipeline.captioner.consensus import Consensus, ConsensusSettings
from pipeline.captioner.decoders.find import DECODERS, build
from pipeline.errors import InputError
from pipeline.files import unsealed, write_sealed
from pipeline.images.decode import read_square
from pipeline.images.encoder import Encoder
from pipeline.text.vocabulary import Vocabulary
from tests.quick import some_quick

FIRST = Path(__file__).parents[2] / "fixtures" / "bundle-v1"
SEARCH = SearchSettings.plain(beam_width=2, length_penalty=0.9, max_words=5)
FILES = [
    "bundle.json",
    "decoder.weights.h5",
    "encoder/encoder.json",
    "encoder/encoder.weights.h5",
    "vocabulary.json",
]


@pytest.fixture(
    scope="module",
    params=some_quick(["inject", "merge", "adaptive", "top_down"], quick=["inject", "adaptive"]),
)
def decoder(request, vocabulary, train_settings):
    shape = (2, 3, 5) if DECODERS[request.param].needs_grid else (5,)
    made = build(train_settings(decoder=request.param), len(vocabulary), shape)
    rng = np.random.default_rng(1)
    made.set_weights([rng.normal(0, 1, weight.shape) for weight in made.get_weights()])
    return made


@pytest.fixture(scope="module")
def parts(vocabulary, tmp_path_factory) -> Path:
    """A vocabulary and an encoder; nothing here looks into the encoder's files."""
    folder = tmp_path_factory.mktemp("parts")
    vocabulary.write(folder / "vocabulary.json")
    (folder / "encoder").mkdir()
    (folder / "encoder" / "encoder.json").write_text("{}")
    (folder / "encoder" / "encoder.weights.h5").write_bytes(b"weights")
    (folder / "encoder" / "notes.txt").write_text("not for the bundle")
    return folder


def save(folder: Path, decoder, parts: Path) -> Path:
    vocabulary, encoder = parts / "vocabulary.json", parts / "encoder"
    bundle.save(folder, [decoder], vocabulary, encoder, decoder.feature_shape, "f" * 64)
    return folder


@pytest.fixture(scope="module")
def saved(decoder, parts, tmp_path_factory) -> Path:
    return save(tmp_path_factory.mktemp("saved") / "bundle", decoder, parts)


@pytest.fixture
def copy(saved, tmp_path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "bundle"))


def content(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(files)}


def test_it_captions_as_the_decoder_that_was_saved(saved, decoder, vocabulary):
    features = np.random.default_rng(2).normal(0, 2, (6, *decoder.feature_shape)).astype("float32")
    expected = Captioner(decoder, vocabulary).caption(features, SEARCH)
    assert bundle.load_captioner(saved).caption(features, SEARCH) == expected


def test_it_has_what_captioning_needs_and_nothing_else(saved, decoder):
    assert sorted(content(saved)) == FILES
    description = bundle.read_description(saved)
    assert description.encoder == "f" * 64
    assert description.feature_shape == decoder.feature_shape
    assert sorted(description.files) == FILES[1:]


def test_decoders_of_several_seeds_are_kept_and_caption_together(decoder, parts, tmp_path):
    other = build(decoder.settings, decoder.vocabulary_size, decoder.feature_shape)
    other.set_weights([-weight for weight in decoder.get_weights()])
    vocabulary, encoder = parts / "vocabulary.json", parts / "encoder"
    bundle.save(tmp_path / "b", [other, decoder], vocabulary, encoder, decoder.feature_shape, "f")
    assert sorted(content(tmp_path / "b")) == sorted([*FILES, "decoder-2.weights.h5"])
    members = bundle.load_members(tmp_path / "b")
    for member, expected in zip(members, (other, decoder), strict=True):
        for own, weight in zip(member.decoder.get_weights(), expected.get_weights(), strict=True):
            np.testing.assert_array_equal(own, weight)
    assert len(bundle.load_captioner(tmp_path / "b").decoder.members) == 2


def test_what_people_said_is_kept_for_one_decoder_and_for_several(decoder, parts, tmp_path):
    shape = decoder.feature_shape
    features = np.random.default_rng(4).normal(0, 1, (4, *shape)).astype("float32")
    captions = [[["a", "dog"]], [["a", "dog", "runs"]], [["a", "cat"]], [["a", "cat", "runs"]]]
    kept = Consensus.fit(
        features, captions, ConsensusSettings(pictures=9, kernel="linear", ridge=0.3)
    )
    inputs = parts / "vocabulary.json", parts / "encoder", shape, "f"
    added = [f"consensus/{name}.parquet" for name in ("features", "ngrams", "pictures")]
    expected = kept.expect(features, captions)
    for members in (1, 2):
        folder = tmp_path / f"{members}"
        bundle.save(folder, [decoder] * members, *inputs, kept)
        assert set(content(folder)) >= {*FILES, *added}
        read = bundle.load_captioner(folder).consensus
        assert read is not None
        assert np.array_equal(read.expect(features, captions), expected)
        for name in added:
            spoilt = Path(shutil.copytree(folder, tmp_path / f"{members}-{Path(name).stem}"))
            (spoilt / name).unlink()
            with pytest.raises(InputError, match=name):
                bundle.load_captioner(spoilt)


def test_the_same_content_gives_the_same_bytes(saved, decoder, parts, tmp_path):
    assert content(save(tmp_path / "again", decoder, parts)) == content(saved)


def test_it_takes_the_place_of_an_older_one(saved, decoder, parts, tmp_path):
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "old").write_text("old")
    assert content(save(tmp_path / "bundle", decoder, parts)) == content(saved)
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_no_file_is_a_pickle(saved):
    kinds = {b"\x89HDF", b"weig", b"{\n  "}  # HDF5, the fixture's own, JSON
    assert {data[:4] for data in content(saved).values()} <= kinds | {b"{}"}


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(copy, name):
    (copy / name).unlink()
    with pytest.raises(InputError, match=name):
        bundle.load_captioner(copy)


@pytest.mark.parametrize("name", FILES[1:])
def test_a_flipped_byte_is_found_and_its_file_named(copy, name):
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / name).write_bytes(data)
    with pytest.raises(InputError, match=f"{name}: its bytes"):
        bundle.load_captioner(copy)


def described(folder: Path, **changes: object) -> Path:
    path = folder / "bundle.json"
    write_sealed(path, {**json.loads(unsealed(path.read_bytes())), **changes})
    return folder


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"version": 4}, "expected a bundle of version 3 or older. Received: 4"),
        ({"version": 0}, "expected a bundle of version 3 or older. Received: 0"),
        ({"version": 1, "decoder": ["inject"]}, "decoder"),
        ({"version": "one"}, "version"),
        ({"code": "import os"}, "code"),
        ({"decoder": {"decoder": "inject"}}, "decoder.units"),
        ({"feature_shape": [2, 3, 7]}, "decoder.weights.h5: expected weights"),
        ({"feature_shape": []}, "feature_shape: Tuple should have at least 1 item"),
        ({"feature_shape": [-5]}, "feature_shape.0: Input should be greater than"),
        ({"feature_shape": [1 << 40]}, "feature_shape.0: Input should be less than"),
        ({"feature_shape": [1, 1, 1, 5]}, "feature_shape: Tuple should have at most 3 items"),
        ({"feature_shape": [(1 << 31) - 1]}, "decoder.weights.h5: expected weights"),
        ({"feature_shape": [1 << 24, 1 << 24, 5]}, "decoder.weights.h5: expected weights"),
        ({"files": {}}, "expected the hash of every file of the bundle. Received: none of decoder"),
        ({"members": 2}, "Received: none of decoder-2.weights.h5"),
        ({"members": 10**9}, "members"),
    ],
)
def test_another_description_is_refused(copy, changes, told):
    with pytest.raises(InputError, match=told) as caught:
        bundle.load_captioner(described(copy, **changes))
    assert "\n" not in str(caught.value)


def test_a_description_that_is_not_json_is_refused(copy):
    (copy / "bundle.json").write_bytes(b"\x00\xff")
    with pytest.raises(InputError, match="expected the description of a bundle"):
        bundle.load_captioner(copy)


def test_a_folder_that_is_none_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path, tmp_path / "absent", tmp_path / "file"):
        with pytest.raises(InputError, match="this is no bundle"):
            bundle.load_captioner(folder)


@pytest.mark.parametrize("name", ["inject", "adaptive"])
def test_a_bundle_of_the_first_version_still_loads_and_captions_as_then(name, tmp_path):
    with zipfile.ZipFile(FIRST / f"{name}.zip") as archive:
        archive.extractall(tmp_path)
    assert json.loads((tmp_path / "bundle.json").read_text())["version"] == 1
    captioner = bundle.load_captioner(tmp_path)
    pooling = "grid" if captioner.attends else "average"
    encoder = Encoder.load(tmp_path / bundle.ENCODER, pooling=pooling)
    assert encoder.identity == bundle.read_description(tmp_path).encoder
    search = SearchSettings.plain(beam_width=2, length_penalty=0.5, max_words=8)
    for picture, (text, log_prob) in json.loads((FIRST / "captions.json").read_text())[
        name
    ].items():
        pixels = read_square(FIRST / f"{picture}.png", encoder.spec.side, max_pixels=10_000)
        [[best, *_]] = captioner.caption(encoder.encode(pixels[None]), search)
        assert best.text == text
        assert best.log_prob == pytest.approx(log_prob, abs=2e-3)


def test_a_decoder_with_all_there_is_comes_back(vocabulary, train_settings, parts, tmp_path):
    settings = train_settings(
        tie_weights=True, layer_norm=True, variational_dropout=True, attention_width=7
    )
    made = build(settings, len(vocabulary), (5,), "mixed_bfloat16")
    rng = np.random.default_rng(1)
    made.set_weights([rng.normal(0, 1, weight.shape) for weight in made.get_weights()])
    loaded = bundle.load_captioner(save(tmp_path / "bundle", made, parts)).decoder
    assert loaded.compute_dtype == "float32"
    for one, other in zip(made.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    for name in ("tie_weights", "layer_norm", "variational_dropout", "attention_width"):
        assert getattr(loaded.settings, name)


@pytest.mark.parametrize("moment", ["description", "vocabulary", "weights"])
def test_a_bundle_that_is_replaced_while_it_is_read_is_never_mixed(
    decoder, parts, tmp_path, monkeypatch, moment
):
    """A training ends while `caption` begins: it is all of the old one or all of the new one."""
    folder = save(tmp_path / "bundle", decoder, parts)
    words = Vocabulary.read(parts / "vocabulary.json")
    other = build(decoder.settings, decoder.vocabulary_size, decoder.feature_shape)
    other.set_weights([-weight for weight in decoder.get_weights()])
    changed = Path(shutil.copytree(parts, tmp_path / "parts"))
    new_words = (*words.words[:-1], "new")
    Vocabulary(new_words, words.counts).write(changed / "vocabulary.json")
    left = [1]

    def after(call):
        def replaced(*arguments, **options):
            found = call(*arguments, **options)
            if left:
                left.pop()
                save(folder, other, changed)
            return found

        return replaced

    where = {
        "description": (bundle, "read_description"),
        "vocabulary": (bundle.Vocabulary, "read"),
        "weights": (bundle.weights, "check"),
    }
    monkeypatch.setattr(*where[moment], after(getattr(*where[moment])))
    captioner = bundle.load_captioner(folder)
    assert not left
    assert captioner.vocabulary.words == new_words
    for own, expected in zip(captioner.decoder.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(own, expected)


def test_a_bundle_that_never_stays_is_refused(copy, monkeypatch):
    def changing(_):
        described(copy, encoder=f"{len(read_again):064x}")
        read_again.append(1)

    read_again: list[int] = []
    with pytest.raises(InputError, match="expected a bundle that stays while it is read"):
        bundle.steadily(copy, lambda: changing(copy))
    assert len(read_again) == bundle.ATTEMPTS
