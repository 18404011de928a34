"""Feature extraction against the bare encoder, and against one `model.predict` a picture.

    CAPTION_FLICKR8K=... CAPTION_WEIGHTS=... python -m benchmarks.features

MobileNetV2 and ResNet50 at 224 over real photographs (ResNet50 with random weights where there is
no file of its own: the arithmetic is the same).

bare        the encoder on batches that lie in memory, decoded: the best of it as the stage runs
            it, of the frozen graph, and of bfloat16 where its features are good enough
together    the encoder as the stage runs it, on as many of these batches at once as the stage does
whole       the stage but for its start: reads, hashes, decodes, encodes, writes cache and shards
warm        the same with every picture in the cache
more        the same with all but one in a hundred in the cache
decoding    reading, hashing and decoding alone, by the stage's threads: what no GPU can pass
one by one  what tutorials do: `load_img`, `preprocess_input`, `predict`, for each picture
"""

import shutil
import tempfile
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import keras
import numpy as np

from benchmarks.timing import in_turn, photographs, ratios, spread, weights
from pipeline.backend import has_gpu
from pipeline.files import sha256_of
from pipeline.images.cluster import RaySettings
from pipeline.images.decode import Span
from pipeline.images.encoder import Encoder, load_weights
from pipeline.images.features import FeaturesSettings, Source, extract
from pipeline.images.inference import inference_model
from pipeline.images.networks import NETWORKS
from pipeline.images.precision import fastest
from pipeline.images.reading import Picture, read_batches
from stages.features import at_once

SIDE, ROUNDS = 224, 3
# Pictures, and how many of them are a batch: one in a hundred, as what is new is padded to a batch.
PICTURES = {"MobileNetV2": 1600, "ResNet50": 800}
BATCHES = {"MobileNetV2": 16, "ResNet50": 8}
if has_gpu():
    PICTURES, BATCHES = dict.fromkeys(PICTURES, 2560), dict.fromkeys(BATCHES, 128)
FEW = 32  # of one by one
WEIGHTS = {
    "MobileNetV2": "mobilenet_v2_imagenet_notop.weights.h5",
    "ResNet50": "resnet50_imagenet_notop.weights.h5",
}
SETTINGS = FeaturesSettings(
    engine="local",
    ray=RaySettings(address=None, actors=1, num_cpus=1, num_gpus=0),
    pooling="average",
    precision="auto",
    format="parquet",
    dtype="float16",
    rows_per_shard=2048,
    batch_size=1,  # each network's own
    workers=None,
    cache_gib=None,
)
Run = Callable[[], Any]


def measure() -> dict[str, Any]:
    """Measure both networks."""
    found: dict[str, Any] = {}
    for network in PICTURES:
        figures = _measure(network)
        found |= {f"{network}_{figure}": value for figure, value in figures.items()}
    return found


