"""Stage `train`: fit the decoder; write the bundle and its learning curves."""

import hashlib
import logging
import statistics
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Self

import keras
import numpy as np
import pyarrow as pa
import typer
from dvclive import Live
from pydantic import Field, field_validator, model_validator

from pipeline import backend
from pipeline.captioner import bundle, kept, training
from pipeline.captioner.batches import Captions, Split
from pipeline.captioner.captioner import Captioner
from pipeline.captioner.checkpoint import History, score
from pipeline.captioner.consensus import Consensus, ConsensusSettings
from pipeline.captioner.decoders.base import Decoder
from pipeline.captioner.decoders.find import DECODERS, build
from pipeline.captioner.schedule import needed_epochs
from pipeline.captioner.self_critical import SelfCriticalSettings, fit_self_critical
from pipeline.captioner.training import FitSettings, TrainSettings
from pipeline.errors import InputError
from pipeline.evaluation.over_seeds import over_seeds
from pipeline.files import sha256_of, write_json
from pipeline.images.shards import MANIFEST, ShardReader, open_shards
from pipeline.images.spec import SPEC, read_spec
from pipeline.params import load
from pipeline.tables import CLEAN_CAPTIONS, IMAGES, read_table
from pipeline.text.embeddings import has_vectors, load_embeddings
from pipeline.text.vocabulary import Vocabulary
from stages.command import run

log = logging.getLogger(__name__)

ROOT = Path(training.__file__).parents[2]
# What decides on the result of a training, beside its inputs: modules, and folders of them.
DECIDING = (
    "pipeline/captioner",
    *(f"pipeline/text/{name}.py" for name in ("embeddings", "marks", "nltk_parts", "vocabulary")),
    *("pipeline/evaluation/cider.py", "pipeline/evaluation/tokens.py"),
    *("pipeline/backend.py", "pipeline/images/shards.py", "stages/train.py"),
    "pipeline/ahead.py",
    "pipeline/machine.py",  # sets which kernels TensorFlow takes
)
# In these folders, what training does not import.
BESIDE = tuple(f"pipeline/captioner/{name}.py" for name in ("bundle_zip", "output", "pictures"))
CAPTIONS_AT_ONCE = 10_000  # that are read together
KEPT = 3  # finished trainings whose checkpoints stay, for another seed, or what goes on with them
KEPT_KILLED = 10  # checkpoints that stay of trainings that did not come to a bundle


class TrainStageSettings(FitSettings):
    """Section `train` of params.yaml."""

    seeds: list[Annotated[int, Field(ge=0, lt=2**32)]] = Field(
        min_length=1, max_length=bundle.MOST_MEMBERS
    )
    self_critical: SelfCriticalSettings
    consensus: ConsensusSettings

    @field_validator("seeds")
    @classmethod
    def _differ(cls, seeds: list[int]) -> list[int]:
        if len(set(seeds)) < len(seeds):
            raise ValueError(
                f"expected each seed once, as one trains the same decoder again. Received: {seeds}"
            )
        return seeds

    @model_validator(mode="after")
    def _has_gradients(self) -> Self:
        """Tell before the hours of cross-entropy what `fit_self_critical` would tell after them."""
        if self.self_critical.epochs and self.precision == "mixed_float16":
            raise ValueError(
                "self-critical training: expected train.precision float32 or mixed_bfloat16. "
                "Received: mixed_float16. Change it, or set train.self_critical.epochs to 0"
            )
        return self

    @model_validator(mode="after")
    def _has_places(self) -> Self:
        """Refuse what only a decoder that attends to a grid has a use for."""
        if DECODERS[self.decoder].needs_grid:
            return self
        for name, none in (("attention_penalty", "0"), ("attention_width", "null")):
            if value := getattr(self, name):
                raise ValueError(
                    f"train.{name}: expected {none} for a decoder that attends to no grid. "
                    f"Received: {value} for {self.decoder}. Set it to {none}, or train.decoder to "
                    "attention, adaptive or top_down"
                )
        return self

    @model_validator(mode="after")
    def _drops_something(self) -> Self:
        """Refuse dropout in another way where there is none."""
        if self.variational_dropout and not self.dropout:
            raise ValueError(
                "train.variational_dropout: expected false where train.dropout is 0, as nothing is "
                "dropped in either way. Received: true. Set it to false, or raise dropout"
            )
        return self

    @model_validator(mode="after")
    def _comes_to_it(self) -> Self:
        """Refuse what would never begin in as many epochs, and pass for tried."""
        if self.schedule == "plateau" and self.plateau >= self.patience:
            raise ValueError(
                "train.plateau: expected fewer epochs than train.patience with schedule plateau, "
                f"or training ends before a lower rate is tried. Received: {self.plateau} and "
                f"{self.patience}. Lower plateau, or raise patience"
            )
        needed = needed_epochs(self, self.epochs) if self.schedule == "plateau" else 1
        if needed > self.epochs:
            raise ValueError(
                f"train.epochs: expected {needed} at least, so that a lower rate can be tried with "
                f"schedule plateau, plateau {self.plateau} and warmup {self.warmup:g}. Received: "
                f"{self.epochs}. Raise epochs, or lower plateau or warmup"
            )
        if self.scheduled_sampling and self.epochs == 1:
            raise ValueError(
                "train.scheduled_sampling: expected 0 for a single epoch, as in the first one no "
                f"words are replaced. Received: {self.scheduled_sampling}. Set it to 0, or raise "
                "train.epochs"
            )
        return self

    def of(self, seed: int) -> TrainSettings:
        """Settings of the training from one of the seeds."""
        own = {name: getattr(self, name) for name in FitSettings.model_fields}
        return TrainSettings(**own, seed=seed)


