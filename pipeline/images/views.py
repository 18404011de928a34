"""Several views of a picture, and what a network makes of them all: `features.pooling: views`.

    whole     the picture, and its mirror image        their features, averaged      (b, f)
    cuts      its four corners and its middle, each    theirs, averaged, beside it   (b, 2 f)
              four fifths of its sides, enlarged

A network was trained on things of about one size, in the middle as often as not. Of what is smaller
in the picture, or at its edge, a cut tells more; and the average of several views has less in it of
where things happen to stand. (Krizhevsky, Sutskever and Hinton, "ImageNet Classification with Deep
Convolutional Neural Networks" (2012), section 4.1, average what they predict of ten such views.)

The views are made from the square that is read, in the network that runs: so wherever an encoder
runs, exported or in a page, it has them. It runs on each of them: it takes seven times as long.

Letters: `b` pictures, `v` views, `f` features of one.
"""

import keras
from keras import ops

from pipeline.images.networks import Network, Tensor
from pipeline.images.spec import Pooling

ENLARGED = 1.25  # times the side: of the enlarged picture that the cuts are taken from
WHOLE = 2  # views that are the whole picture; they come first
COUNT = WHOLE + 5  # v


def views_of(pooling: Pooling) -> int:
    """How many views of a picture a network sees, each of which takes what a picture takes."""
    return COUNT if pooling == "views" else 1


def in_views(body: keras.Model, network: Network, side: int) -> keras.Model:
    """Put views and preprocessing before a body: uint8 RGB (b, side, side, 3) -> (b, 2 f).

    Args:
        body: the network itself, ready to run: pictures (b, side, side, 3) -> (b, f).
        network: of which it is.
        side: pixels.
    """
    pictures = keras.Input((side, side, 3), dtype="uint8", name="pictures")
    seen = views(ops.cast(pictures, "float32"))  # (b, v, side, side, 3)
    features = body(network.preprocess(ops.reshape(seen, (-1, side, side, 3))))
    each = ops.reshape(ops.cast(features, "float32"), (-1, COUNT, features.shape[-1]))
    averages = [ops.mean(each[:, :WHOLE], axis=1), ops.mean(each[:, WHOLE:], axis=1)]
    return keras.Model(pictures, ops.concatenate(averages, axis=-1), name="encoder")


def views(pictures: Tensor) -> Tensor:
    """Make the views: float32 (b, side, side, 3) -> (b, v, side, side, 3)."""
    side = pictures.shape[1]
    large = round(ENLARGED * side)
    enlarged = ops.image.resize(pictures, (large, large), interpolation="bilinear")
    edge, middle = large - side, (large - side) // 2
    places = [(0, 0), (0, edge), (edge, 0), (edge, edge), (middle, middle)]
    cuts = [enlarged[:, y : y + side, x : x + side] for y, x in places]
    return ops.stack([pictures, ops.flip(pictures, axis=2), *cuts], axis=1)
