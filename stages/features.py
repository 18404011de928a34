"""Stage `features`: run the encoder over every picture once; write features in shards."""

import logging
import os
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Annotated

import keras
import PIL
import typer

from pipeline import backend, machine
from pipeline.errors import InputError
from pipeline.images import computing
from pipeline.images.cluster import encode_on_cluster
from pipeline.images.decode import DECODING
from pipeline.images.devices import OnDevices
from pipeline.images.encoder import Encoder
from pipeline.images.encoding import Encode
from pipeline.images.features import FeaturesSettings, Source, extract
from pipeline.images.inference import ENCODING
from pipeline.images.listing import PictureList
from pipeline.images.precision import (
    chosen_for,
    fastest,
    keep_choice,
    known_choice,
    probe_size,
)
from pipeline.images.reading import read_batches
from pipeline.images.spec import Arithmetic, Pooling, read_spec
from pipeline.images.views import views_of
from pipeline.params import load
from stages.command import run

log = logging.getLogger(__name__)


def features(
    raw: Annotated[Path, typer.Argument(help="The data set's folder, with its pictures.")],
    images: Annotated[Path, typer.Argument(help="The pictures (Parquet).")],
    encoder: Annotated[Path, typer.Argument(help="Encoder folder.")],
    out: Annotated[Path, typer.Argument(help="Folder for the shards, made here.")],
    params: Annotated[Path, typer.Option(help="Settings.")] = Path("params.yaml"),
    cache: Annotated[Path, typer.Option(help="Features computed before.")] = Path(
        ".cache/features"
    ),
) -> None:
    """Encode the pictures named in IMAGES and write their features to OUT."""
    settings = load(FeaturesSettings, "features", params)
    pictures_at_once = max(1, settings.batch_size // views_of(settings.pooling))
    settings = settings.model_copy(update={"batch_size": pictures_at_once})
    if settings.engine == "ray" and settings.precision != "auto":  # which tries the encoder here
        computing.hide_gpus()  # they are the actors'
    pictures = PictureList(images)
    model = _encoder(encoder, settings, pictures, raw, cache)
    named = model.spec.side, model.shape, model.identity
    source = Source(model.encode, *named, at_once(), kept_as())
    devices = backend.gpus() if settings.engine == "local" else []
    if len(devices) > 1:
        log.info("features: encodes on %d GPUs", len(devices))
        source = replace(source, encode=OnDevices(model, devices).encode, at_once=len(devices))
    if settings.engine == "ray":
        source = _on_cluster(source, model, encoder, raw, settings)
    manifest, work = extract(pictures, raw, source, cache, out, settings)
    work.tell()
    log.info(
        "features: %d pictures in %d shards, %d encoded now, the others known before;"
        " shards: %.1f s",
        manifest.rows,
        len(manifest.shards),
        work.encoded,
        work.sharding,
    )


def kept_as() -> str:
    """Tell what the bytes of features depend on, beside the encoder and the picture.

    Versions of packages, and ours of decoding and encoding. Not the machine: those that were worked
    out on another one, or on a GPU, are taken as they are.
    """
    name = keras.backend.backend()
    computing = f"{name}{backend.version()}-keras{keras.__version__}-{ENCODING}"
    return f"-{computing}-pillow{PIL.__version__}-{DECODING}"


def at_once() -> int:
    """How many batches one encoder can take at the same time, and be the faster for it.

    JAX gives its arrays away to what it calls; on a GPU it has not been measured, and takes more
    of its memory.
    """
    return 2 if keras.backend.backend() == "tensorflow" and not backend.has_gpu() else 1


def _encoder(
    folder: Path, settings: FeaturesSettings, pictures: PictureList, raw: Path, cache: Path
) -> Encoder:
    """Load the encoder; `precision: auto` is settled on the first pictures, once for a cache.

    Where there are fewer than it takes, the choice is not kept.
    """
    if settings.precision != "auto":
        return Encoder.load(folder, settings.pooling, settings.precision)
    size = probe_size(settings.batch_size)
    name = chosen_for(read_spec(folder).fingerprint, settings.pooling, size)
    known = known_choice(cache, name)
    if known is not None:
        return Encoder.load(folder, settings.pooling, known)
    model = Encoder.load(folder, settings.pooling)
    some = list(islice(pictures, size))
    for _, pixels in read_batches(some, raw, model.spec.side, size, settings.workers):
        chosen = fastest(model, pixels)
        if len(pixels) == size:  # of fewer, another one could be the fastest for all that follow
            keep_choice(cache, name, chosen.precision)
        return chosen
    return model  # there are no pictures


def _on_cluster(
    source: Source, model: Encoder, folder: Path, raw: Path, settings: FeaturesSettings
) -> Source:
    """Have the pictures encoded by a Ray cluster, each actor loading the encoder's folder."""
    batch_size, ray = settings.batch_size, settings.ray
    expected = source.identity, source.kept_as
    given = folder.resolve(), model.pooling, model.precision, expected, ray.threads, ray.num_gpus
    make_encoder = partial(encode_with, *given)
    # Theirs would be that of `ray start`.
    environment = {name: os.environ[name] for name in machine.VARIABLES if name in os.environ}
    environment["KERAS_BACKEND"] = keras.backend.backend()
    run = raw, make_encoder, source.side, batch_size, ray, settings.workers, environment
    return replace(source, cluster=lambda pictures: encode_on_cluster(pictures, *run))


def encode_with(
    folder: Path,
    pooling: Pooling,
    precision: Arithmetic,
    expected: tuple[str, str],
    threads: int,
    num_gpus: float,
) -> Encode:
    """Make the encoder of an actor, in its process.

    Args:
        folder: of the encoder.
        pooling: what its features are to be.
        precision: that it is to compute in.
        expected: the encoder's identity, and what `kept_as` gives, where the features are kept.
        threads: that it may compute with, on a CPU.
        num_gpus: that Ray gives it: of none, it still sees those of its machine.

    Raises:
        InputError: the folder is no encoder's, or the features' bytes would be others.
    """
    identity, packages = expected
    if kept_as() != packages:
        raise InputError(
            f"features.engine: ray: expected the packages {packages[1:]}, as on the machine that"
            f" runs the stage. Received: {kept_as()[1:]}. Install the same ones on both"
        )
    if not num_gpus:
        computing.hide_gpus()
    computing.limit_threads(threads)
    encoder = Encoder.load(folder, pooling, precision)
    if encoder.identity != identity:  # or its features would be kept as those of the other one
        raise InputError(
            f"{folder}: expected the encoder {identity[:12]}, as on the machine that runs the"
            f" stage. Received: {encoder.identity[:12]}. Bring that machine's folder here"
        )
    return encoder.encode


if __name__ == "__main__":
    run(features)