class Inputs(NamedTuple):
    """What all seeds are trained on."""

    files: list[Path]  # that decide on the result
    vocabulary: Vocabulary
    embeddings: Path
    feature_shape: tuple[int, ...]
    train: Split
    val: Split


class Trained(NamedTuple):
    """What came of one seed."""

    captioner: Captioner
    metrics: dict[str, Any]
    checkpoint: Path
    further: Path  # where the checkpoint of self-critical training is, if there was any

    @property
    def reached(self) -> tuple[float, float]:
        """What seeds are compared by, of the epoch that was kept last: see `checkpoint.score`."""
        return score(self.metrics.get("self_critical", self.metrics))


def train(
    images: Annotated[Path, typer.Argument(help="Pictures and their splits (Parquet).")],
    captions: Annotated[Path, typer.Argument(help="Clean captions (Parquet).")],
    vocabulary: Annotated[Path, typer.Argument(help="The vocabulary (JSON).")],
    embeddings: Annotated[Path, typer.Argument(help="Its word vectors, if any (NumPy).")],
    encoder: Annotated[Path, typer.Argument(help="Encoder folder; goes into the bundle.")],
    features: Annotated[Path, typer.Argument(help="Folder of feature shards.")],
    out: Annotated[Path, typer.Argument(help="Folder for the bundle, the curves and metrics.")],
    params: Annotated[Path, typer.Option(help="Settings.")] = Path("params.yaml"),
    cache: Annotated[Path, typer.Option(help="State after each epoch.")] = Path(".cache/train"),
) -> None:
    """Fit the captioner; write OUT/bundle, OUT/curves and OUT/metrics.json."""
    settings = load(TrainStageSettings, "train", params)
    words = Vocabulary.read(vocabulary)
    known = open_shards(features, read_spec(encoder).fingerprint)
    tables = read_table(images, IMAGES), read_table(captions, CLEAN_CAPTIONS)
    files = [images, captions, vocabulary, embeddings, encoder / SPEC, features / MANIFEST]
    ids_of, tokens = _ids_by_split(tables[0]), _tokens(tables[1])
    splits = {name: _split(name, ids_of[name], tokens, known, words) for name in ("train", "val")}
    inputs = Inputs(files, words, embeddings, known.shape, **splits)
    _check_pictures(inputs, settings)
    if settings.word_vectors == "random" and has_vectors(embeddings):
        log.warning(
            "train: the word vectors of vocabulary.embeddings.file are not used, as"
            " train.word_vectors is random; frozen or trained begins with them"
        )

    trained = {}
    for place, seed in enumerate(settings.seeds):
        if len(settings.seeds) > 1:
            log.info("train: seed %d, %d of %d", seed, place + 1, len(settings.seeds))
        curves = out / "curves" if place == 0 else out / "curves" / f"seed_{seed}"
        trained[seed] = _train(inputs, settings, seed, cache, curves)
    best_first = sorted(trained.values(), key=lambda one: one.reached, reverse=True)
    decoders = [one.captioner.decoder for one in best_first]
    consensus = _consensus(inputs.train, settings.consensus)
    given = vocabulary, encoder, known.shape, known.encoder
    bundle.save(out / "bundle", decoders, *given, consensus)
    write_json(out / "metrics.json", _metrics({seed: one.metrics for seed, one in trained.items()}))
    # Only now: until the bundle is there, they are all there is.
    used = [one.checkpoint for one in trained.values()]
    used += [one.further for one in trained.values() if one.further.exists()]
    for checkpoint in used:
        kept.mark_used(checkpoint)
    kept.keep_newest(cache, KEPT * len(used), KEPT_KILLED)


