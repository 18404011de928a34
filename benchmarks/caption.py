"""Captions of a folder of photographs against the bare encoder, and the time to the first one.

    CAPTION_FLICKR8K=... CAPTION_WEIGHTS=... python -m benchmarks.caption

Bundles of MobileNetV2 and ResNet50 at 224 with `inject` of 512 units and 2,319 words; photographs.
The decoder's weights are random, those that score the words large, so that it is as sure of its
words as a trained one: with small ones, the empty caption is the best. ResNet50 has random weights
where there is no file of its own: the arithmetic is the same.

bare    the encoder on batches that lie in memory, decoded
whole   `caption_files`: reads, decodes, encodes, searches with a beam of 3
first   a new process: `caption photo.jpg`, less a new process that imports TensorFlow
"""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.timing import in_turn, photographs, ratios, spread, weights
from pipeline import backend
from pipeline.captioner import bundle
from pipeline.captioner.captioner import SearchSettings
from pipeline.captioner.decoders.base import DecoderSettings
from pipeline.captioner.decoders.find import build
from pipeline.captioner.pictures import BATCH, PictureCaptioner
from pipeline.images.encoder import Encoder, load_weights
from pipeline.images.loose import decode_batches, find_pictures
from pipeline.images.networks import NETWORKS
from pipeline.text.marks import MARKS
from pipeline.text.vocabulary import Vocabulary

PICTURES = {"MobileNetV2": 1000, "ResNet50": 300}
WEIGHTS = {
    "MobileNetV2": "mobilenet_v2_imagenet_notop.weights.h5",
    "ResNet50": "resnet50_imagenet_notop.weights.h5",
}
SIDE, WORDS, ROUNDS = 224, 2319, 5
SURE = 100.0  # by which the weights that score words are larger than at the start of a training
MAX_PIXELS = 10**8
SETTINGS = SearchSettings.plain(beam_width=3, length_penalty=0.5, max_words=20)
START = "import stages, tensorflow"
ONE = "import stages.caption, sys; sys.argv = sys.argv[1:]; stages.caption.main()"


def measure() -> dict[str, Any]:
    """Measure both networks."""
    found: dict[str, Any] = {}
    for network in PICTURES:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name) / "bundle"
            _save(folder, network)
            figures = _rates(folder, network) | _starts(folder)
        found |= {f"{network}_{figure}": value for figure, value in figures.items()}
    return found


def _rates(folder: Path, network: str) -> dict[str, Any]:
    """Time the encoder and the whole in turn; pictures a second, and ratios round by round."""
    captioner = PictureCaptioner.load(folder)
    paths = _photographs(PICTURES[network])
    batches = [batch.pixels for batch in decode_batches(paths, SIDE, BATCH, MAX_PIXELS)]
    batches[-1] = np.resize(batches[-1], batches[0].shape)
    words: list[int] = []

    def whole() -> None:
        found = captioner.caption_files(paths, SETTINGS, MAX_PIXELS)
        words[:] = [len(picture.captions[0].words) for picture in found]

    functions = {
        "bare": lambda: [captioner.encoder.encode(pixels) for pixels in batches],
        "whole": whole,
    }
    in_turn(functions, 1)  # compiled, and warm
    times = in_turn(functions, ROUNDS)
    return {
        "bare_pictures_per_second": spread([len(paths) / value for value in times["bare"]]),
        "captions_per_second": spread([len(paths) / value for value in times["whole"]]),
        "share_of_bare": ratios(times["bare"], times["whole"]),
        "words_a_caption": round(sum(words) / len(words), 1),
    }


def _starts(folder: Path) -> dict[str, Any]:
    """Time new processes in turn."""
    [photograph] = _photographs(1)
    times = in_turn(
        {
            "tensorflow": lambda: _process(START),
            "first": lambda: _process(ONE, "caption", photograph, "--bundle", folder),
        },
        ROUNDS,
    )
    after = [one - bare for one, bare in zip(times["first"], times["tensorflow"], strict=True)]
    return {
        "tensorflow_start_seconds": spread(times["tensorflow"]),
        "first_caption_after_it_seconds": spread(after),
    }


def _save(folder: Path, network: str) -> None:
    """Write the bundle."""
    backend.seed(1)
    body = NETWORKS[network].body(None, SIDE)
    path = weights() / WEIGHTS[network]
    if path.is_file():
        load_weights(body, path, network)
    encoder = Encoder(body, network, SIDE, path.name if path.is_file() else "random")
    encoder.save(folder.parent / "encoder")
    words = (*MARKS, *(f"w{number}" for number in range(WORDS - len(MARKS))))
    Vocabulary(words, (1,) * WORDS).write(folder.parent / "vocabulary.json")
    shape = DecoderSettings.plain(decoder="inject", units=512, embedding=300, dropout=0.5)
    decoder = build(shape, WORDS, encoder.shape)
    kernel, bias = decoder.to_vocabulary.get_weights()
    decoder.to_vocabulary.set_weights([SURE * kernel, bias])
    bundle.save(
        folder,
        [decoder],
        folder.parent / "vocabulary.json",
        folder.parent / "encoder",
        encoder.shape,
        encoder.identity,
    )


def _photographs(number: int) -> list[Path]:
    """Take some from all over the folder."""
    paths = find_pictures([str(photographs())], recursive=True)
    return paths[:: max(1, len(paths) // number)][:number]


def _process(code: str, *arguments: object) -> None:
    subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=Path(__file__).parents[1],
        check=True,
        capture_output=True,
    )


if __name__ == "__main__":
    from benchmarks.run import tell

    tell({"caption": measure()})
