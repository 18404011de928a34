"""What every request has to get past first."""

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.serving import guard
from pipeline.serving.bounds import MIB, Bounds
from pipeline.serving.guard import MULTIPART, Guard

BOUNDS = Bounds(bytes=1000, pixels=1, concurrency=1, queue=1, seconds=1)
FREE = {"type": "http", "path": "/api/caption", "headers": []}


async def echo(scope, receive, send):
    """Read everything, and send it back."""
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


def ask(scope, *parts: bytes, late: float = 0, through: Guard | None = None):
    """Send a request whose body comes in parts, and give status, headers and body."""
    guarded = through or Guard(echo, BOUNDS, Path(__file__).parent)
    waiting, sent = list(parts), []

    async def receive():
        await asyncio.sleep(late)
        part = waiting.pop(0) if waiting else b""
        return {"type": "http.request", "body": part, "more_body": bool(waiting)}

    async def send(message):
        sent.append(message)

    asyncio.run(guarded(scope, receive, send))
    start, *rest = sent
    return start["status"], dict(start["headers"]), b"".join(one["body"] for one in rest)


def test_what_is_within_bounds_goes_through_with_a_policy():
    status, headers, body = ask(FREE, b"a" * 400, b"b" * 400)
    assert (status, body) == (200, b"a" * 400 + b"b" * 400)
    policy = headers[b"content-security-policy"].decode()
    assert "default-src 'self'" in policy
    assert "http" not in policy
    assert headers[b"x-content-type-options"] == b"nosniff"


@pytest.mark.parametrize("length", [b"999999999", b"-1", b"x", b"1e3"])
def test_a_length_beyond_the_bound_is_refused_before_anything_is_read(length):
    scope = {**FREE, "headers": [(b"content-length", length)]}
    status, headers, body = ask(scope)
    assert status == 413
    assert "larger than" in json.loads(body)["message"]
    assert headers[b"connection"] == b"close"


def test_bytes_are_counted_where_no_length_was_told():
    status, _, body = ask(FREE, b"a" * MULTIPART, b"a" * 2000)
    assert (status, json.loads(body)["reason"]) == (413, "too_many_bytes")
    assert MULTIPART < MIB


def test_a_body_that_never_ends_is_given_up(monkeypatch):
    monkeypatch.setattr(guard, "SECONDS_TO_SEND", 0.02)
    status, _, body = ask(FREE, *[b"a"] * 50, late=0.01)
    assert (status, json.loads(body)["reason"]) == (504, "too_slow")


@pytest.mark.parametrize(
    "path",
    ["/gradio_api/file=http://example.com/", "/gradio_api/file=https:/example.com",
     "/gradio_api/file= HTTP://example.com/", "/gradio_api/file=/etc/passwd",
     "/gradio_api/file=a.png", "/gradio_api/file=/\0", "/gradio_api/file=",
     "/gradio_api/proxy=http://example.com/", "/gradio_api/process_recording", "/monitoring",
     "/gradio_api/vibe-edit/", "/gradio_api/deep_link", "/docs", "/login", "/../etc/passwd"],
)  # fmt: skip
def test_what_the_page_does_not_need_is_not_there(path):
    status, _, body = ask({**FREE, "path": path})
    assert (status, json.loads(body)["reason"]) == (403, "not_here")


def test_websockets_are_left_alone():
    asyncio.run(Guard(echo, BOUNDS, Path())({"type": "websocket", "path": "/"}, None, None))


def test_uploads_leave_room_on_the_disk(monkeypatch):
    upload = {**FREE, "path": "/gradio_api/upload"}
    assert ask(upload, b"a")[0] == 200
    full = SimpleNamespace(free=guard.KEEP_FREE - 1)
    monkeypatch.setattr(guard.shutil, "disk_usage", lambda folder: full)
    status, _, body = ask(upload, b"a")
    assert (status, json.loads(body)["reason"]) == (503, "busy")


def test_files_are_there_that_lie_among_the_uploads(tmp_path):
    uploads = tmp_path / "uploads"
    (uploads / "a").mkdir(parents=True)
    (uploads / "out").symlink_to(tmp_path)
    guarded = Guard(echo, BOUNDS, uploads)
    for name, is_there in (
        (f"{uploads}/a/b.png", True),
        (f"{uploads}/../c.png", False),
        (f"{uploads}s/c.png", False),
        (f"{uploads}/out/c.png", False),
    ):
        scope = {**FREE, "path": f"/gradio_api/file={name}"}
        assert ask(scope, through=guarded)[0] == (200 if is_there else 403), name


def test_other_sites_are_not_let_read_what_is_here():
    async def generous(scope, receive, send):
        headers = [(b"Access-Control-Allow-Origin", b"https://evil.example"), (b"vary", b"Origin")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    _, headers, _ = ask(FREE, through=Guard(generous, BOUNDS, Path()))
    assert not [name for name in headers if name.lower().startswith(b"access-control")]
    assert headers[b"vary"] == b"Origin"
