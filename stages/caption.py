"""Caption new pictures from a trained bundle alone: `caption photo.jpg` (not a stage)."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from pipeline.captioner import bundle
from pipeline.captioner.captioner import SearchSettings
from pipeline.errors import InputError
from pipeline.images.decode import PictureError, read_square
from pipeline.images.encoder import Encoder
from stages.command import EXIT_BAD_INPUT, run

SUFFIXES = {".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".ppm"}
BATCH = 32


def caption(
    pictures: Annotated[list[Path], typer.Argument(help="Pictures, or folders of them.")],
    model: Annotated[Path, typer.Option("--bundle", help="The trained bundle.")] = Path(
        "data/train/bundle"
    ),
    beam_width: Annotated[
        int, typer.Option(min=1, max=100, help="Captions kept while searching.")
    ] = 3,
    length_penalty: Annotated[
        float, typer.Option(min=0, max=5, help="Above 0: favours longer captions.")
    ] = 1.0,
    max_words: Annotated[
        int, typer.Option(min=1, max=200, help="Bound on a caption's words.")
    ] = 20,
    max_pixels: Annotated[
        int, typer.Option(min=1, help="Larger pictures are refused.")
    ] = 100_000_000,
) -> None:
    """Print a line for each picture: its path, a tab and its caption.

    A picture that cannot be read is told on standard error; the others are captioned all the
    same, and the exit code is 2.
    """
    search = SearchSettings(
        beam_width=beam_width, length_penalty=length_penalty, max_words=max_words
    )
    paths = _gather(pictures)
    captioner = bundle.load_captioner(model)
    pooled = len(captioner.decoder.feature_shape) == 1
    encoder = Encoder.load(model / bundle.ENCODER, pooling="average" if pooled else "grid")
    broken = 0
    for first in range(0, len(paths), BATCH):
        good, pixels = [], []
        for path in paths[first : first + BATCH]:
            try:
                pixels.append(read_square(path, encoder.spec.side, max_pixels))
                good.append(path)
            except PictureError as error:
                broken += 1
                typer.echo(f"error: {error}", err=True)
        if not good:
            continue
        features = encoder.encode(np.stack(pixels))
        for path, found in zip(good, captioner.caption(features, search), strict=True):
            typer.echo(f"{path}\t{found[0].text}")
    if broken:
        raise typer.Exit(EXIT_BAD_INPUT)


def _gather(given: list[Path]) -> list[Path]:
    """List the pictures: files as they are, of folders what looks like a picture, sorted."""
    paths: list[Path] = []
    for path in given:
        if path.is_dir():
            inside = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
            if not inside:
                raise InputError(
                    f"{path}: expected a folder with pictures ({', '.join(sorted(SUFFIXES))}). "
                    "Received: none"
                )
            paths.extend(inside)
        else:
            paths.append(path)
    return paths


def main() -> None:
    """Run as the console script `caption`."""
    run(caption)


if __name__ == "__main__":
    main()
