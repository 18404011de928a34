"""A page in the browser to try a trained bundle on pictures (not a stage)."""

import logging
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.captioner.bundle_zip import opened
from pipeline.captioner.search.settings import SearchSettings
from pipeline.serving.bounds import BEAM_WIDTHS, MIB, BeamWidth, Bounds
from pipeline.serving.gradio_ready import make_ready
from pipeline.text.marks import MARKS
from stages.command import run
from stages.trained import (
    LAST_TRAINED,
    evaluated_search,
    given,
    last_trained,
    searched_with,
)

if TYPE_CHECKING:
    from pipeline.serving.examples import Example

EXAMPLES = 6
USUAL = SearchSettings.usual()
log = logging.getLogger(__name__)
METRICS = Path("evaluate") / "metrics.json"  # beside the folder of `train`


def serve(
    bundle: Annotated[
        Path | None,
        typer.Option(help="The trained bundle, a folder or a zip; by default the last trained."),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen at; 0.0.0.0 opens it to the network.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: a free one.")] = 7860,
    examples: Annotated[
        Path | None, typer.Option(help="Folder of pictures to try; drawn ones for `scenes`.")
    ] = None,
    metrics: Annotated[
        Path | None, typer.Option(help="Its metrics.json; found where the pipeline wrote both.")
    ] = None,
    params: Annotated[
        Path | None,
        typer.Option(
            help="A params.yaml, whose section `evaluate` has the four that follow, where they are"
            " not given, and max_words."
        ),
    ] = None,
    consensus: Annotated[
        float | None,
        typer.Option(
            min=0, max=1000, help="Weight of what people said of pictures alike, in the choice; 0."
        ),
    ] = None,
    guide: Annotated[
        float | None,
        typer.Option(
            min=0, max=1000, help="Weight of the words they said, while captions are searched; 0."
        ),
    ] = None,
    length_penalty: Annotated[
        float | None,
        typer.Option(min=0, max=5, help=f"Exponent of the usual length; {USUAL.length_penalty:g}."),
    ] = None,
    beam_width: Annotated[
        int | None,
        typer.Option(help=f"Where none is chosen: 1, 3, 5 or 10; {USUAL.beam_width}."),
    ] = None,
    max_mb: Annotated[float, typer.Option(min=0.01, max=1024, help="Of an upload.")] = 20,
    max_pixels: Annotated[
        int, typer.Option(min=1, help="Pictures with more are refused.")
    ] = 50_000_000,
    concurrency: Annotated[
        int, typer.Option(min=1, max=32, help="Pictures read and captioned at once.")
    ] = 4,
    queue: Annotated[int, typer.Option(min=1, max=10_000, help="Requests that may wait.")] = 64,
    timeout: Annotated[
        float, typer.Option(min=0.1, max=3600, help="Seconds a request may take at its turn.")
    ] = 30,
) -> None:
    """Serve a page where a picture is captioned, and the same over HTTP for programs."""
    usual = _usual(params) if params else USUAL
    chosen = given(
        consensus=consensus, guide=guide, length_penalty=length_penalty, beam_width=beam_width
    )
    told = searched_with(usual, **chosen)
    width = _offered(told.beam_width)
    search = told.consensus, told.guide, told.length_penalty, width, told.max_words
    bounds = Bounds(int(max_mb * MIB), max_pixels, concurrency, queue, timeout)
    bundle = bundle or last_trained()
    with tempfile.TemporaryDirectory(prefix="caption-serve-") as folder:
        make_ready(Path(folder) / "uploads")
        # After it: Gradio reads its settings when it is imported. It takes seconds, as TensorFlow.
        from pipeline.captioner.pictures import PictureCaptioner
        from pipeline.serving import server
        from pipeline.serving.describe import Describer
        from pipeline.serving.model_card import model_card

        # Of new choices being compiled while requests are answered.
        logging.getLogger("tensorflow").setLevel(logging.ERROR)
        with closing(server.listen(host, port)) as taken:
            with opened(bundle) as unpacked:
                captioner = PictureCaptioner.load(unpacked)
                words = captioner.captioner.vocabulary.words
                card = model_card(unpacked, len(words), metrics or _metrics_beside(bundle))
            shown = _examples(Path(folder) / "examples", examples, words, max_pixels)
            with closing(Describer(captioner, bounds, *search)) as describer:
                describer.warm_up()
                # uvicorn ends, and has this end the process: not before folders are removed.
                signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
                running = server.server_of(server.make_app(describer, card, shown))
                name, used = taken.getsockname()[:2]
                typer.echo(f"serve: http://{_written(name)}:{used} (Ctrl+C ends it)")
                try:
                    running.run(sockets=[taken])
                except KeyboardInterrupt:  # which uvicorn passes on when it has ended
                    typer.echo("serve: ended")


def _usual(params: Path) -> SearchSettings:
    """Read the search of params.yaml as far as the page has it, and tell what it has not."""
    search = evaluated_search(params)
    least = 2 if search.consensus and search.beam_width > 1 else 1  # of one, none can be chosen
    offered = [width for width in BEAM_WIDTHS if width >= least]
    width = max((one for one in offered if one <= search.beam_width), default=offered[0])
    if width != search.beam_width:
        log.warning(
            "serve: evaluate.beam_width: %d is none that the page offers; it begins with %d",
            *(search.beam_width, width),
        )
    if passed_over := search.beyond_a_beam:
        told = ", ".join(f"evaluate.{name}" for name in passed_over)
        log.warning("serve: the page searches without %s, which %s sets", told, params)
    plain = SearchSettings.plain(
        beam_width=width, length_penalty=search.length_penalty, max_words=search.max_words
    )
    return plain.model_copy(update={"consensus": search.consensus, "guide": search.guide})


def _offered(width: int) -> BeamWidth:
    for offered in BEAM_WIDTHS:
        if width == offered:
            return offered
    raise typer.BadParameter(
        f"--beam-width: expected one of {', '.join(map(str, BEAM_WIDTHS))}. Received: {width}"
    )


def _examples(
    folder: Path, source: Path | None, words: Sequence[str], max_pixels: int
) -> list["Example"]:
    """Make the pictures that the page offers: one's own, or drawn ones where they fit."""
    from pipeline.serving.examples import drawn_examples, examples_of, knows_scenes

    folder.mkdir()
    if source is not None:
        return examples_of(source, folder, EXAMPLES, max_pixels)
    return drawn_examples(folder, EXAMPLES) if knows_scenes(words[len(MARKS) :]) else []


def _metrics_beside(bundle: Path) -> Path | None:
    """Find the scores where the pipeline writes them: data/train/bundle, data/evaluate/.

    Those of a bundle elsewhere may be another one's.
    """
    path = bundle.resolve()
    scores = path.parent.parent / METRICS
    return scores if path.parts[-2:] == LAST_TRAINED.parts[-2:] and scores.is_file() else None


def _written(host: str) -> str:
    return f"[{host}]" if ":" in host else host


if __name__ == "__main__":
    run(serve)
