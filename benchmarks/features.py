"""Feature extraction against the bare encoder, and against one `model.predict` a picture.

    CAPTION_FLICKR8K=... CAPTION_WEIGHTS=... python -m benchmarks.features

MobileNetV2 at 224 over real photographs. `bare` is the encoder on batches that lie in memory,
decoded; `whole` reads, hashes, decodes, encodes and writes to the cache; `one by one` is what
tutorials do: `load_img`, `preprocess_input`, `predict`, for each picture.
"""

import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np

from benchmarks.timing import in_turn, photographs, ratios, spread, weights
from pipeline.files import sha256_of
from pipeline.images.cache import FeatureCache
from pipeline.images.decode import Span
from pipeline.images.encoder import Encoder, load_weights
from pipeline.images.features import compute
from pipeline.images.networks import NETWORKS
from pipeline.images.reading import Picture, read_batches

PICTURES, FEW, BATCH, ROUNDS = 1024, 64, 64, 5
WEIGHTS = "mobilenet_v2_imagenet_notop.weights.h5"


def measure() -> dict[str, Any]:
    """Time the three ways in turn; pictures a second, and ratios."""
    folder = photographs()
    encoder = _encoder()
    pictures = _pictures(folder)
    decoded = [pixels for _, pixels in read_batches(pictures, folder, 224, BATCH)]
    paths = [folder / picture.path for picture in pictures[:FEW]]

    def whole() -> None:
        with tempfile.TemporaryDirectory() as cache:
            known = FeatureCache(Path(cache), encoder.spec.fingerprint, encoder.spec.features)
            compute(pictures, folder, encoder.encode, 224, known, BATCH)

    functions = {
        "bare": lambda: [encoder.encode(pixels) for pixels in decoded],
        "whole": whole,
        "one_by_one": lambda: [_predict(encoder.body, path) for path in paths],
    }
    functions["bare"](), functions["one_by_one"]()  # compiled, and warm
    times = in_turn(functions, ROUNDS)
    each = [PICTURES / FEW * value for value in times["one_by_one"]]
    return {
        "bare_pictures_per_second": spread([PICTURES / value for value in times["bare"]]),
        "whole_pictures_per_second": spread([PICTURES / value for value in times["whole"]]),
        "share_of_bare": ratios(times["bare"], times["whole"]),
        "times_one_by_one": ratios(each, times["whole"]),
    }


def _encoder() -> Encoder:
    body = NETWORKS["MobileNetV2"].body(None, 224)
    load_weights(body, weights() / WEIGHTS, "MobileNetV2")
    return Encoder(body, "MobileNetV2", 224, WEIGHTS)


def _pictures(folder: Path) -> list[Picture]:
    paths = sorted(folder.glob("*/*.jpg"))[:PICTURES]
    return [
        Picture(
            path.stem,
            path.relative_to(folder).as_posix(),
            Span(0, path.stat().st_size),
            sha256_of(path),
            224 * 224,
        )
        for path in paths
    ]


def _predict(model: keras.Model, path: Path) -> np.ndarray:
    """Encode one picture as tutorials do."""
    picture = keras.utils.img_to_array(keras.utils.load_img(path, target_size=(224, 224)))
    batch = keras.applications.mobilenet_v2.preprocess_input(picture[None])
    return np.asarray(model.predict(batch, verbose=0))


if __name__ == "__main__":
    from benchmarks.run import tell

    tell({"features": measure()})
