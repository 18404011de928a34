"""Several views of a picture: which, and what becomes of their features."""

import keras
import numpy as np
import pytest

from pipeline.images.encoder import Encoder
from pipeline.images.networks import NETWORKS
from pipeline.images.views import COUNT, WHOLE, views

SIDE = 32
PIXELS = np.random.default_rng(1).integers(0, 256, (3, SIDE, SIDE, 3), dtype=np.uint8)


def seen(pictures: np.ndarray) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(views(pictures.astype("float32"))))


def test_the_first_is_the_picture_and_the_second_its_mirror_image():
    found = seen(PIXELS)
    assert found.shape == (3, COUNT, SIDE, SIDE, 3)
    np.testing.assert_array_equal(found[:, 0], PIXELS)
    np.testing.assert_array_equal(found[:, 1], PIXELS[:, :, ::-1])


def test_cuts_are_of_the_corners_and_of_the_middle():
    """Of a picture whose numbers rise downwards and to the right, evenly."""
    rising = np.arange(SIDE, dtype="float32")
    picture = np.zeros((1, SIDE, SIDE, 3), "float32")
    picture[0, :, :, 0], picture[0, :, :, 1] = rising[:, None], rising[None]
    cuts = seen(picture)[0, WHOLE:]
    middles = cuts[:, 4:-4, 4:-4].mean(axis=(1, 2))[:, :2]  # edges are repeated outwards
    near, far, centre = 12.3, 18.7, 15.5  # a cut is 25.6 pixels wide, less four fifths of 8
    expected = [(near, near), (near, far), (far, near), (far, far), (centre, centre)]
    np.testing.assert_allclose(middles, expected, atol=0.25)
    assert np.ptp(cuts[4, :, SIDE // 2, 0]) == pytest.approx(0.8 * (SIDE - 1), abs=0.1), "enlarged"


def test_an_odd_side_has_them_too():
    """Its middle is half a pixel away from that of its cut."""
    pictures = np.random.default_rng(1).integers(0, 256, (1, 33, 33, 3), dtype=np.uint8)
    found = seen(pictures)
    assert found.shape == (1, COUNT, 33, 33, 3)
    assert (found.min(), found.max()) == (0, 255), "between numbers of the picture"
    # Enlarged to 41 pixels, of which the first and the last are the picture's own.
    np.testing.assert_allclose(found[0, WHOLE, 0, 0], pictures[0, 0, 0])
    np.testing.assert_allclose(found[0, WHOLE + 3, -1, -1], pictures[0, -1, -1])


@pytest.mark.parametrize("network", ["compact", "MobileNetV2", "ResNet50"])
def test_features_are_averages_of_the_whole_and_of_the_cuts(network):
    keras.utils.set_random_seed(1)
    body = NETWORKS[network].body(None, SIDE)
    plain = Encoder(body, network, SIDE, "mine.h5")
    encoder = Encoder(body, network, SIDE, "mine.h5", pooling="views")
    assert (plain.views, encoder.views) == (1, COUNT)
    width = plain.spec.features
    assert encoder.shape == (2 * width,)
    assert encoder.identity == f"{plain.identity}-views"
    found = encoder.encode(PIXELS)
    whole = (plain.encode(PIXELS) + plain.encode(PIXELS[:, :, ::-1])) / 2
    np.testing.assert_allclose(found[:, :width], whole, atol=1e-4 * np.abs(whole).max())
    cuts = np.rint(seen(PIXELS)[:, WHOLE:]).astype("uint8")  # an encoder takes whole numbers
    each = np.stack([plain.encode(cuts[:, n]) for n in range(COUNT - WHOLE)])
    expected = each.mean(axis=0)
    np.testing.assert_allclose(found[:, width:], expected, atol=0.03 * np.abs(expected).max())


def test_an_even_picture_looks_alike_from_everywhere():
    body = NETWORKS["MobileNetV2"].body(None, SIDE)
    encoder = Encoder(body, "MobileNetV2", SIDE, "mine.h5", pooling="views")
    [found] = encoder.encode(np.full((1, SIDE, SIDE, 3), 90, "uint8"))
    width = len(found) // 2
    np.testing.assert_allclose(found[width:], found[:width], atol=1e-4)
