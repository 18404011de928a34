"""The SavedModel says what the captioner says, where there is no code of ours."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from pipeline.captioner.captioner import SearchSettings
from pipeline.captioner.pictures import PictureCaptioner
from pipeline.captioner.search.settings import DiverseSettings
from pipeline.errors import InputError
from pipeline.exporting import saved_model
from pipeline.images.decode import read_square

MAX_PIXELS = 1_000_000
PROGRAM = """
import json, sys
import tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
serve, found = model.signatures["serving_default"], []
paths, at_once = sys.argv[3:], int(sys.argv[2])
for first in range(0, len(paths), at_once):
    pictures = [open(path, "rb").read() for path in paths[first : first + at_once]]
    out = serve(picture_bytes=tf.constant(pictures))
    for captions, scores, log_probs in zip(out["captions"], out["scores"], out["log_probs"]):
        captions = [caption.decode() for caption in captions.numpy()]
        found.append([captions, scores.numpy().tolist(), log_probs.numpy().tolist()])
print(json.dumps(found))
"""


def told(model: PictureCaptioner, paths: list[Path], search: SearchSettings):
    """What the captioner itself says: for each picture texts, scores and log-probabilities."""
    squares = np.stack([read_square(path, model.side, MAX_PIXELS) for path in paths])
    return [
        [[one.text for one in found], [one.score for one in found], [one.log_prob for one in found]]
        for found in model.caption(squares, search)
    ]


def assert_same(found, expected) -> None:
    assert len(found) == len(expected)
    for (texts, scores, log_probs), (texts_, scores_, log_probs_) in zip(
        found, expected, strict=True
    ):
        assert texts[: len(texts_)] == texts_
        np.testing.assert_allclose(scores[: len(scores_)], scores_, atol=1e-3)
        np.testing.assert_allclose(log_probs[: len(scores_)], log_probs_, atol=1e-3)


@pytest.fixture(scope="module")
def written(model, search, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "saved-model"
    saved_model.write(folder, model, search, MAX_PIXELS)
    return folder / "1"


@pytest.mark.slow
def test_it_says_the_same_in_a_process_without_this_project(
    written, model, search, pictures, clean_process
):
    found = json.loads(clean_process(PROGRAM, written, 3, *pictures))
    assert_same(found, told(model, pictures, search))
    assert len({texts[0] for texts, _, _ in found}) > 1


def test_its_signatures_are_as_documented(written, model, search, pictures):
    loaded = tf.saved_model.load(written)
    assert set(loaded.signatures) == {"serving_default", "from_pixels"}
    out = loaded.signatures["serving_default"](
        picture_bytes=tf.constant([path.read_bytes() for path in pictures])
    )
    shape = (len(pictures), search.beam_width)
    assert {name: (part.shape, part.dtype) for name, part in out.items()} == {
        "captions": (shape, tf.string),
        "scores": (shape, tf.float32),
        "log_probs": (shape, tf.float32),
    }
    squares = np.stack([read_square(path, model.side, MAX_PIXELS) for path in pictures])
    again = loaded.signatures["from_pixels"](pixels=tf.constant(squares))
    np.testing.assert_array_equal(again["captions"], out["captions"])


def test_a_broken_picture_and_a_large_one_fail_the_call_with_a_line(written):
    serve = tf.saved_model.load(written).signatures["serving_default"]
    with pytest.raises(tf.errors.InvalidArgumentError, match="expected the bytes of a JPEG, PNG"):
        serve(picture_bytes=tf.constant([b"no picture"]))
    large = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + b"\0\0\x10\0" * 2 + b"\x08\2\0\0\0"
    with pytest.raises(tf.errors.InvalidArgumentError, match="expected a picture of 1 to"):
        serve(picture_bytes=tf.constant([large]))


@pytest.mark.parametrize("width", [1, 4])
def test_captions_are_cut_at_the_end_mark_and_empty_places_are_empty(model, search, width):
    settings = search.model_copy(update={"beam_width": width, "max_words": 2, "min_words": 2})
    exported = saved_model.Exported(model, settings, MAX_PIXELS)
    words = exported.words.numpy()
    assert all(words[number] == b"" for number in range(4))
    tokens = tf.constant([[[5, 4, 2, 7, 0], [2, 0, 0, 0, 0], [4, 4, 4, 4, 2]]])
    a, b = (words[number].decode() for number in (4, 5))
    assert [one.decode() for one in exported._text(tokens).numpy()[0]] == [
        f"{b} {a}", "", f"{a} {a} {a} {a}"
    ]  # fmt: skip
    squares = tf.zeros((3, model.side, model.side, 3), tf.uint8)
    found = exported.from_pixels(squares)
    empty = found["scores"].numpy() < -5e8
    assert ((found["captions"].numpy() == b"") == empty).all()


def test_diverse_beams_can_be_exported_and_random_captions_cannot(model, search):
    diverse = search.model_copy(
        update={"method": "diverse", "diverse": DiverseSettings(groups=2, strength=1.0)}
    )
    squares = np.zeros((2, model.side, model.side, 3), np.uint8)
    found = saved_model.Exported(model, diverse, MAX_PIXELS).from_pixels(tf.constant(squares))
    expected = [[one.text for one in captions] for captions in model.caption(squares, diverse)]
    for texts, texts_ in zip(found["captions"].numpy().tolist(), expected, strict=True):
        assert [one.decode() for one in texts][: len(texts_)] == texts_
    with pytest.raises(InputError, match="needs no random numbers"):
        saved_model.Exported(model, search.model_copy(update={"method": "sample"}), MAX_PIXELS)


def test_weights_are_stored_once(written, model):
    variables = tf.train.list_variables(written / "variables" / "variables")
    stored = sum(np.prod(shape) for name, shape in variables if not name.startswith("_"))
    own = [*model.captioner.decoder.weights, *model.encoder.ready.weights]
    assert stored == sum(np.prod(weight.shape) for weight in own)


@pytest.mark.slow
def test_200_scenes_get_the_same_captions(scenes, tmp_path, clean_process):
    folder, paths = scenes
    model = PictureCaptioner.load(folder)
    settings = SearchSettings.plain(beam_width=3, length_penalty=0.5, max_words=20)
    saved_model.write(tmp_path / "saved-model", model, settings, MAX_PIXELS)
    found = json.loads(clean_process(PROGRAM, tmp_path / "saved-model" / "1", 32, *paths))
    assert_same(found, told(model, paths, settings))
    assert len({texts[0] for texts, _, _ in found}) > 100


@pytest.mark.slow
def test_200_photographs_get_the_same_captions(photographs, tmp_path, clean_process):
    model, paths = photographs
    settings = SearchSettings.plain(beam_width=3, length_penalty=0.5, max_words=12)
    saved_model.write(tmp_path / "saved-model", model, settings, MAX_PIXELS)
    found = json.loads(clean_process(PROGRAM, tmp_path / "saved-model" / "1", 20, *paths))
    assert_same(found, told(model, paths, settings))
    assert len({texts[0] for texts, _, _ in found}) > 100
