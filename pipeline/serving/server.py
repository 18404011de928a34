"""The server: the page, and an interface over HTTP for programs.

    POST /api/caption      a picture's bytes as the body -> `Described` as JSON
    GET  /api/health       whether it answers
    GET  /api/openapi.json the interface's description

Errors have the status of `bounds.STATUS` and `Problem` as JSON.
"""

import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import anyio
import uvicorn
from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from gradio import mount_gradio_app
from gradio.utils import get_upload_folder
from pydantic import BaseModel, Field

from pipeline.errors import InputError
from pipeline.serving.bounds import BEAM_WIDTHS, STATUS, RequestError
from pipeline.serving.describe import LENGTHS, Choice, Describer, Description
from pipeline.serving.examples import Example
from pipeline.serving.guard import MULTIPART, Guard
from pipeline.serving.model_card import ModelCard
from pipeline.serving.page import build, theme
from pipeline.serving.script import SCRIPT
from pipeline.serving.style import STYLE, WHOLE_PAGE

EARLY = ("busy", "bad_setting")  # reasons that may be told before the picture has come
SPARE = 8  # threads beyond those that may wait: they refuse the others at once
IN_MEMORY = 2**29  # bytes of pictures that the interface holds, those that still come included
CONNECTIONS = 512  # an open page holds two
KEEP_ALIVE = 20  # seconds that an idle connection is kept
HEAD = f"<style>{WHOLE_PAGE}</style>\n<script>{SCRIPT}</script>"


class CaptionFound(BaseModel):
    """One caption."""

    text: str = Field(description="Words with spaces between.")
    probability: float = Field(description="That the model gives the whole caption; 0 to 1.")


class WordLook(BaseModel):
    """Where the decoder looked for one word."""

    word: str
    weights: list[list[float]] = Field(
        description="Of each place of a grid over the picture: rows from the top, from the left."
    )
    elsewhere: float = Field(description="Share that came from the sentence, not the picture.")


class Described(BaseModel):
    """What is told about a picture."""

    captions: list[CaptionFound] = Field(description="Best first; at least one.")
    attention: list[WordLook] | None = Field(
        description="Of each word of the best caption. Null unless asked for, and for decoders "
        "that do not attend to places."
    )
    seconds: float = Field(description="That it took, without waiting in the queue.")


class Problem(BaseModel):
    """Why there is no caption."""

    reason: str = Field(description=f"One of {', '.join(STATUS)}.")
    message: str = Field(description="For people: what is wrong and what to do.")


class Health(BaseModel):
    """It answers."""

    status: str
    attention: bool = Field(description="Whether the model can tell where it looked.")


class Bodies:
    """The bodies of requests that are in memory, all together within a bound.

    Args:
        most: bytes of them.
    """

    def __init__(self, most: int) -> None:
        self.most, self.bytes = most, 0  # changed by the event loop alone

    @asynccontextmanager
    async def of(self, request: Request) -> AsyncIterator[bytes]:
        """Read a request's body, which counts from its first byte until it is let go.

        Raises:
            RequestError: others take all the room.
        """
        chunks: list[bytes] = []
        size = 0
        try:
            async for chunk in request.stream():  # the guard bounds each by itself
                size += len(chunk)
                self.bytes += len(chunk)
                if self.bytes > self.most:
                    raise RequestError(
                        "busy", "Pictures of others take all the room. Try again in a few seconds."
                    )
                chunks.append(chunk)
            body = b"".join(chunks)
            chunks.clear()
            yield body
        finally:
            self.bytes -= size


def make_app(describer: Describer, model: ModelCard, examples: Sequence[Example]) -> Guard:
    """Make the whole application: interface, page, and the guard before both."""
    bounds = describer.bounds
    api = FastAPI(
        title="caption-pipeline",
        description="Captions of pictures.",
        version="1",
        openapi_url="/api/openapi.json",
        docs_url=None,  # its pages load scripts from other hosts
        redoc_url=None,
    )
    _add_routes(api, describer)
    blocks = build(describer, model, examples)
    mount_gradio_app(
        api,
        blocks,
        path="/",
        theme=theme(),
        css=STYLE,
        head=HEAD,
        footer_links=["api"],  # without it that page is not there
        run_history=False,
        allowed_paths=[],
        max_file_size=bounds.bytes,
        show_error=False,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
    )
    # Gradio checks that files named by clients are uploads only of what it launched itself. A
    # mounted page would otherwise copy any file of this machine to where it can be fetched.
    blocks.has_launched = True
    return Guard(api, bounds, Path(get_upload_folder()))