def _check_pictures(inputs: Inputs, settings: TrainStageSettings) -> None:
    """Tell before the hours of training where there are too few pictures for what comes after.

    Raises:
        InputError: CIDEr-D of a single picture is 0 whatever is captioned; it would reward
            self-critical training, and be expected by consensus.
    """
    pictures = len(inputs.train.references)
    if settings.self_critical.epochs and pictures == 1:
        raise InputError(
            "train.self_critical: expected two training pictures at least. Received: 1, of which "
            "CIDEr-D, that rewards captions, is always 0. Add pictures, or set "
            "train.self_critical.epochs to 0"
        )
    if settings.consensus.pictures and pictures == 1:
        raise InputError(
            "train.consensus: expected two training pictures at least. Received: 1. Add pictures, "
            "or set train.consensus.pictures to 0"
        )
    settings.self_critical.warn_of_average(pictures)
    if len(inputs.val.references) == 1:
        log.warning(
            "train: split val has 1 picture, of which CIDEr-D is always 0: the epoch with the"
            " lowest val_loss is kept, and val_cider_d tells nothing; add pictures to val"
        )


def _train(
    inputs: Inputs, stage: TrainStageSettings, seed: int, cache: Path, curves: Path
) -> Trained:
    """Train from one seed, or go on with it; its learning curves go to a folder made anew."""
    settings = stage.of(seed)
    backend.seed(seed)
    decoder = build(settings, len(inputs.vocabulary), inputs.feature_shape, settings.precision)
    decoder.start_output_bias(np.array(inputs.vocabulary.counts))
    _start_word_vectors(decoder, inputs.embeddings, settings)
    captioner = Captioner(decoder, inputs.vocabulary)
    checkpoint = cache / _key(inputs.files, settings.model_dump_json())
    asked = settings.model_dump_json() + stage.self_critical.model_dump_json()
    further = cache / f"{_key(inputs.files, asked)}{kept.GOES_ON}"

    with Live(str(curves), save_dvc_exp=False, dvcyaml=None, report=None) as live:

        def on_epoch(metrics: dict[str, float]) -> None:
            _log_epoch(live, metrics)

        data = inputs.train, inputs.val
        history = training.fit(captioner, *data, settings, checkpoint, on_epoch)
        metrics: dict[str, Any] = _best(history, first=1)
        if stage.self_critical.epochs:
            refined = fit_self_critical(
                captioner, *data, stage.self_critical, seed, further, on_epoch
            )
            metrics["self_critical"] = _best(refined, first=0)
    return Trained(captioner, metrics, checkpoint, further)


def _consensus(train: Split, settings: ConsensusSettings) -> Consensus | None:
    """Keep what people said of the training pictures, where the settings ask for it."""
    if not settings.pictures:
        return None
    found = Consensus.fit(train.features, train.references, settings)
    log.info("train: consensus of %d pictures", len(found.alike))
    return found


def _metrics(of_seeds: Mapping[int, dict[str, Any]]) -> dict[str, Any]:
    """Gather metrics.json: of several seeds the means, their deviation, and those of each."""
    every = list(of_seeds.values())
    if len(every) == 1:
        return every[0]
    return {
        **over_seeds(every, statistics.mean),
        "deviation": over_seeds(every, statistics.stdev),
        "seeds": {str(seed): metrics for seed, metrics in of_seeds.items()},
    }


def _best(history: History, first: int) -> dict[str, Any]:
    """Tell the best epoch and what it reached; `first` is the number of the first one."""
    best = {"epoch": history.best + first, "epochs": len(history.epochs) - 1 + first}
    log.info("train: kept epoch %(epoch)d of %(epochs)d", best)
    return {**best, **history.epochs[history.best]}


