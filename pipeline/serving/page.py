"""The page: a picture in, captions out. Built with Gradio; see `docs/serve.md` for its looks."""

import itertools
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypedDict

import gradio as gr
from gradio import processing_utils, route_utils
from gradio.events import api
from gradio.utils import get_upload_folder

from pipeline.reporting.page import PALETTE, element
from pipeline.serving.answer import answer, card, for_programs, nothing_yet, refusal
from pipeline.serving.bounds import BEAM_WIDTHS, BeamWidth, RequestError, megabytes
from pipeline.serving.describe import LENGTHS, Choice, Describer, Length
from pipeline.serving.examples import Example
from pipeline.serving.model_card import ModelCard
from pipeline.serving.style import VARIABLES

log = logging.getLogger(__name__)

TITLE = "What is in the picture?"
EXAMPLE = ("curl --data-binary @photo.jpg '", "/api/caption?beam_width=3'")
# Uploaded files are removed when they are older than this: seconds between two looks, and seconds.
DELETE = (60, 300)
FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")


class FileGiven(TypedDict):
    """A file that was uploaded before, as Gradio's clients name it."""

    path: str


class CaptionGiven(TypedDict):
    """One caption: its words, and the probability that the model gives the whole of it."""

    text: str
    probability: float


def build(describer: Describer, model: ModelCard, examples: Sequence[Example]) -> gr.Blocks:
    """Build the page.

    Args:
        describer: reads and captions pictures.
        model: what is told about the model.
        examples: pictures to try; none for a page without.
    """
    _fetch_nothing()
    _go_on_removing()
    bounds = describer.bounds
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=DELETE) as blocks:
        gr.HTML(_title(), elem_id="cp-title")
        with gr.Row(equal_height=False):
            with gr.Column(scale=5, min_width=300, elem_id="cp-left"):
                picture = gr.Image(
                    label="Picture",
                    sources=["upload", "webcam", "clipboard"],
                    type="filepath",
                    height=340,
                    buttons=[],
                    elem_id="cp-picture",
                    placeholder=f"Drop a picture here, or choose one\n(up to "
                    f"{megabytes(bounds.bytes)}; it is not kept)",
                )
                if examples:
                    gr.Examples(
                        [[str(one.path)] for one in examples],
                        [picture],
                        label="Examples",
                        elem_id="cp-examples",
                        api_visibility="private",
                    )
                with gr.Accordion("Settings", open=False, elem_id="cp-settings"):
                    width = gr.Radio(
                        list(BEAM_WIDTHS),
                        value=describer.usual.beam_width,
                        label="Beam width",
                        info="Captions that it weighs against each other; 1 is the fastest.",
                    )
                    length = gr.Radio(
                        list(LENGTHS),
                        value=describer.usual.length,
                        label="Length",
                        info="Which captions it favours.",
                    )
                    gr.Checkbox(
                        label="Read every new caption aloud",
                        info="By your browser's voice.",
                        elem_id="cp-always",
                    )
            with gr.Column(scale=6, min_width=300, elem_id="cp-right"):
                result = gr.HTML(nothing_yet(), elem_id="cp-result")
        with gr.Accordion("About this model", open=False, elem_id="cp-model"):
            gr.HTML(card(model))
        with gr.Accordion("For programs", open=False):
            gr.HTML(for_programs(*EXAMPLE))

        serial = itertools.count()  # by which the script knows that an answer is a new one

        def show(given: object, beam_width: object, wanted: object) -> str:
            if given is None:
                return nothing_yet()
            try:
                choice = Choice.checked(beam_width, wanted)
                shown = answer(describer.describe(_upload(given), choice, looks=True))
            except RequestError as error:
                shown = refusal(error)
            return element("div", shown, class_="cp-shown", data_serial=str(next(serial)))

        gr.on(
            [picture.change, width.change, length.change],
            show,
            [picture, width, length],
            [result],
            # What came is checked here. Gradio would decode the picture, without any bound.
            preprocess=False,
            show_progress="minimal",
            trigger_mode="always_last",
            concurrency_id="captions",
            concurrency_limit=bounds.concurrency,
            api_visibility="private",
        )
        _interface(describer)
    blocks.queue(max_size=bounds.queue, default_concurrency_limit=bounds.concurrency)
    return blocks


