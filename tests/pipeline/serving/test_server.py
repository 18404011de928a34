"""The server as programs see it: what it answers, and what it refuses."""

import asyncio
import http.client
import json
import os
import time
import urllib.error
import urllib.request
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.errors import InputError
from pipeline.serving.bounds import STATUS, RequestError
from pipeline.serving.describe import Choice


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@pytest.fixture
def ask(running):
    """Send a request; the body's type is told only where there is one."""

    def send(path: str, body: bytes | None = None, kind: str = "image/png") -> Answer:
        headers = {"Content-Type": kind} if body is not None else {}
        request = urllib.request.Request(running.url + path, body, headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return Answer(answer.status, answer.read())
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.read())

    return send


@pytest.fixture
def upload(ask):
    """Upload a file as the page does."""

    def send(name: str, content: bytes) -> Answer:
        mark = uuid.uuid4().hex
        told = name.replace('"', "%22").replace("\0", "%00")
        head = (
            f'--{mark}\r\nContent-Disposition: form-data; name="files"; filename="{told}"\r\n'
            "Content-Type: image/png\r\n\r\n"
        )
        body = head.encode() + content + f"\r\n--{mark}--\r\n".encode()
        return ask("/gradio_api/upload", body, f"multipart/form-data; boundary={mark}")

    return send


@pytest.fixture
def call(ask):
    """Call the function that Gradio's clients see, and give its event and data."""

    def send(given: object, *more: object) -> tuple[str, Any]:
        body = json.dumps({"data": [given, *more]}).encode()
        answer = ask("/gradio_api/call/caption", body, "application/json")
        assert answer.status == 200, answer.body
        events = ask(f"/gradio_api/call/caption/{answer.json['event_id']}").body.decode()
        event, data = events.strip().splitlines()[-2:]
        return event.removeprefix("event: "), json.loads(data.removeprefix("data: "))

    return send


def as_file(path: str, **more: object) -> dict[str, object]:
    return {"path": path, "meta": {"_type": "gradio.FileData"}, **more}


def test_a_picture_is_captioned(ask, describer, picture_bytes):
    picture = picture_bytes(2)
    answer = ask("/api/caption?beam_width=3&length=short&attention=true", picture)
    expected = describer.describe(picture, Choice(3, "short"), looks=True)
    assert answer.status == 200
    captions = answer.json["captions"]
    assert [one["text"] for one in captions] == [one.text for one in expected.captions]
    assert captions[0]["probability"] == pytest.approx(expected.captions[0].probability, rel=1e-4)
    words = [one["word"] for one in answer.json["attention"]]
    assert words == list(expected.words)
    for one in answer.json["attention"]:
        total = sum(map(sum, one["weights"])) + one["elsewhere"]
        assert total == pytest.approx(1, abs=1e-3)
    assert ask("/api/caption?beam_width=1", picture).json["attention"] is None


def test_the_interface_is_described_with_types(ask):
    described = ask("/api/openapi.json").json
    schemas = described["components"]["schemas"]
    assert set(schemas["Described"]["required"]) == {"captions", "attention", "seconds"}
    caption = described["paths"]["/api/caption"]["post"]
    [width] = [one for one in caption["parameters"] if one["name"] == "beam_width"]
    assert (width["schema"]["enum"], width["schema"]["default"]) == ([1, 3, 5, 10], 3)
    assert {"413", "415", "422", "503", "504"} <= set(caption["responses"])
    [named] = ask("/gradio_api/info").json["named_endpoints"].items()
    assert named[0] == "/caption"
    assert [one["parameter_name"] for one in named[1]["parameters"]] == [
        "picture", "beam_width", "length",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "query", ["beam_width=2", "beam_width=x", "length=huge", "attention=7", "beam_width=1e9"]
)
def test_settings_that_are_not_offered_are_refused(ask, picture_bytes, query):
    answer = ask(f"/api/caption?{query}", picture_bytes())
    assert (answer.status, answer.json["reason"]) == (422, "bad_setting")


