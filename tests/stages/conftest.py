"""A tiny data set of drawn pictures, and the stages run on it, each once, when first needed."""

import hashlib
import importlib
import io
import itertools
import shutil
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from pipeline.captioner import bundle
from pipeline.captioner.decoders.find import build
from pipeline.tables import CAPTIONS, FACTS, IMAGES, write_rows

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 220)}
PLACES = {"left": 2, "right": 18}
SETTINGS: dict[str, dict[str, Any]] = {
    "clean": {"min_words": 2, "max_words": 20, "max_dropped": 0.05},
    "vocabulary": {
        "min_count": 2,
        "embeddings": {"file": None, "folder": "", "format": "auto", "seed": 1},
    },
    "encoder": {
        "network": "compact",
        "weights": "train",
        "weights_folder": "",
        "side": 32,
        "layers": [],
        "compact": {
            "labels": 20, "epochs": 1, "batch_size": 16, "learning_rate": 0.002, "seed": 1
        },
        "finetune": False,
        "finetuning": {
            "labels": 20, "share": 0.5, "epochs": 1, "batch_size": 16, "learning_rate": 0.001,
            "weight_decay": 0.01, "mirror": False, "seed": 1,
        },
    },
    "features": {
        "engine": "local",
        "ray": {"address": None, "actors": 2, "num_cpus": 1, "num_gpus": 0},
        "pooling": "average", "precision": "float32", "format": "parquet", "dtype": "float16",
        "rows_per_shard": 16, "batch_size": 16, "workers": 2, "cache_gib": 1.0,
    },
    "train": {
        "decoder": "inject",
        "units": 8,
        "embedding": 6,
        "dropout": 0.1,
        "epochs": 2,
        "patience": 3,
        "batch_size": 16,
        "learning_rate": 0.05,
        "warmup": 0.05,
        "clip_norm": 5.0,
        "max_words": 8,
        "seeds": [1],
        "word_vectors": "random", "tie_weights": False, "layer_norm": False,
        "variational_dropout": False, "attention_width": None, "accumulate": 1,
        "schedule": "cosine", "plateau": 1,
        "label_smoothing": 0.0, "scheduled_sampling": 0.0, "attention_penalty": 0.0, "ema": 0.0,
        "precision": "float32",
        "self_critical": {
            "epochs": 0, "patience": 2, "baseline": "mean", "samples": 3, "pictures": 4,
            "learning_rate": 0.001, "clip_norm": 1.0, "ema": 0.0, "max_words": 8,
        },
        "consensus": {"pictures": 0, "kernel": "gaussian", "ridge": 0.3},
    },
    "evaluate": {
        "split": "test", "coco_splits": ["val", "test"], "spice": None, "ensemble": True,
        "method": "beam", "beam_width": 2, "length_penalty": 0.9, "max_words": 8,
        "min_words": 0, "block_ngrams": 0, "forbidden_words": [], "required_words": [],
        "consensus": 0.0,
        "guide": 0.0,
        "diverse": {"groups": 2, "strength": 0.5},
        "sampling": {"top_p": 0.9, "temperature": 1.0, "samples": 5, "seed": 1},
    },
}  # fmt: skip


@dataclass(frozen=True)
class Result:
    """How a command ended, and what it wrote."""

    code: int
    out: str
    err: str


def run(stage: str, *arguments: object) -> Result:
    """Run a command as `python -m stages.<stage>` would, in this process."""
    if "keras" in sys.modules:
        # Layers are numbered as in a new process. Not by way of the garbage collector, which takes
        # seconds in a process that has run many tests.
        sys.modules["keras"].utils.clear_session(free_memory=False)
    module = importlib.import_module(f"stages.{stage}")
    command = importlib.import_module("stages.command")
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", [stage, *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            command.run(getattr(module, stage))
    return Result(int(end.value.code or 0), out.getvalue(), err.getvalue())


@dataclass(frozen=True)
class Tiny:
    """A data set and where each stage's output lies: `data / "clean"` and so on."""

    data: Path

    @property
    def raw(self) -> Path:
        return self.data / "raw"

    @property
    def images(self) -> Path:
        return self.data / "ingest" / "images.parquet"

    @property
    def captions(self) -> Path:
        return self.data / "clean" / "captions.parquet"

    def run(self, stage: str, *arguments: object, **changes: object) -> Result:
        """Run a stage with the settings above, but for `changes` to its section."""
        params = self.data / f"params-{len(list(self.data.glob('params-*')))}.yaml"
        section = {**SETTINGS.get(stage, {}), **changes}
        params.write_text(yaml.safe_dump({stage: section}))
        cache = ("--cache", self.data / "cache" / stage) if stage in ("features", "train") else ()
        return run(stage, *arguments, "--params", params, *cache)