def _interface(describer: Describer) -> None:
    """Offer the same to Gradio's clients."""

    def caption(
        picture: FileGiven,
        beam_width: BeamWidth = describer.usual.beam_width,
        length: Length = describer.usual.length,
    ) -> list[CaptionGiven]:
        """Caption a picture.

        Args:
            picture: an uploaded file, as `gradio_client.handle_file` makes it.
            beam_width: captions that are weighed against each other; 1 is the fastest.
            length: which captions are favoured.

        Returns:
            The best captions, best first.
        """
        try:
            choice = Choice.checked(beam_width, length)
            found = describer.describe(_upload(picture), choice, looks=False)
        except RequestError as error:
            raise gr.Error(error.message, print_exception=False) from error
        return [{"text": one.text, "probability": one.probability} for one in found.captions]

    api(
        caption,
        api_name="caption",
        concurrency_id="captions",
        concurrency_limit=describer.bounds.concurrency,
    )


def _upload(given: object) -> Path:
    """Read what a client sent as a file, and make sure that it is an upload.

    Gradio has checked it as well; here it is certain whatever Gradio's next version does.

    Raises:
        RequestError: it is no file, or another file of this machine.
    """
    path = given.get("path") if isinstance(given, dict) else None
    if not isinstance(path, str):
        raise RequestError("no_picture", "Expected a picture, as an uploaded file.")
    folder = Path(get_upload_folder())
    try:
        if Path(path).resolve().is_relative_to(folder.resolve()):
            return Path(path)
    except (OSError, ValueError):  # a name that is too long, or has a NUL
        pass
    raise RequestError("not_here", "This picture was not uploaded here. Send it again.")


def _fetch_nothing() -> None:
    """Have Gradio fetch no address that a client names in place of an upload."""

    async def refuse(url: str, cache_dir: str) -> str:
        raise gr.Error("Pictures are not fetched from addresses. Upload the file.")

    processing_utils.async_ssrf_protected_download = refuse


def _go_on_removing() -> None:
    """Have Gradio remove all uploads, whatever happens to one look for old ones.

    It looks through a set to which requests add at the same time, which may end in a RuntimeError,
    and with it all later looks. What is left then is removed a minute later. A file that cannot be
    removed is told, each time: those behind it stay as well.
    """
    remove = route_utils.delete_files_created_by_app

    def remove_some(blocks: gr.Blocks, age: int | None) -> None:
        try:
            remove(blocks, age)
        except RuntimeError:
            pass
        except OSError as error:
            log.warning("serve: an upload cannot be removed: %s", error)
        if age is not None:
            _remove_unclaimed(Path(get_upload_folder()), age)

    route_utils.delete_files_created_by_app = remove_some


def _remove_unclaimed(folder: Path, age: float) -> None:
    """Remove what was uploaded and never became a picture of the page.

    Gradio knows nothing more of an upload that was cut off, or that came under a name it does not
    ask for: their files stay where it wrote them first, at the top of the folder.

    Args:
        folder: of uploads.
        age: seconds since something was written to a file that is removed.
    """
    for path in folder.iterdir() if folder.is_dir() else ():
        with suppress(OSError):  # somebody else's removal, or one to be tried again
            if path.is_file() and time.time() - path.stat().st_mtime > age:
                path.unlink()


def theme() -> gr.themes.Base:
    """The report's colours, light and dark, and the reader's own fonts: nothing is fetched."""
    base = gr.themes.Base(font=FONTS, font_mono=MONO, radius_size="lg")
    values: dict[str, str] = {}
    for name, colour in VARIABLES.items():
        values[name], values[f"{name}_dark"] = PALETTE[colour]
    return base.set(**values)


def _title() -> str:
    return element(
        "header",
        element("h1", TITLE),
        element("p", "Choose a picture, and read or hear what a neural network sees in it."),
    )
