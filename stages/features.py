"""Stage `features`: run the encoder over every picture once; write features in shards."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from pipeline.images.cache import FeatureCache
from pipeline.images.encoder import Encoder
from pipeline.images.features import FeaturesSettings, compute, rows
from pipeline.images.reading import Picture
from pipeline.images.shards import write_shards
from pipeline.params import load
from pipeline.tables import IMAGES, read_table
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
    pictures = [Picture.of(row) for row in read_table(images, IMAGES).to_pylist()]
    model = Encoder.load(encoder)
    spec = model.spec
    known = FeatureCache(cache, spec.fingerprint, spec.features)
    new = compute(pictures, raw, model.encode, spec.side, known, settings.batch_size)
    manifest = write_shards(
        out,
        rows(pictures, known),
        len(pictures),
        features=spec.features,
        encoder=spec.fingerprint,
        file_format=settings.format,
        dtype=settings.dtype,
        rows_per_shard=settings.rows_per_shard,
    )
    log.info(
        "features: %d pictures in %d shards, %d encoded now, the others known before",
        manifest.rows,
        len(manifest.shards),
        new,
    )


if __name__ == "__main__":
    run(features)