def make(data: Path, splits: dict[str, int]) -> Tiny:
    """Draw a data set: squares of three colours, left or right, with two captions each."""
    images, captions = [], []
    kinds = itertools.cycle(itertools.product(COLOURS.items(), PLACES.items()))
    (data / "raw").mkdir(parents=True)
    for split, number in splits.items():
        for index in range(number):
            (colour, rgb), (place, x) = next(kinds)
            image_id = f"{split}-{index:02d}"
            path = data / "raw" / f"{image_id}.png"
            picture = Image.new("RGB", (32, 32), (240, 240, 200 + len(images)))
            picture.paste(rgb, (x, 6, x + 12, 18 + index % 5))
            picture.save(path)
            sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
            images.append(
                {
                    "image_id": image_id,
                    "split": split,
                    "path": path.name,
                    "offset": 0,
                    "bytes": path.stat().st_size,
                    "sha256": sha256,
                    "width": 32,
                    "height": 32,
                    "mode": "RGB",
                    "dhash": "0" * 64,
                }
            )
            texts = (f"A {colour} square on the {place}.", f"There is a {colour} square.")
            captions.extend(
                {"image_id": image_id, "caption_id": f"{image_id}#{n}", "text": text}
                for n, text in enumerate(texts)
            )
    folder = data / "ingest"
    write_rows(folder / "images.parquet", images, IMAGES, ["image_id"])
    write_rows(folder / "captions.parquet", captions, CAPTIONS, ["image_id", "caption_id"])
    write_rows(folder / "facts.parquet", [], FACTS, ["image_id"])
    return Tiny(data)


@pytest.fixture(scope="session")
def make_tiny() -> Callable[[Path, dict[str, int]], Tiny]:
    return make


@pytest.fixture(scope="session")
def tiny_settings() -> dict[str, dict[str, Any]]:
    """The settings that `Tiny.run` takes."""
    return SETTINGS


@pytest.fixture(scope="session")
def command() -> Callable[..., Result]:
    return run


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return make(tmp_path_factory.mktemp("tiny") / "data", {"train": 30, "val": 6, "test": 6})


def done(result: Result) -> None:
    assert result.code == 0, result.err


@pytest.fixture(scope="session")
def cleaned(tiny: Tiny) -> Tiny:
    done(tiny.run("clean", tiny.data / "ingest" / "captions.parquet", tiny.data / "clean"))
    return tiny


@pytest.fixture(scope="session")
def counted(cleaned: Tiny) -> Tiny:
    tiny = cleaned
    vectors, out = tiny.data / "vectors", tiny.data / "vocabulary"
    done(tiny.run("vocabulary", tiny.images, tiny.captions, vectors, out))
    return tiny


@pytest.fixture(scope="session")
def encoded(cleaned: Tiny) -> Tiny:
    tiny = cleaned
    weights, out = tiny.data / "weights", tiny.data / "encoder"
    done(tiny.run("encoder", tiny.raw, tiny.images, tiny.captions, weights, out))
    return tiny


@pytest.fixture(scope="session")
def featured(encoded: Tiny) -> Tiny:
    tiny = encoded
    encoder, out = tiny.data / "encoder", tiny.data / "features"
    done(tiny.run("features", tiny.raw, tiny.images, encoder, out))
    return tiny


@pytest.fixture(scope="session")
def train_inputs(featured: Tiny, counted: Tiny) -> tuple[Path, ...]:
    """What `train` is given, but for where to write."""
    data = featured.data
    words = data / "vocabulary" / "vocabulary.json", data / "vocabulary" / "embeddings.npy"
    return featured.images, featured.captions, *words, data / "encoder", data / "features"


@pytest.fixture(scope="session")
def trained(featured: Tiny, train_inputs: tuple[Path, ...]) -> Tiny:
    done(featured.run("train", *train_inputs, featured.data / "train"))
    return featured


@pytest.fixture(scope="session")
def agreeing(
    trained: Tiny, train_inputs: tuple[Path, ...], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The bundle of the same training, which knows what people said of the training pictures."""
    out = tmp_path_factory.mktemp("agreeing")
    kept = {"pictures": 25, "kernel": "gaussian", "ridge": 0.3}
    result = trained.run("train", *train_inputs, out, consensus=kept)
    done(result)
    return out / "bundle"


@pytest.fixture(scope="session")
def content() -> Callable[[Path], dict[str, bytes]]:
    """Read every file of a folder."""

    def read(folder: Path) -> dict[str, bytes]:
        files = (path for path in folder.rglob("*") if path.is_file())
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(files)}

    return read


@pytest.fixture(scope="session")
def one_line() -> Callable[[Result], str]:
    """Check that a command ended with one line about bad input, and return it."""

    def check(result: Result) -> str:
        assert result.code == 2, result.err
        assert "Traceback" not in result.err
        [line] = [line for line in result.err.splitlines() if line.startswith("error: ")]
        return line

    return check


@pytest.fixture
def of_two_seeds(trained, tmp_path):
    """The trained bundle with a second decoder, of other weights."""
    folder = Path(shutil.copytree(trained.data / "train" / "bundle", tmp_path / "two"))
    [captioner] = bundle.load_members(folder)
    first = captioner.decoder
    second = build(first.settings, first.vocabulary_size, first.feature_shape)
    second.set_weights([weight[::-1] for weight in first.get_weights()])
    encoder = folder / "encoder"
    shape, fingerprint = first.feature_shape, bundle.read_description(folder).encoder
    both, words = tmp_path / "both", folder / "vocabulary.json"
    bundle.save(both, [first, second], words, encoder, shape, fingerprint)
    return both