def _add_routes(api: FastAPI, describer: Describer) -> None:
    bounds = describer.bounds
    bodies = Bodies(max(IN_MEMORY, bounds.bytes + MULTIPART))
    limiter: list[anyio.CapacityLimiter] = []  # made in the event loop that uses it
    problems = {status: {"model": Problem} for status in sorted(set(STATUS.values()))}

    @api.post(
        "/api/caption",
        response_model=Described,
        responses=problems,  # type: ignore[arg-type]
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"image/*": {"schema": {"type": "string", "format": "binary"}}},
            }
        },
    )
    async def caption(
        request: Request,
        beam_width: Annotated[
            int, Query(json_schema_extra={"enum": list(BEAM_WIDTHS)})
        ] = describer.usual.beam_width,
        length: Annotated[
            str, Query(json_schema_extra={"enum": list(LENGTHS)})
        ] = describer.usual.length,
        attention: Annotated[bool, Query(description="Tell where it looked.")] = False,
    ) -> Described:
        """Caption the picture that is the request's body.

        JPEG, PNG, WebP, GIF, BMP, TIFF or PPM; the request's content type is not looked at.
        """
        choice = Choice.checked(beam_width, length)
        describer.check_room()  # who would be refused afterwards takes no memory before
        if not limiter:
            limiter.append(anyio.CapacityLimiter(bounds.concurrency + bounds.queue + SPARE))
        async with bodies.of(request) as picture:
            found = await anyio.to_thread.run_sync(
                lambda: describer.describe(picture, choice, looks=attention), limiter=limiter[0]
            )
        return _described(found)

    @api.get("/api/health", response_model=Health)
    async def health() -> Health:
        """Tell that the server answers."""
        return Health(status="ok", attention=describer.attends)

    @api.exception_handler(RequestError)
    async def refused(_: Request, error: RequestError) -> JSONResponse:
        # Some are refused before their picture has come: who goes on sending it holds nothing.
        headers = {"Connection": "close"} if error.reason in EARLY else {}
        if error.reason == "busy":
            headers["Retry-After"] = "5"
        told = Problem(reason=error.reason, message=error.message)
        return JSONResponse(told.model_dump(), error.status, headers)

    @api.exception_handler(RequestValidationError)
    async def wrong(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"][1:]))
        told = Problem(reason="bad_setting", message=f"{place}: {first['msg']}"[:200])
        return JSONResponse(told.model_dump(), STATUS["bad_setting"], {"Connection": "close"})


def _described(found: Description) -> Described:
    attention = None
    if found.looks is not None:
        attention = [
            WordLook(word=word, weights=weights.tolist(), elsewhere=float(elsewhere))
            for word, weights, elsewhere in zip(
                found.words, found.looks.maps, found.looks.elsewhere, strict=True
            )
        ]
    return Described(
        captions=[
            CaptionFound(text=one.text, probability=one.probability) for one in found.captions
        ],
        attention=attention,
        seconds=round(found.seconds, 3),
    )


def listen(host: str, port: int) -> socket.socket:
    """Take a port; 0 takes a free one.

    Raises:
        InputError: it is taken, or not ours to take, or the address is not this machine's.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        taken = socket.socket(family, socket.SOCK_STREAM)
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((host, port))
        taken.listen()  # so that who is told the address can connect before all is up
    except (OSError, OverflowError) as error:
        raise InputError(
            f"serve: expected to listen at {host}, port {port}. Received: {error}. Name another "
            "with --host and --port"
        ) from error
    return taken


def server_of(app: Guard) -> uvicorn.Server:
    """Make the server of an application; `run(sockets=[listen(...)])` then answers until told."""
    config = uvicorn.Config(
        app,
        log_level="warning",
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=5,
        server_header=False,
        proxy_headers=True,  # of a proxy on this machine alone, which is uvicorn's default
        ws="none",
    )
    return uvicorn.Server(config)
