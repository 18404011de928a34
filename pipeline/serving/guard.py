"""What every request has to get past first: its path, its size and its time, and what goes back.

Pure ASGI, so that answers can stream through it (https://asgi.readthedocs.io).
"""

import asyncio
import json
import shutil
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from pipeline.serving.bounds import Bounds, RequestError, too_many_bytes

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

# What the page and the interface need. Gradio has more: it can pass requests on to other servers,
# re-encode videos, write states of a page to disk, and show who did what.
OPEN = (
    "/api/",
    "/assets/",
    "/static/",
    "/gradio_api/info",
    "/gradio_api/openapi.json",
    "/gradio_api/upload",
    "/gradio_api/queue/",
    "/gradio_api/call/",
    "/gradio_api/run/predict",
    "/gradio_api/heartbeat/",
    "/gradio_api/startup-events",
    "/gradio_api/app_id",
    "/gradio_api/cancel",
    "/gradio_api/reset",
    "/gradio_api/login_check",
)
FILE = "/gradio_api/file="  # open for files of the uploads' folder: Gradio also fetches addresses
OPEN_PAGES = ("/", "/config", "/config/", "/theme.css", "/favicon.ico", "/robots.txt",
              "/manifest.json")  # fmt: skip
MULTIPART = 64 * 1024  # bytes that a form's own lines may add to a file's
UPLOAD = "/gradio_api/upload"
KEEP_FREE = 2**30  # bytes of the disk that uploads leave to others
SECONDS_TO_SEND = 60.0  # for a whole request's body

# The browser itself then sends nothing to any other host. Gradio compiles templates as it starts,
# hence 'unsafe-eval'; it has its scripts and styles inline in the page.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' blob:; "
    "font-src 'self' data:; connect-src 'self' data: blob:; worker-src 'self' blob:; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"permissions-policy", b"camera=(self), geolocation=(), microphone=()"),
)


class Guard:
    """Wraps an application.

    Args:
        app: whatever answers.
        bounds: of an upload.
        uploads: the folder that they go to.
    """

    def __init__(self, app: App, bounds: Bounds, uploads: Path) -> None:
        self.app = app
        self.bounds = bounds
        self.uploads = uploads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return  # a websocket: nothing here speaks it
        try:
            self._check(scope)
            await self.app(scope, self._bounded(receive), _with_headers(send))
        except _Stopped as stop:
            await _refuse(_with_headers(send), stop.error)
        except RequestError as error:
            await _refuse(_with_headers(send), error)

    def _check(self, scope: Scope) -> None:
        path = scope["path"]
        is_open = path in OPEN_PAGES or path.startswith(OPEN)
        if not is_open and not self._is_upload(path):
            raise RequestError("not_here", "There is nothing here.")
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if not length.isdigit() or int(length) > self.bounds.bytes + MULTIPART:
            raise too_many_bytes(self.bounds)
        if path == UPLOAD and shutil.disk_usage(self.uploads).free < KEEP_FREE:
            raise RequestError("busy", "There is no room for pictures now. Try again later.")

    def _is_upload(self, path: str) -> bool:
        if not path.startswith(FILE):
            return False
        try:
            named = Path(path.removeprefix(FILE)).resolve()
            return named.is_relative_to(self.uploads.resolve())
        except (OSError, ValueError):  # a name that is too long, or has a NUL
            return False

    def _bounded(self, receive: Receive) -> Receive:
        """Count what comes, whatever the header said, and give up on what comes too slowly."""
        taken, more = 0, True
        ends = asyncio.get_running_loop().time() + SECONDS_TO_SEND

        async def bounded() -> Message:
            nonlocal taken, more
            if not more:  # what comes now is the end of the connection, at any time
                return await receive()
            try:
                async with asyncio.timeout_at(ends):
                    message = await receive()
            except TimeoutError:
                raise _Stopped(
                    RequestError("too_slow", "The picture came too slowly. Try again.")
                ) from None
            if message["type"] == "http.request":
                taken += len(message.get("body", b""))
                more = bool(message.get("more_body", False))
                if taken > self.bounds.bytes + MULTIPART:
                    raise _Stopped(too_many_bytes(self.bounds))
            return message

        return bounded


class _Stopped(BaseException):
    """Ends a request from inside; no `except Exception` on its way turns it into a failure."""

    def __init__(self, error: RequestError) -> None:
        super().__init__(error)
        self.error = error


def _with_headers(send: Send) -> Send:
    """Add the headers, and leave out those by which Gradio lets other sites read what is here."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = [
                (name, value)
                for name, value in message.get("headers", [])
                if not name.lower().startswith(b"access-control-")
            ]
            message = {**message, "headers": [*own, *HEADERS]}
        await send(message)

    return sending


async def _refuse(send: Send, error: RequestError) -> None:
    body = json.dumps({"reason": error.reason, "message": error.message}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),  # what is left of a body that was too large is not read
    ]
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