def _start_word_vectors(decoder: Decoder, path: Path, settings: TrainSettings) -> None:
    """Begin with the vocabulary's pretrained word vectors, where the settings ask for them."""
    if settings.word_vectors == "random":
        return
    matrix = load_embeddings(path, decoder.vocabulary_size, settings.embedding)
    if matrix is None:
        raise InputError(
            f"train.word_vectors: {settings.word_vectors} needs pretrained word vectors. Received: "
            f"none, in {path}. Set vocabulary.embeddings.file, or train.word_vectors: random"
        )
    decoder.start_word_vectors(matrix, trainable=settings.word_vectors == "trained")


def _log_epoch(live: Live, metrics: dict[str, float]) -> None:
    # Sorted: epochs done before a restart come from a file, in another order.
    for name, value in sorted(metrics.items()):
        live.log_metric(name, value)
    live.next_step()


def _ids_by_split(images: pa.Table) -> Mapping[str, list[str]]:
    """List the pictures of each split."""
    ids: dict[str, list[str]] = defaultdict(list)
    columns = (images[name].to_pylist() for name in ("split", "image_id"))
    for split, image_id in zip(*columns, strict=True):
        ids[split].append(image_id)
    return ids


def _tokens(captions: pa.Table) -> Mapping[str, list[list[str]]]:
    """Gather the tokens of each picture's captions; a word is one text, however often it is said.

    COCO's 600,000 captions say seven million words, which take half a gigabyte otherwise.
    """
    tokens: dict[str, list[list[str]]] = defaultdict(list)
    for batch in captions.select(["image_id", "tokens"]).to_batches(CAPTIONS_AT_ONCE):
        columns = (column.to_pylist() for column in batch.columns)
        for image_id, words in zip(*columns, strict=True):
            tokens[image_id].append([sys.intern(word) for word in words])
    return tokens


def _split(
    name: str,
    listed: Sequence[str],
    tokens: Mapping[str, list[list[str]]],
    features: ShardReader,
    words: Vocabulary,
) -> Split:
    """Gather one split: its pictures that have captions, their features and encoded captions."""
    ids = [image_id for image_id in listed if tokens[image_id]]
    if not ids:
        raise InputError(
            f"train: expected pictures with captions in split {name!r}. Received: none, after "
            "`clean`. Give its pictures captions, widen the bounds of section `clean`, or leave "
            "the split out of the data set's lists: `ingest` then takes it from the others"
        )
    row_of = features.row_of()
    absent = [image_id for image_id in ids if image_id not in row_of]
    if absent:
        raise InputError(
            f"train: expected features of each picture of split {name!r}. Received: "
            f"{len(absent)} of {len(ids)} without, such as {absent[0]!r}. Run `dvc repro`"
        )
    references = [tokens[image_id] for image_id in ids]
    pictures = np.repeat(np.arange(len(ids)), [len(texts) for texts in references])
    encoded = [words.encode(text) for texts in references for text in texts]
    chosen = features.select(np.array([row_of[image_id] for image_id in ids]))
    is_grid = (
        len(features.shape) > 1
    )  # these are read batch by batch, as they are many times larger
    return Split(chosen if is_grid else chosen[:], Captions(pictures, encoded), references)


def _key(inputs: list[Path], settings: str) -> str:
    """Name a training by everything that decides on its result, its code and Keras's included.

    Finished trainings are kept: a corrected one must not end as the one before it did, nor one
    under JAX as the one under TensorFlow, or one on a GPU as the one on a CPU.
    """
    digest = hashlib.sha256(settings.encode())
    digest.update(_computes().encode())
    for path in [*inputs, *_code()]:
        digest.update(sha256_of(path).encode())
    return digest.hexdigest()[: kept.KEY]


def _computes() -> str:
    """Tell what computes: the versions of Keras, its backend and NumPy, and the kind of device."""
    name = keras.backend.backend()
    of_backend = sys.modules[name].__version__  # Keras has imported it
    device = "gpu" if backend.has_gpu() else "cpu"
    return f"{keras.__version__} {name} {of_backend} {np.__version__} {device}"


def _code() -> list[Path]:
    """List the modules that decide on a training's result."""
    named = [ROOT / name for name in DECIDING]
    beside = {ROOT / name for name in BESIDE}
    every = [
        path for one in named for path in (sorted(one.rglob("*.py")) if one.is_dir() else [one])
    ]
    # A package's own file does nothing.
    return [path for path in every if path not in beside and path.name != "__init__.py"]


if __name__ == "__main__":
    run(train)
