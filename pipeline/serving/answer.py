"""What the page shows about a picture, as markup."""

import base64
import io

from PIL import Image

from pipeline.reporting.attention_maps import WordMap, draw, told
from pipeline.reporting.labels import said
from pipeline.reporting.page import Html, element, markup, theirs
from pipeline.serving.bounds import RequestError
from pipeline.serving.describe import Description, Guess
from pipeline.serving.model_card import ModelCard

JPEG_QUALITY = 78
ADDRESS = "http://127.0.0.1:7860"  # of a server that was started without options


def nothing_yet() -> Html:
    """What stands there before there is a picture."""
    return element(
        "div",
        element("p", "The caption will be here.", class_="cp-empty-title"),
        element("p", "Choose a picture, or one of the examples."),
        class_="cp-empty",
    )


def refusal(error: RequestError) -> Html:
    """Tell why there is no caption."""
    return element(
        "div",
        element("p", "No caption for this one", class_="cp-error-title"),
        element("p", error.message, class_="cp-error-text"),
        class_="cp-error",
        data_reason=error.reason,
        data_announce=error.message,
    )


def answer(description: Description) -> Html:
    """Show captions, and where the decoder looked."""
    best, *others = description.captions
    return element(
        "div",
        _best(best, description.seconds),
        _others(others, best) if others else "",
        _attention(description),
        class_="cp-answer",
        data_announce=f"Caption: {said(best.text)}",
        data_caption=best.text,
    )


def _best(best: Guess, seconds: float) -> Html:
    text = said(best.text)
    return element(
        "div",
        element("p", theirs(text), class_="cp-caption"),
        element(
            "div",
            element(
                "button", _icon(SPEAKER), element("span", "Read aloud", class_="cp-read-label"),
                type="button", class_="cp-button cp-read", data_read=text,
            ),
            element(
                "button", _icon(COPY), element("span", "Copy", class_="cp-copy-label"),
                type="button", class_="cp-button cp-quiet", data_copy=text,
            ),
            element(
                "span", f"probability {percent(best.probability)}, {seconds:.2f} s",
                class_="cp-note",
            ),
            class_="cp-actions",
        ),
        class_="cp-best",
    )  # fmt: skip


def _others(others: list[Guess], best: Guess) -> Html:
    """List the other captions, with bars against the likeliest of all."""
    greatest = max(guess.probability for guess in (best, *others))
    return element(
        "section",
        element("h2", "Also considered"),
        element("ol", *(_other(guess, greatest) for guess in others), class_="cp-others"),
    )


def _other(guess: Guess, greatest: float) -> Html:
    share = guess.probability / greatest if greatest else 0.0
    return element(
        "li",
        element("span", theirs(said(guess.text)), class_="cp-other-text"),
        element(
            "span", element("span", class_="cp-bar-fill", style=f"width:{share:.0%}"),
            class_="cp-bar", aria_hidden="true",
        ),
        element("span", percent(guess.probability), class_="cp-other-chance"),
    )  # fmt: skip


def _attention(description: Description) -> Html:
    """Show the picture under each word's map; a button a word chooses which is shown large.

    At first it is the word that the decoder looked for most pointedly.
    """
    if description.looks is None or description.picture is None or not description.words:
        return Html("")
    maps = draw(description.picture, description.words, description.looks)
    first = max(maps, key=lambda one: one.peak)
    return element(
        "section",
        element("h2", "Where it looked, word by word"),
        element(
            "figure",
            Html(
                '<img class="cp-map-large" '
                f'src="{data_uri(first.picture)}" alt="{markup(told(first))}">'
            ),
            element("figcaption", told(first), class_="cp-map-told", aria_live="polite"),
            class_="cp-map",
        ),
        element(
            "div", *(_word(one, one is first) for one in maps),
            class_="cp-words", role="group", aria_label="Words of the caption",
        ),
        class_="cp-attention",
    )  # fmt: skip


def _word(one: WordMap, pressed: bool) -> Html:
    return element(
        "button",
        Html(f'<img src="{data_uri(one.picture)}" alt="">'),
        element("span", theirs(one.word)),
        type="button",
        class_="cp-word",
        data_told=told(one),
        aria_pressed=str(pressed).lower(),
    )


def card(model: ModelCard) -> Html:
    """Show the model card."""
    facts = element(
        "table",
        element("caption", "The model"),
        element("tbody", *(_row(name, value) for name, value in model.facts)),
    )
    limits = element("ul", *(element("li", limit) for limit in model.limits))
    return element(
        "div",
        facts,
        _scores(model),
        element("div", element("h3", "What not to expect"), limits, class_="cp-limits"),
        class_="cp-card",
    )


def for_programs(before: str, after: str) -> Html:
    """Tell how a program asks for a caption.

    Args:
        before: a command line, up to the server's address. A script of the page puts in the one
            that the page itself came from.
        after: the rest of it.
    """
    address = element("span", ADDRESS, class_="cp-origin")
    return element(
        "div",
        element("p", "Send a picture's bytes, and get its captions as JSON:"),
        element("pre", element("code", before, address, after), tabindex="0"),
        element(
            "p",
            "Choices are beam_width, length and attention. The interface is described by ",
            element("a", "OpenAPI", href="api/openapi.json"),
            ", and ",
            element("a", "Gradio's clients", href="?view=api"),
            " have it as /caption.",
        ),
        id="cp-program",
    )


def _scores(model: ModelCard) -> Html:
    if not model.scores:
        return Html("")
    rows = (
        element(
            "tr",
            element("th", score.name, scope="row"),
            element("td", score.value),
            element("td", score.interval),
        )
        for score in model.scores
    )
    head = (element("th", name, scope="col") for name in ("Score", "Value", "95% interval"))
    return element(
        "table",
        element(
            "caption", f"Its scores on {model.pictures:,} pictures, searched as params.yaml said"
        ),
        element("thead", element("tr", *head)),
        element("tbody", *rows),
    )


def _row(name: str, value: str) -> Html:
    return element("tr", element("th", name, scope="row"), element("td", value))


def percent(probability: float) -> str:
    """Write a probability with two digits that mean something: 12%, 3.4%, 0.21%, <0.01%."""
    value = probability * 100
    if value < 0.01:
        return "<0.01%"
    digits = 0 if value >= 10 else 1 if value >= 1 else 2
    return f"{value:.{digits}f}%"


def data_uri(picture: Image.Image) -> str:
    """Put a picture into an address of its own."""
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=JPEG_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"


SPEAKER = "M4 9v6h4l5 5V4L8 9H4zm12.5 3a4.5 4.5 0 0 0-2.5-4v8a4.5 4.5 0 0 0 2.5-4z"
COPY = "M8 3h11v13H8V3zm2 2v9h7V5h-7zM4 8h2v11h9v2H4V8z"


def _icon(path: str) -> Html:
    return Html(
        '<svg viewBox="0 0 24 24" width="18" height="18" aria-hidden="true" focusable="false">'
        f'<path fill="currentColor" d="{path}"/></svg>'
    )
