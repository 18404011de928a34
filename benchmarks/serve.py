"""The page's server under many clients at once: how long they wait, and what memory it takes.

    python -m benchmarks.serve

A server in a process of its own, with a bundle whose weights are random: `inject`, 256 units, 300
words and the `compact` network. Its captions hardly ever end and grow to 20 words: the worst case.
Clients send pictures of the built-in data set one after another, each the next as soon as it has
its answer; meanwhile the page itself is asked for once a second. Memory is the process's resident
set, at the end against a third of the time in, when everything has been compiled.
"""

import http.client
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pipeline import backend
from pipeline.captioner import bundle
from pipeline.captioner.decoders.base import DecoderSettings
from pipeline.captioner.decoders.find import build
from pipeline.datasets.scenes.drawing import draw_picture, jpeg
from pipeline.datasets.scenes.world import random_scene
from pipeline.files import write_json
from pipeline.images.encoder import Encoder
from pipeline.images.networks import NETWORKS
from pipeline.text.marks import MARKS

CLIENTS, SECONDS = 16, 60.0
PICTURES, SIDE = 64, 224  # of the pictures that are sent
NETWORK_SIDE, WORDS = 96, 300
EVERY = 1.0  # seconds between two looks at the page
AFTER_ERROR = 0.2  # seconds until a client tries again
PATIENCE = 120.0  # seconds for one answer


class Server(NamedTuple):
    """A server that answers."""

    host: str
    port: int
    process: int


@dataclass
class Seen:
    """What the clients saw; lists only grow, so that threads may share them."""

    seconds: list[float] = field(default_factory=list)  # of each answer
    pages: list[float] = field(default_factory=list)  # of each time the page was asked for
    memory: list[tuple[float, int]] = field(default_factory=list)  # when, and bytes
    wrong: list[str] = field(default_factory=list)  # what was no answer


def measure(seconds: float = SECONDS, clients: int = CLIENTS) -> dict[str, Any]:
    """Serve `clients` at once for as long as told.

    Raises:
        RuntimeError: Gradio is not installed, or the server did not start.
    """
    pictures = [_picture(number) for number in range(PICTURES)]
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "bundle"
        _save_bundle(Path(folder), saved)
        with _serving(saved) as server:
            seen = _ask(server, pictures, seconds, clients)
    return _figures(seen, seconds)


def _figures(seen: Seen, seconds: float) -> dict[str, Any]:
    began = seen.memory[0][0]
    settled = [size for when, size in seen.memory if when - began >= seconds / 3]
    return {
        "answers": len(seen.seconds),
        "answers_a_second": round(len(seen.seconds) / seconds, 1),
        "errors": len(seen.wrong),
        "first_error": seen.wrong[0] if seen.wrong else "none",
        "median_ms": round(1000 * float(np.percentile(seen.seconds, 50))),
        "p95_ms": round(1000 * float(np.percentile(seen.seconds, 95))),
        "slowest_ms": round(1000 * max(seen.seconds)),
        "page_median_ms": round(1000 * float(np.percentile(seen.pages, 50))),
        "memory_mib": round(seen.memory[-1][1] / 2**20),
        "memory_growth": round(seen.memory[-1][1] / settled[0] - 1, 3),
    }


def _ask(server: Server, pictures: Sequence[bytes], seconds: float, clients: int) -> Seen:
    """Let the clients send pictures until the time is over."""
    seen = Seen()
    ends = time.monotonic() + seconds
    threads = [
        threading.Thread(target=_client, args=(server, pictures, number, ends, seen))
        for number in range(clients)
    ]
    threads.append(threading.Thread(target=_watch, args=(server, ends, seen)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return seen


def _client(
    server: Server, pictures: Sequence[bytes], number: int, ends: float, seen: Seen
) -> None:
    connection = http.client.HTTPConnection(server.host, server.port, timeout=PATIENCE)
    while time.monotonic() < ends:
        number = (number + 7) % len(pictures)
        began = time.monotonic()
        try:
            connection.request("POST", "/api/caption", pictures[number])
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != 200 or not json.loads(body)["captions"]:
                seen.wrong.append(f"{answer.status} {body[:200]!r}")
        except (OSError, http.client.HTTPException, ValueError) as error:
            seen.wrong.append(repr(error))
            connection.close()
            time.sleep(AFTER_ERROR)
        else:
            seen.seconds.append(time.monotonic() - began)
    connection.close()


def _watch(server: Server, ends: float, seen: Seen) -> None:
    """Ask for the page and look at the memory, from time to time."""
    while True:
        began = time.monotonic()
        try:
            connection = http.client.HTTPConnection(server.host, server.port, timeout=PATIENCE)
            connection.request("GET", "/")
            answer = connection.getresponse()
            if b"gradio" not in answer.read() or answer.status != 200:
                seen.wrong.append(f"page: {answer.status}")
            connection.close()
            seen.pages.append(time.monotonic() - began)
        except (OSError, http.client.HTTPException) as error:
            seen.wrong.append(f"page: {error!r}")
        seen.memory.append((time.monotonic(), _resident(server.process)))
        if time.monotonic() >= ends:
            return
        time.sleep(EVERY)


def _resident(process: int) -> int:
    """Bytes of a process's resident set; Linux only."""
    status = Path(f"/proc/{process}/status").read_text()
    return 1024 * int(status.split("VmRSS:")[1].split()[0])


@contextmanager
def _serving(saved: Path) -> Iterator[Server]:
    command = [sys.executable, "-m", "stages.serve", "--bundle", str(saved), "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            found = re.search(r"http://([\d.]+):(\d+)", line)
            if found is None:
                raise RuntimeError("the server did not start; try: python -m stages.serve")
            yield Server(found[1], int(found[2]), process.pid)
        finally:
            process.terminate()


def _save_bundle(folder: Path, saved: Path) -> None:
    backend.seed(1)
    encoder = Encoder(NETWORKS["compact"].body(None, NETWORK_SIDE), "compact", NETWORK_SIDE, "none")
    encoder.save(folder / "encoder")
    words = [*MARKS, *(f"w{number}" for number in range(WORDS))]
    write_json(folder / "vocabulary.json", {"words": words, "counts": [1] * len(words)})
    shape = DecoderSettings.plain(decoder="inject", units=256, embedding=128, dropout=0.0)
    decoder = build(shape, len(words), encoder.shape)
    bundle.save(
        saved, [decoder], folder / "vocabulary.json", folder / "encoder", encoder.shape,
        encoder.identity,
    )  # fmt: skip


def _picture(number: int) -> bytes:
    rng = np.random.default_rng(number)
    return jpeg(draw_picture(random_scene(rng), SIDE, rng))


if __name__ == "__main__":
    from benchmarks.run import tell

    tell({"serve": measure()})