def _measure(network: str) -> dict[str, Any]:
    """Time the ways in turn; pictures a second, and ratios round by round."""
    folder, batch = photographs(), BATCHES[network]
    pictures = _pictures(folder, PICTURES[network])
    decoded = [pixels for _, pixels in read_batches(pictures, folder, SIDE, batch)]
    encoder = fastest(_encoder(network), decoded[0][:16])
    decoded[-1] = np.resize(decoded[-1], decoded[0].shape)  # as the stage pads the last one
    bare = _bare(encoder, decoded)
    paths = list(islice(cycle(folder / picture.path for picture in pictures), FEW))
    with tempfile.TemporaryDirectory() as name:
        stage = _Stage(Path(name), encoder, folder, batch)
        functions = {
            **{f"bare {way}": run for way, run in bare.items()},
            "together": lambda: _together(encoder, decoded),
            "whole": lambda: stage.run(pictures, "cold"),
            "warm": lambda: stage.run(pictures, "known"),
            "more": lambda: stage.run(pictures, "more"),
            "decoding": lambda: deque(read_batches(pictures, folder, SIDE, batch), maxlen=0),
            "one by one": lambda: [_predict(encoder.body, network, path) for path in paths],
        }
        stage.prepare(pictures)
        functions["one by one"]()  # compiled, and warm
        times = in_turn_prepared(functions, stage.reset)
    best = min(bare, key=lambda way: sorted(times[f"bare {way}"])[ROUNDS // 2])
    number = len(pictures)
    each = [number / FEW * value for value in times["one by one"]]
    return {
        "precision": encoder.precision,
        "best_bare": best,
        "bare_pictures_per_second": spread([number / value for value in times[f"bare {best}"]]),
        "pictures_per_second": spread([number / value for value in times["whole"]]),
        "share_of_bare": ratios(times[f"bare {best}"], times["whole"]),
        "share_of_as_many_bare_at_once": ratios(times["together"], times["whole"]),
        "decoded_pictures_per_second": spread([number / value for value in times["decoding"]]),
        "share_of_decoding": ratios(times["decoding"], times["whole"]),
        "times_one_by_one": ratios(each, times["whole"]),
        "cold_to_warm": ratios(times["whole"], times["warm"]),
        "one_percent_new_to_cold": ratios(times["more"], times["whole"]),
    }


class _Stage:
    """The stage on a cache that is empty, full, or lacks one picture in a hundred."""

    def __init__(self, folder: Path, encoder: Encoder, raw: Path, batch: int) -> None:
        self.folder, self.raw = folder, raw
        self.settings = SETTINGS.model_copy(update={"batch_size": batch})
        self.source = Source(encoder.encode, SIDE, encoder.shape, encoder.identity, at_once())

    def run(self, pictures: Sequence[Picture], cache: str) -> None:
        """Write the shards of all pictures."""
        folders = self.folder / cache, self.folder / "out"
        extract(pictures, self.raw, self.source, *folders, self.settings)

    def prepare(self, pictures: Sequence[Picture]) -> None:
        """Fill the caches; this also compiles the encoder."""
        self.run(pictures, "known")
        self.run([one for row, one in enumerate(pictures) if row % 100], "most")
        self.reset()

    def reset(self) -> None:
        """Empty the cold cache, and put the one that lacks some back as it was."""
        shutil.rmtree(self.folder / "cold", ignore_errors=True)
        shutil.rmtree(self.folder / "more", ignore_errors=True)
        shutil.copytree(self.folder / "most", self.folder / "more")


def in_turn_prepared(functions: dict[str, Run], prepare: Run) -> dict[str, list[float]]:
    """Time functions in turn; `prepare` is called before each round and is not timed."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(ROUNDS):
        prepare()
        for name, values in in_turn(functions, 1).items():
            times[name] += values
    return times


def _bare(encoder: Encoder, decoded: list[np.ndarray]) -> dict[str, Run]:
    """Give the ways to run the encoder alone, each compiled."""
    ways: dict[str, Callable[[np.ndarray], np.ndarray]] = {"as in the stage": encoder.encode}
    if keras.backend.backend() == "tensorflow":
        ways["frozen"] = _frozen(encoder)
    for encode in ways.values():
        encode(decoded[0])
    return {
        way: lambda encode=encode: [encode(pixels) for pixels in decoded]  # type: ignore[misc]
        for way, encode in ways.items()
    }


def _together(encoder: Encoder, decoded: list[np.ndarray]) -> None:
    with ThreadPoolExecutor(at_once()) as threads:
        deque(threads.map(encoder.encode, decoded), maxlen=0)


def _frozen(encoder: Encoder) -> Callable[[np.ndarray], np.ndarray]:
    """Freeze the graph: weights become constants, which TensorFlow can then lay out anew."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2,
    )

    spec = encoder.spec
    model = inference_model(encoder.body, spec.network, SIDE, encoder.pooling, encoder.precision)
    shape = tf.TensorSpec((BATCHES[spec.network], SIDE, SIDE, 3), tf.uint8)
    graph = tf.function(lambda pictures: model(pictures, training=False), input_signature=[shape])
    frozen = convert_variables_to_constants_v2(graph.get_concrete_function())

    def encode(pictures: np.ndarray) -> np.ndarray:
        [features] = frozen(tf.constant(pictures))
        return np.asarray(features)

    return encode


def _encoder(network: str) -> Encoder:
    keras.utils.set_random_seed(1)
    body = NETWORKS[network].body(None, SIDE)
    path = weights() / WEIGHTS[network]
    if path.is_file():
        load_weights(body, path, network)
    return Encoder(body, network, SIDE, path.name if path.is_file() else "random")


def _pictures(folder: Path, number: int) -> list[Picture]:
    return [
        Picture(
            path.stem,
            path.relative_to(folder).as_posix(),
            Span(0, path.stat().st_size),
            sha256_of(path),
            10**8,
        )
        for path in sorted(folder.glob("*/*.jpg"))[:number]
    ]


def _predict(model: keras.Model, network: str, path: Path) -> np.ndarray:
    """Encode one picture as tutorials do."""
    module = {"MobileNetV2": "mobilenet_v2", "ResNet50": "resnet50"}[network]
    picture = keras.utils.img_to_array(keras.utils.load_img(path, target_size=(SIDE, SIDE)))
    batch = getattr(keras.applications, module).preprocess_input(picture[None])
    return np.asarray(model.predict(batch, verbose=0))


if __name__ == "__main__":
    from benchmarks.run import tell

    tell({"features": measure()})