def test_gradios_clients_get_the_same(running, ask, picture_bytes, file):
    client = pytest.importorskip("gradio_client")
    path = file(picture_bytes(3))
    with_client = client.Client(running.url, verbose=False).predict(
        client.handle_file(str(path)), 5, "short", api_name="/caption"
    )
    plain = ask("/api/caption?beam_width=5&length=short", path.read_bytes()).json["captions"]
    assert [one["text"] for one in with_client] == [one["text"] for one in plain]


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "/proc/self/environ", "../../../etc/passwd", "", "nul\0", "a" * 5000,
     "http://127.0.0.1:9/a.png", "https://example.com/a.png", "file:///etc/passwd"],
)  # fmt: skip
def test_only_uploads_are_read(call, running, path):
    for more in ({}, {"url": "data:image/png;base64,AAAA"}, {"is_stream": True}):
        assert call(as_file(path, **more), 1, "short")[0] == "error"
    copies = [one for one in running.uploads.rglob("*") if one.name in ("passwd", "environ")]
    assert copies == []


def test_files_of_this_machine_are_not_served(ask, file):
    outside = file(b"secret")
    for path in (outside, "/etc/passwd", f"/{outside}"):
        answer = ask(f"/gradio_api/file={path}")
        assert answer.status in (403, 404)
        assert b"secret" not in answer.body


@pytest.mark.parametrize("address", ["http://example.com/a.png", "https:/example.com/a.png"])
def test_it_fetches_no_address(ask, monkeypatch, address):
    async def fetched(*_):
        pytest.fail("another server was asked")

    monkeypatch.setattr("gradio.routes.secure_url_stream_response", fetched)
    assert ask(f"/gradio_api/file={address}").status == 403


@pytest.mark.parametrize("given", [None, 3, "x", [], {}, {"path": 3}, {"path": ["a"]}])
def test_what_is_no_file_is_refused(call, given):
    assert call(given, 3, "usual")[0] == "error"


def test_a_full_queue_is_told_before_the_picture_is_read(running, monkeypatch):
    bounds = running.describer.bounds
    monkeypatch.setattr(running.describer, "_inside", bounds.concurrency + bounds.queue)
    with closing(http.client.HTTPConnection(running.url.removeprefix("http://"), timeout=5)) as one:
        one.putrequest("POST", "/api/caption")
        one.putheader("Content-Length", "100000")
        one.endheaders()  # and none of the picture
        answer = one.getresponse()
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
        assert json.load(answer)["reason"] == "busy"
        assert answer.headers["Connection"] == "close", "the picture may still be coming"


def test_uploads_are_removed_for_ever_though_one_look_fails(running, monkeypatch):
    from gradio import route_utils

    from pipeline.serving import page

    assert route_utils.delete_files_created_by_app.__module__ == page.__name__, "of `running`"
    looks = []

    def changed_meanwhile(*_: object) -> None:
        looks.append(1)
        raise RuntimeError("Set changed size during iteration")

    monkeypatch.setattr(route_utils, "delete_files_created_by_app", changed_meanwhile)
    page._go_on_removing()
    app = SimpleNamespace(get_blocks=lambda: None)
    schedule = route_utils.delete_files_on_schedule(app, 0, 1)
    with pytest.raises(TimeoutError):
        asyncio.run(asyncio.wait_for(schedule, 0.2))
    assert len(looks) > 1


def test_what_was_uploaded_and_never_claimed_is_removed_when_it_is_old(tmp_path):
    from pipeline.serving import page

    for name, age in (("tmpold", 400), ("tmpnew", 10)):
        (tmp_path / name).write_bytes(b"cut off")
        os.utime(tmp_path / name, (time.time() - age, time.time() - age))
    (tmp_path / "hash").mkdir()
    (tmp_path / "hash" / "picture.jpg").write_bytes(b"Gradio's to remove")
    page._remove_unclaimed(tmp_path / "absent", 300)  # before anything was uploaded
    page._remove_unclaimed(tmp_path, 300)
    assert {path.name for path in tmp_path.rglob("*")} == {"tmpnew", "hash", "picture.jpg"}


