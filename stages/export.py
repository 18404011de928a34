"""Write a trained captioner for others: `python -m stages.export OUT` (not a stage).

OUT/
  README.md         the model card
  saved-model/1/    --format saved-model: for TensorFlow and TensorFlow Serving
  litert/           --format litert: for phones, browsers and small boards
  bundle.zip        --format bundle-zip: for `caption --bundle bundle.zip`
"""

import logging
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import keras
import typer

from pipeline.captioner import bundle, bundle_zip
from pipeline.captioner.captioner import SearchSettings
from pipeline.captioner.pictures import PictureCaptioner
from pipeline.errors import InputError
from pipeline.exporting import model_card
from pipeline.files import folder_written_whole
from stages.command import run
from stages.trained import evaluated_search, given, last_trained

log = logging.getLogger(__name__)

CARD = "README.md"
USUAL = SearchSettings.usual()
BEAM = {"beam_width", "length_penalty", "max_words"}  # what a model has of a search


class Format(StrEnum):
    """What can be written."""

    saved_model = "saved-model"
    litert = "litert"
    bundle_zip = "bundle-zip"
    all = "all"


PATHS = {
    Format.saved_model: "saved-model",
    Format.litert: "litert",
    Format.bundle_zip: "bundle.zip",
}
CONTENTS = {  # what the card says of each
    Format.saved_model: "TensorFlow SavedModel: bytes of pictures in, captions and scores out; "
    "`saved-model` is what TensorFlow Serving takes",
    Format.litert: "LiteRT: encoder and decoder step, with a program that uses them in `README.md`",
    Format.bundle_zip: "the model for caption-pipeline itself: `caption --bundle bundle.zip`",
}


def export(
    out: Annotated[Path, typer.Argument(help="Folder, made here. It must not exist yet.")],
    model: Annotated[
        Path | None,
        typer.Option(
            "--bundle", help="The trained bundle, a folder or a zip; by default the last trained."
        ),
    ] = None,
    form: Annotated[Format, typer.Option("--format", help="What to write.")] = Format.all,
    beam_width: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=100,
            help=f"Captions kept while searching, and given; {USUAL.beam_width}.",
        ),
    ] = None,
    length_penalty: Annotated[
        float | None,
        typer.Option(
            min=0, max=5, help=f"Above 0: favours longer captions; {USUAL.length_penalty:g}."
        ),
    ] = None,
    max_words: Annotated[
        int | None,
        typer.Option(min=1, max=200, help=f"Bound on a caption's words; {USUAL.max_words}."),
    ] = None,
    max_pixels: Annotated[
        int, typer.Option(min=1, help="The SavedModel refuses larger pictures.")
    ] = 100_000_000,
    metrics: Annotated[
        Path | None, typer.Option(help="metrics.json of `evaluate`, for the model card.")
    ] = None,
    params: Annotated[
        Path | None,
        typer.Option(help="params.yaml of the model, for its card and the search as evaluated."),
    ] = None,
) -> None:
    """Write the captioner to OUT as models that run without this library, with a model card."""
    for name in ("tensorflow", "absl"):  # which tell of every file they write
        logging.getLogger(name).setLevel(logging.ERROR)
    if out.exists():
        raise InputError(f"{out}: expected a folder that does not exist yet. Name another one")
    forms = list(PATHS) if form is Format.all else [form]
    _check_backend(forms)
    options = given(beam_width=beam_width, length_penalty=length_penalty, max_words=max_words)
    searches = forms != [Format.bundle_zip]
    search = _plain(_usual(params, options) if searches else USUAL, options)
    with bundle_zip.opened(model or last_trained()) as folder, folder_written_whole(out) as new:
        contents = {PATHS[one]: CONTENTS[one] for one in forms}
        model_card.write(new / CARD, folder, contents, _searches(search, forms), metrics, params)
        if Format.bundle_zip in forms:
            bundle_zip.pack(folder, new / PATHS[Format.bundle_zip])
        if searches:
            captioner = PictureCaptioner.load(folder)
        if Format.saved_model in forms:
            from pipeline.exporting import saved_model

            saved_model.write(new / PATHS[Format.saved_model], captioner, search, max_pixels)
        if Format.litert in forms:
            from pipeline.exporting import litert

            litert.write(
                new / PATHS[Format.litert], captioner, folder / bundle.WORDS, search.max_words
            )
    for name in (CARD, *contents):
        typer.echo(out / name)


def _check_backend(forms: Sequence[Format]) -> None:
    """See that what is to be written can be: all but the bundle itself is made by TensorFlow."""
    backend = keras.backend.backend()
    if backend != "tensorflow" and forms != [Format.bundle_zip]:
        told = ", ".join(f"--format {one.value}" for one in forms if one is not Format.bundle_zip)
        raise InputError(
            f"export: expected TensorFlow, which makes {told}. Received: Keras on {backend}. Run "
            "with KERAS_BACKEND=tensorflow where TensorFlow is installed (any CPU will do), or "
            "take --format bundle-zip, which needs none"
        )


def _usual(params: Path | None, options: Mapping[str, Any]) -> SearchSettings:
    """Read how `evaluate` searches; usually, where that cannot be read, or need not be."""
    if params is None or options.keys() >= BEAM:
        return USUAL
    try:
        return evaluated_search(params)
    except InputError as error:  # an older one, say, whose card can be written all the same
        log.warning(
            "export: searches as usual, as that of --params cannot be read: %s. Or name all of"
            " --beam-width, --length-penalty and --max-words",
            error,
        )
        return USUAL


def _searches(search: SearchSettings, forms: Sequence[Format]) -> dict[str, SearchSettings]:
    """Tell how each form searches by itself; the program beside a LiteRT model does greedily."""
    greedy = SearchSettings.plain(beam_width=1, length_penalty=0, max_words=search.max_words)
    every = {Format.saved_model: search, Format.litert: greedy}
    return {PATHS[form]: one for form, one in every.items() if form in forms}


def _plain(usual: SearchSettings, options: Mapping[str, Any]) -> SearchSettings:
    """Search by a beam as `usual` says, but for the options; tell what a model has none of."""
    chosen = [name for name in ("consensus", "guide") if getattr(usual, name)]
    left = [*usual.beyond_a_beam, *chosen]
    if left:
        log.warning(
            "export: the models search by a beam alone, without %s of section evaluate: their"
            " captions are others than those that `evaluate` scored",
            " and ".join(left),
        )
    return SearchSettings.plain(**{**usual.model_dump(include=BEAM), **options})


if __name__ == "__main__":
    run(export)
