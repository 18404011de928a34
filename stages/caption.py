"""Caption new pictures from a trained bundle alone: `caption photo.jpg` (not a stage)."""

import io
import os
import sys
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pipeline.captioner.output import HEADS, WRITERS, Form, printable
from pipeline.captioner.pictures import BATCH, Captioned, PictureCaptioner
from pipeline.captioner.search.settings import WIDEST, SamplingSettings, SearchSettings
from pipeline.errors import InputError
from pipeline.images.description import (
    DescriptionError,
    beside,
    embed,
    is_described,
    write_beside,
)
from pipeline.images.loose import find_pictures, names_of
from pipeline.progress import WIDTH, Progress
from stages.command import EXIT_BAD_INPUT, run
from stages.trained import evaluated_search, given, last_trained, searched_with

USUAL = SearchSettings.usual()
# As evaluate.sampling has it.
SAMPLING = SamplingSettings(top_p=0.9, temperature=1.0, samples=5, seed=1)
LIST = "-"  # standard input
SEARCH, SAMPLE = "How captions are searched", "Sampling"


class AltText(StrEnum):
    """Where captions are kept with the pictures."""

    file = "file"
    embed = "embed"


def caption(
    pictures: Annotated[
        list[str],
        typer.Argument(
            help="Pictures, folders, globs in quotes; `-`: standard input has paths, one a line."
        ),
    ],
    model: Annotated[
        Path | None,
        typer.Option(
            "--bundle", help="The trained bundle, a folder or a zip; by default the last trained."
        ),
    ] = None,
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="Look into the folders in folders, too.")
    ] = False,
    null: Annotated[
        bool, typer.Option("--null", "-0", help="Standard input is as `find -print0` writes it.")
    ] = False,
    best: Annotated[
        int, typer.Option("--best", "-n", min=1, max=100, help="Captions a picture, best first.")
    ] = 1,
    form: Annotated[Form, typer.Option("--format", "-f", help="Of what is printed.")] = Form.text,
    alt_text: Annotated[
        AltText | None,
        typer.Option(
            help="Keep the best caption with the picture: in photo.jpg.alt.txt, or embedded in "
            "the picture's own description (JPEG, PNG, WebP). Those that have one are left out."
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="With --alt-text: replace what is there.")
    ] = False,
    params: Annotated[
        Path | None,
        typer.Option(
            help="A params.yaml: search as its section `evaluate` says, but for what is given"
            " here.",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    beam_width: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=100,
            help=f"Captions kept while searching; {USUAL.beam_width}, or as many as --best.",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    length_penalty: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=5,
            help=f"Above 0: favours longer captions; {USUAL.length_penalty:g}.",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    max_words: Annotated[
        int | None,
        typer.Option(
            min=1, max=200, help=f"Of a caption; {USUAL.max_words}.", rich_help_panel=SEARCH
        ),
    ] = None,
    min_words: Annotated[
        int | None, typer.Option(min=0, max=200, help="Of a caption; 0.", rich_help_panel=SEARCH)
    ] = None,
    block_ngrams: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=200,
            help="No words in a row, as many as this, come twice; 0: they may.",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    consensus: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1000,
            help="Of the captions kept, choose by what people said of pictures alike: its weight;"
            " 0: not at all.",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    guide: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1000,
            help="Search words that people said of pictures alike: their weight; 0: not at all.",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    sample: Annotated[
        bool,
        typer.Option(
            "--sample",
            help="Draw captions by their chance, as many as --best.",
            rich_help_panel=SAMPLE,
        ),
    ] = False,
    seed: Annotated[
        int | None,
        typer.Option(min=0, help=f"Of the draw; {SAMPLING.seed}.", rich_help_panel=SAMPLE),
    ] = None,
    top_p: Annotated[
        float | None,
        typer.Option(
            min=0.001,
            max=1,
            help=f"Chance of the words drawn from; {SAMPLING.top_p:g}.",
            rich_help_panel=SAMPLE,
        ),
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option(
            min=0.01,
            max=100,
            help=f"Below 1: likely words become likelier; {SAMPLING.temperature:g}.",
            rich_help_panel=SAMPLE,
        ),
    ] = None,
    max_pixels: Annotated[
        int, typer.Option(min=1, help="Larger pictures are refused.")
    ] = 100_000_000,
) -> None:
    """Print a line for each picture: its path, a tab and its caption.

    A picture that cannot be read is told on standard error; the others are captioned all the
    same, and the exit code is 2.
    """
    if force and alt_text is None:
        raise InputError(
            "--force: expected --alt-text, whose descriptions it replaces. Received: --force alone."
            " Add --alt-text file or embed, or leave it out"
        )
    usual = evaluated_search(params) if params else USUAL.model_copy(update={"sampling": SAMPLING})
    method = "sample" if sample else usual.method
    drawn = given(seed=seed, top_p=top_p, temperature=temperature)
    _check_search(method, drawn, beam_width, best)
    width = beam_width or _wide_enough(usual, method, best)
    if length_penalty is not None and width == 1 and method == "beam" and not usual.required_words:
        raise InputError(
            "--length-penalty: expected a search with a beam of 2 and more: greedily, no captions "
            f"are compared. Received: {length_penalty:g} with a beam of 1. Leave it out, or widen "
            "the beam: --beam-width 3"
        )
    options = given(
        beam_width=width,
        length_penalty=length_penalty,
        max_words=max_words,
        min_words=min_words,
        block_ngrams=block_ngrams,
        # Of one caption nothing can be chosen.
        consensus=0.0 if beam_width == 1 and consensus is None else consensus,
        guide=guide,
    )
    # One that is drawn is told as it is; consensus chooses, and needs some to choose from.
    chooses = options.get("consensus", usual.consensus) > 0
    draws_some = chooses or not sample  # where params.yaml draws, as many as there
    samples = max(usual.sampling.samples, best, 2 if chooses else 1) if draws_some else best
    sampling = {**usual.sampling.model_dump(), "samples": samples, **drawn}
    search = searched_with(usual, **options, method=method, sampling=sampling)
    keeper = _Keeper(alt_text, force)
    names = _expanded(pictures, null)
    spelt = {Path(name): name for name in reversed(names)}  # of several, the first stays
    paths = keeper.without_described(find_pictures(names, recursive))
    _write(HEADS[form])
    broken = 0
    for picture in _captioned(paths, model or last_trained(), search, max_pixels):
        if picture.error:
            broken += 1
            _tell(f"error: {picture.error}")
        written = picture._replace(
            captions=picture.captions[:best], given=spelt.get(picture.path, "")
        )
        _write(WRITERS[form](written, best > 1))
        keeper.keep(picture)
    keeper.tell()
    if broken or keeper.failed:
        raise typer.Exit(EXIT_BAD_INPUT)


def _wide_enough(usual: SearchSettings, method: str, best: int) -> int:
    """Tell how wide a beam has to be for so many captions: of several groups, a multiple."""
    groups = usual.diverse.groups if method == "diverse" else 1
    wanted = -(-max(usual.beam_width, best) // groups) * groups
    return min(wanted, WIDEST // groups * groups)


def _check_search(
    method: str, drawn: Mapping[str, float], beam_width: int | None, best: int
) -> None:
    """Refuse options of the search that would do nothing.

    Args:
        method: of the search.
        drawn: what was given of the draw.
        beam_width: as it was given.
        best: captions a picture.

    Raises:
        InputError: one was given that has no effect.
    """
    if drawn and method != "sample":
        name, value = next(iter(drawn.items()))
        raise InputError(
            f"--{name.replace('_', '-')}: is for captions that are drawn (--sample). Received: "
            f"{value} without --sample. Add it, or leave this out"
        )
    if beam_width is None:
        return
    if method == "sample":
        raise InputError(
            f"--beam-width: expected a search with a beam. Received: {beam_width} where captions "
            "are drawn. Leave out either"
        )
    if beam_width < best:
        raise InputError(
            f"--beam-width: expected at least --best, {best}: no more captions are kept than that. "
            f"Received: {beam_width}"
        )


def _expanded(given: list[str], null: bool) -> list[str]:
    """Put the names from standard input in the place of `-`."""
    if LIST not in given:
        if null:
            raise InputError("--null: expected `-`, for paths from standard input. Received: none")
        return given
    at = given.index(LIST)
    names = names_of(sys.stdin.buffer.read(), b"\0" if null else b"\n")
    return [*given[:at], *names, *(name for name in given[at:] if name != LIST)]


def _captioned(
    paths: list[Path], model: Path, search: SearchSettings, max_pixels: int
) -> Iterator[Captioned]:
    """Caption pictures, and tell how far it is where the captions themselves do not."""
    if not paths:
        return
    captioner = PictureCaptioner.load(model)
    found = captioner.caption_files(paths, search, max_pixels)
    if len(paths) <= BATCH or (sys.stdout.isatty() and sys.stderr.isatty()):
        yield from found
        return
    with Progress("caption", len(paths), "pictures") as progress:
        for picture in found:
            yield picture
            progress.advance(1)


class _Keeper:
    """Keeps captions with their pictures, as --alt-text says.

    Attributes:
        there: pictures that had a description already.
        failed: pictures whose caption could not be kept.
    """

    def __init__(self, where: AltText | None, force: bool) -> None:
        self.where, self.force = where, force
        self.there = self.failed = 0

    def without_described(self, paths: list[Path]) -> list[Path]:
        """Leave out what has a description: so a run goes on where the last one was stopped."""
        if self.where is None or self.force:
            return paths
        left = [path for path in paths if not self._has_one(path)]
        self.there = len(paths) - len(left)
        return left

    def keep(self, picture: Captioned) -> None:
        """Keep a picture's best caption, if it has one."""
        if self.where is None or picture.error:
            return
        path, text = picture.path, picture.captions[0].text
        if not text:  # the model finds that it is best to say nothing
            self.failed += 1
            _tell(f"error: {path}: its caption has no words to be kept. Try --min-words 3")
            return
        try:
            if self.where is AltText.file:
                write_beside(path, text, self.force)
            else:
                self._embed(path, text)
        except DescriptionError as error:
            if error.reason == "described":  # by another name of it, or meanwhile
                self.there += 1
            else:
                self.failed += 1
                _tell(f"error: {error}")

    def tell(self) -> None:
        """Tell what was left as it was."""
        if self.there:
            _tell(
                f"caption: {self.there} described already, and left as they are; --force replaces "
                "descriptions"
            )

    def _embed(self, path: Path, text: str) -> None:
        try:
            embed(path, text, self.force)
        except DescriptionError as error:
            if error.reason not in ("format", "no_room"):
                raise
            _tell(f"{error}. Its caption is in {write_beside(path, text, self.force)}")

    def _has_one(self, path: Path) -> bool:
        """Whether a description is where it would be put, or beside where it could not be."""
        return os.path.lexists(beside(path)) or (self.where is AltText.embed and is_described(path))


def _write(text: str) -> None:
    """Print, each picture at once, and a path byte for byte."""
    sys.stdout.write(text)
    sys.stdout.flush()


def _tell(line: str) -> None:
    """Tell a line on standard error, over what progress has left there."""
    line = printable(line)
    typer.echo(f"{line:{WIDTH}}" if sys.stderr.isatty() else line, err=True)


def main() -> None:
    """Run as the console script `caption`."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape", newline="\n")
    run(caption)


if __name__ == "__main__":
    main()