class Coming:
    """A request whose body comes chunk by chunk, after which it waits."""

    def __init__(self, *chunks: bytes) -> None:
        self.chunks = chunks

    async def stream(self):
        for chunk in self.chunks:
            await asyncio.sleep(0)
            yield chunk


def test_bodies_of_all_requests_together_are_bounded_while_they_come():
    from pipeline.serving.server import Bodies

    bodies = Bodies(10)

    async def read(*chunks: bytes) -> bytes:
        async with bodies.of(Coming(*chunks)) as body:
            await asyncio.sleep(0.01)
            return body

    async def both():
        return await asyncio.gather(
            read(b"1234", b"56"), read(b"abc", b"def"), return_exceptions=True
        )

    first, second = asyncio.run(both())
    assert first == b"123456"
    assert isinstance(second, RequestError)
    assert second.reason == "busy"
    assert bodies.bytes == 0, "both are let go"
    assert asyncio.run(read(b"1234567890")) == b"1234567890"


def refused_everywhere(ask, upload, call, name: str, content: bytes, reasons: str) -> None:
    """Send a file both ways, and look for a clear message each time."""
    answer = ask("/api/caption?beam_width=1&length=short", content)
    assert answer.json["reason"] in reasons.split(), (name, answer.body)
    assert answer.status == STATUS[answer.json["reason"]]
    assert answer.json["message"].endswith(".")
    sent = upload(name, content)
    if sent.status != 200:  # too many bytes
        assert sent.status == 413
        assert b"larger than" in sent.body or b"maximum allowed size" in sent.body
        return
    [path] = sent.json
    event, told = call(as_file(path, orig_name=name), 1, "short")
    assert event == "error"
    assert "/" not in str(told)


def test_hostile_files_are_refused_and_the_next_is_answered(
    ask, upload, call, hostile, picture_bytes
):
    for name, content, reasons in hostile(1):
        refused_everywhere(ask, upload, call, name, content, reasons)
    assert ask("/api/caption?beam_width=1&length=short", picture_bytes()).status == 200


@pytest.mark.slow
def test_500_hostile_files_from_8_clients(ask, upload, call, hostile, picture_bytes, running):
    files = list(hostile(20))
    assert len(files) == 520
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda one: refused_everywhere(ask, upload, call, *one), files))
    assert ask("/api/caption?beam_width=1&length=short", picture_bytes()).status == 200
    assert ask("/").status == 200
    assert running.describer._inside == 0


def test_uploads_stay_in_their_folder_whatever_they_are_called(upload, running, picture_bytes):
    for name in ("../../a.png", "/tmp/b.png", "..\\..\\c.png", "a" * 3000 + ".png", ".hidden"):
        answer = upload(name, picture_bytes())
        assert answer.status == 200, answer.body
        [path] = answer.json
        assert running.uploads.resolve() in (running.uploads / path).resolve().parents


def test_many_clients_at_once_are_all_answered_or_told_to_wait(ask, picture_bytes, bounds):
    pictures = [picture_bytes(number) for number in range(bounds.concurrency + bounds.queue)]
    with ThreadPoolExecutor(len(pictures)) as pool:
        answers = list(
            pool.map(lambda one: ask("/api/caption?beam_width=1&length=short", one), pictures)
        )
    assert {answer.status for answer in answers} == {200}


def test_a_port_that_is_taken_is_told(running):
    from pipeline.serving.server import listen

    port = int(running.url.rpartition(":")[2])
    with pytest.raises(InputError, match=f"port {port}"):
        listen("127.0.0.1", port)
    with pytest.raises(InputError, match="listen at"):
        listen("203.0.113.7", 0)
