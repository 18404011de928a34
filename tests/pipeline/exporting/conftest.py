"""Bundles to export, pictures to caption, and processes that know nothing of this project."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from pipeline.captioner import bundle, bundle_zip
from pipeline.captioner.batches import pad, shift
from pipeline.captioner.captioner import Captioner, SearchSettings
from pipeline.captioner.decoders.base import DecoderSettings
from pipeline.captioner.decoders.find import build
from pipeline.captioner.pictures import PictureCaptioner
from pipeline.images.decode import read_square
from pipeline.images.encoder import Encoder, load_weights
from pipeline.images.networks import NETWORKS
from pipeline.text.vocabulary import Vocabulary

ROOT = Path(__file__).parents[3]
FIXTURES = ROOT / "tests" / "fixtures" / "bundle-v1"
MAX_PIXELS = 1_000_000
PHOTOGRAPHS = 200


@pytest.fixture(scope="session")
def search() -> SearchSettings:
    return SearchSettings.plain(beam_width=2, length_penalty=0.5, max_words=8)


@pytest.fixture(
    scope="session",
    params=[
        "inject",
        *(pytest.param(one, marks=pytest.mark.slow) for one in ("adaptive", "views")),
    ],
)
def bundle_folder(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """A tiny bundle that tells red squares from blue ones: of averages, a grid, or views."""
    name = "inject" if request.param == "views" else request.param
    with bundle_zip.opened(FIXTURES / f"{name}.zip") as folder:
        if request.param == "views":
            folder = of_views(folder, tmp_path_factory.mktemp("views") / "bundle")
        yield folder


def doubled(weight: np.ndarray) -> np.ndarray:
    """Make weights for features twice as wide: a matrix, (f, u), or a vector that scales, (f,)."""
    return np.concatenate([weight, weight]) / (2 if weight.ndim > 1 else 1)


def of_views(folder: Path, out: Path) -> Path:
    """Make a bundle of views of one of averages: both halves of its features count alike."""
    model = PictureCaptioner.load(folder)
    old = model.captioner.decoder
    [width] = old.feature_shape
    decoder = build(old.settings, len(model.captioner.vocabulary), (2 * width,))
    decoder.set_weights(
        [
            doubled(weight) if weight.shape[:1] == (width,) else weight
            for weight in old.get_weights()
        ]
    )
    identity = f"{model.encoder.spec.fingerprint}-views"
    bundle.save(
        out,
        [decoder],
        folder / bundle.WORDS,
        folder / bundle.ENCODER,
        decoder.feature_shape,
        identity,
    )
    return out


@pytest.fixture(scope="session")
def model(bundle_folder: Path) -> PictureCaptioner:
    """What is in that bundle."""
    return PictureCaptioner.load(bundle_folder)


@pytest.fixture(scope="session")
def inject_folder() -> Iterator[Path]:
    """The first of these alone."""
    with bundle_zip.opened(FIXTURES / "inject.zip") as folder:
        yield folder


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two squares as PNG, and as JPEG of another size, one of them lying on its side."""
    folder = tmp_path_factory.mktemp("pictures")
    paths = []
    for name in ("red", "blue"):
        picture = Image.open(FIXTURES / f"{name}.png").convert("RGB")
        paths.append(folder / f"{name}.png")
        picture.save(paths[-1])
        paths.append(folder / f"{name}.jpg")
        larger = picture.resize((150, 90), Image.Resampling.BICUBIC)
        exif = Image.Exif()
        exif[0x0112] = 6 if name == "red" else 1
        larger.save(paths[-1], quality=90, exif=exif)
    noise = np.random.default_rng(1).integers(0, 256, (40, 50, 3), np.uint8)
    paths.append(folder / "noise.bmp")
    Image.fromarray(noise).save(paths[-1])
    return paths


@pytest.fixture(scope="session")
def clean_process(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Run a Python program where nothing of this project is at hand; return what it prints."""

    def run(program: str, *arguments: object, folder: Path | None = None) -> str:
        folder = folder or tmp_path_factory.mktemp("elsewhere")
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("PYTHON")
        }
        alone = (
            f"{program}\nimport sys\n"
            "assert not {name.split('.')[0] for name in sys.modules} & {'pipeline', 'stages'}\n"
        )
        done = subprocess.run(
            [sys.executable, "-I", "-c", alone, *map(str, arguments)],
            cwd=folder,
            env={**environment, "TF_CPP_MIN_LOG_LEVEL": "3"},
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="session")
def scenes() -> tuple[Path, list[Path]]:
    """The bundle that `make repro` trained, and 200 test pictures of *scenes*."""
    folder, pictures = ROOT / "data" / "train" / "bundle", ROOT / "data" / "raw" / "scenes"
    paths = sorted((pictures / "images").glob("scene_test_*"))[:200]
    if not (folder / "bundle.json").exists() or not paths:
        pytest.skip("the pipeline has not run on scenes: make repro")
    return folder, paths


@pytest.fixture(scope="session")
def photographs() -> tuple[PictureCaptioner, list[Path]]:
    """A captioner of real photographs, and 200 of them.

    MobileNetV2's own weights, and a decoder fitted to the captions of these very photographs: not
    a good captioner, but one that says something else of nearly each.
    """
    if "CAPTION_FLICKR8K" not in os.environ or "CAPTION_WEIGHTS" not in os.environ:
        pytest.skip("CAPTION_FLICKR8K or CAPTION_WEIGHTS is not set")
    data = Path(os.environ["CAPTION_FLICKR8K"])
    paths = sorted((data / "Flicker8k_Dataset").glob("*.jpg"))[:PHOTOGRAPHS]
    body = NETWORKS["MobileNetV2"].body(None, 224)
    [weights] = Path(os.environ["CAPTION_WEIGHTS"]).glob("mobilenet_v2*.h5")
    load_weights(body, weights, "MobileNetV2")
    encoder = Encoder(body, "MobileNetV2", 224, weights.name)
    squares = np.stack([read_square(path, 224, MAX_PIXELS) for path in paths])
    features = np.concatenate([encoder.encode(part) for part in np.split(squares, 10)])

    row_of = {path.name: row for row, path in enumerate(paths)}
    rows, captions = [], []
    for line in (data / "Flickr8k.token.txt").read_text(encoding="utf-8").splitlines():
        name, text = line.split("\t")
        if name.split("#")[0] in row_of:
            rows.append(row_of[name.split("#")[0]])
            captions.append([word for word in text.lower().split() if word.isalpha()])
    vocabulary = Vocabulary.build(captions, min_count=2)
    inputs, targets, counted = shift(pad([vocabulary.encode(words) for words in captions]))
    settings = DecoderSettings.plain(decoder="inject", units=128, embedding=64, dropout=0.0)
    decoder = build(settings, len(vocabulary), features.shape[1:])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    decoder.compile(keras.optimizers.Adam(0.003), loss, jit_compile=False)
    given = (features[rows], inputs)
    decoder.fit(given, targets, 50, epochs=15, verbose=0, sample_weight=counted)
    return PictureCaptioner(encoder, Captioner(decoder, vocabulary)), paths
