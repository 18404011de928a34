"""An encoder learns from the words of captions."""

import keras
import numpy as np
import pytest
from keras import layers

from pipeline import backend
from pipeline.images.train_encoder import (
    CompactSettings,
    _shift,
    choose_labels,
    fit,
    shares,
    targets,
    words_and_pairs,
)

SETTINGS = CompactSettings(labels=5, epochs=6, batch_size=8, learning_rate=0.2, seed=1)


def test_labels_are_words_and_pairs_of_neighbours():
    assert words_and_pairs([["a", "red", "dog"], ["a", "dog"]]) == {
        "a", "red", "dog", "a red", "red dog", "a dog"
    }  # fmt: skip
    assert words_and_pairs([]) == set()


def test_labels_are_those_on_which_a_picture_s_captions_agree():
    # "there" is in as many captions as "dog", but in no two of a picture.
    dogs = [[["a", "dog"], ["there", "dog"]]] * 12
    others = [[["a", "thing"], ["there", "what"]]] * 40
    assert choose_labels(dogs + others, 10) == ["dog"]


def test_labels_come_by_count_and_agreement_ties_by_spelling():
    cats, dogs = [[["cat"], ["cat"]]] * 12, [[["dog"], ["dog"]]] * 12
    birds, rare = [[["bird"], ["bird"]]] * 20, [[["fish"], ["fish"]]] * 9
    others = [[["x"], ["y"]]] * 80
    pictures = dogs + cats + birds + rare + others
    assert choose_labels(pictures, 10) == ["bird", "cat", "dog"]
    assert choose_labels(pictures, 2) == ["bird", "cat"]


def test_labels_of_pictures_with_one_caption_are_rare_words():
    pictures = [[["a", "cat"]]] * 12 + [[["a", "dog"]]] * 12 + [[["a", "car"]]] * 12
    assert choose_labels(pictures, 10) == ["a car", "a cat", "a dog", "car", "cat", "dog"]


def test_targets_tell_which_labels_a_picture_has():
    wanted = targets([[["a", "dog"]], [["cat"], ["dog", "cat"]], []], ["dog", "cat", "a dog"])
    assert wanted.dtype == np.float32
    assert wanted.tolist() == [[1, 0, 1], [1, 1, 0], [0, 0, 0]]


def test_shares_tell_how_many_of_its_captions_have_a_label():
    captions = [[["a", "dog"]], [["cat"], ["dog", "cat", "dog"], ["a"], ["dog"]], []]
    wanted = shares(captions, ["dog", "cat", "a dog"])
    assert wanted.dtype == np.float32
    assert wanted.tolist() == [[1, 0, 1], [0.5, 0.5, 0], [0, 0, 0]]


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    """Pictures of one grey or another; the label is which."""
    rng = np.random.default_rng(1)
    wanted = rng.integers(0, 2, (32, 1))
    pictures = rng.integers(0, 60, (32, 16, 16, 3)) + 150 * wanted[:, :, None, None]
    return pictures.astype("uint8"), np.hstack([wanted, 1 - wanted]).astype("float32")


def trained(data, **changes) -> keras.Model:
    """Train a tiny network."""
    backend.seed(1)
    network = keras.Sequential(
        [
            keras.Input((16, 16, 3), dtype="uint8"),
            layers.Rescaling(1 / 64, -2),
            layers.Conv2D(4, 3, 4, activation="relu"),
            layers.GlobalAveragePooling2D(),
        ]
    )
    fit(network, *data, SETTINGS.model_copy(update=changes))
    return network


def test_the_loss_falls(data, capfd):
    losses = []
    original = keras.Model.train_on_batch

    def train_and_tell(model, *args, **kwargs):
        logs = original(model, *args, **kwargs)
        losses.append(logs["loss"])
        return logs

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.Model, "train_on_batch", train_and_tell)
        trained(data)
    steps = 4  # of an epoch
    assert len(losses) == SETTINGS.epochs * steps
    losses = np.reshape(losses, (-1, steps)).mean(axis=1)  # of each epoch
    assert losses[-1] < 0.7 * losses[0]
    assert "encoder: 192/192 pictures" in capfd.readouterr().err


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights_bit_for_bit(data):
    one, same, other = (trained(data, epochs=2, seed=seed).get_weights() for seed in (1, 1, 2))
    assert all(np.array_equal(*pair) for pair in zip(one, same, strict=True))
    assert not all(np.array_equal(*pair) for pair in zip(one, other, strict=True))


def test_a_moved_picture_repeats_its_edge():
    picture = np.arange(9).reshape(3, 3, 1)
    assert _shift(picture, 1, 0)[..., 0].tolist() == [[0, 1, 2], [0, 1, 2], [3, 4, 5]]
    assert _shift(picture, 0, -1)[..., 0].tolist() == [[1, 2, 2], [4, 5, 5], [7, 8, 8]]
    assert _shift(picture, 0, 0).tolist() == picture.tolist()
