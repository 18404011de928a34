"""A small captioner that needs no training, and files that nobody should send."""

import io
import os
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline import backend
from pipeline.captioner.captioner import Captioner
from pipeline.captioner.decoders.base import DecoderSettings
from pipeline.captioner.decoders.find import build
from pipeline.captioner.pictures import PictureCaptioner
from pipeline.images.encoder import Encoder
from pipeline.images.networks import NETWORKS
from pipeline.serving.bounds import MIB, Bounds
from pipeline.serving.describe import Describer
from pipeline.serving.examples import drawn_examples
from pipeline.serving.gradio_ready import make_ready
from pipeline.serving.model_card import ModelCard
from pipeline.text.marks import MARKS
from pipeline.text.vocabulary import Vocabulary

SIDE = 32
WORDS = ("a", "red", "green", "dog", "house", "on", "the", "left")
BOUNDS = Bounds(bytes=MIB, pixels=1_000_000, concurrency=4, queue=16, seconds=30)


def make_captioner(decoder: str) -> PictureCaptioner:
    """Build one with random weights: what it says means nothing, and is the same every time."""
    backend.seed(3)
    pooling = "average" if decoder == "inject" else "grid"
    encoder = Encoder(NETWORKS["compact"].body(None, SIDE), "compact", SIDE, "train", pooling)
    shape = DecoderSettings.plain(decoder=decoder, units=8, embedding=6, dropout=0.0)
    words = (*MARKS, *WORDS)
    built = build(shape, len(words), encoder.shape)
    # Words are likelier than an end: however a network begins, its best caption has some.
    built.start_output_bias(np.array([1] * len(MARKS) + [5] * len(WORDS)))
    return PictureCaptioner(encoder, Captioner(built, Vocabulary(words, (1,) * len(words))))


@pytest.fixture(scope="session")
def captioner() -> PictureCaptioner:
    return make_captioner("adaptive")


@pytest.fixture(scope="session")
def describer(captioner) -> Iterator[Describer]:
    made = Describer(captioner, BOUNDS)
    yield made
    made.close()


@pytest.fixture(scope="session")
def picture_bytes() -> Callable[..., bytes]:
    """Bytes of a picture that is a little different for each number."""

    def make(number: int = 0, kind: str = "PNG", size: tuple[int, int] = (48, 40)) -> bytes:
        rng = np.random.default_rng(number)
        pixels = rng.integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, kind)
        return stream.getvalue()

    return make


def png(width: int, height: int, content: bytes) -> bytes:
    """Write a PNG by hand, whatever its size and content claim."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(content, 9))
        + chunk(b"IEND", b"")
    )


def webp_of(width: int, height: int) -> bytes:
    """Write a WebP of a few bytes by hand that claims a size: Pillow takes memory as it opens."""
    sizes = (width - 1) | (height - 1) << 14
    content = b"\x2f" + struct.pack("<I", sizes) + b"\0" * 16
    chunk = b"VP8L" + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


@pytest.fixture(scope="session")
def hostile(picture_bytes) -> Callable[[int], Iterator[tuple[str, bytes, str]]]:
    """Make files that must be refused: name to send, bytes, and the reasons that are fitting."""
    good, jpeg = picture_bytes(), picture_bytes(kind="JPEG")
    gif, tiff, webp = (picture_bytes(kind=kind) for kind in ("GIF", "TIFF", "WEBP"))
    bad = "not_a_picture damaged no_picture"

    def some(rounds: int) -> Iterator[tuple[str, bytes, str]]:
        rng = np.random.default_rng(5)
        for number in range(rounds):
            cut = int(rng.integers(40, len(good) - 40))
            noise = rng.integers(0, 256, int(rng.integers(1, 5000)), dtype=np.uint8).tobytes()
            side = 40_000 + number
            yield "bomb.png", png(side, side, b"\0" * 100_000), "too_many_pixels"
            yield "bomb.webp", webp_of(16383, 16383 - number), "too_many_pixels"
            yield "promise.png", png(900, 900 + number, b"\0" * 10), "damaged"
            yield "cut.png", good[:cut], "damaged not_a_picture"
            yield "cut.jpg", jpeg[: len(jpeg) // 2 - number], "damaged not_a_picture"
            yield "cut.gif", gif[: len(gif) // 2 - number], "damaged not_a_picture"
            yield "cut.tif", tiff[: len(tiff) // 2 - number], "damaged not_a_picture"
            yield "cut.webp", webp[: len(webp) // 2 - number], "damaged not_a_picture"
            yield "empty.jpg", b"", "no_picture"
            yield "noise.jpg", noise, bad
            yield "noise.png", b"\x89PNG\r\n\x1a\n" + noise, bad
            yield "noise.gif", b"GIF89a" + noise, bad + " too_many_pixels"
            yield "page.png", b"<html><script>alert(1)</script></html>", "not_a_picture"
            yield "drawing.svg", b'<svg xmlns="http://www.w3.org/2000/svg"/>', "not_a_picture"
            yield "print.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not_a_picture"
            yield "program.jpg", b"\x7fELF" + noise, "not_a_picture"
            yield "archive.png", b"PK\x03\x04" + noise, "not_a_picture"
            yield (
                "numbers.gif",
                b"GIF89a/*" + b"A" * 20 + b"*/=1;alert(1)",
                bad + " too_many_pixels",
            )
            yield "../../etc/passwd", b"root:x:0:0", "not_a_picture"
            yield "..\\..\\a.png", noise[:20], bad
            yield "a" * 2000 + ".png", good[:cut], "damaged not_a_picture"
            yield "nul\0.png", b"\0" * 64, "not_a_picture"
            yield "con:\u202egnp.exe", b"MZ" + noise, "not_a_picture"
            yield "large.png", good + b"\0" * BOUNDS.bytes, "too_many_bytes"
            yield "stack.ppm", b"P6 99999 99999 255\n", "too_many_pixels"
            yield "zero.bmp", b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + b"\0" * 40, bad

    return some


@pytest.fixture(scope="session")
def bounds() -> Bounds:
    return BOUNDS


@pytest.fixture
def file(tmp_path) -> Callable[[bytes], Path]:
    def write(content: bytes) -> Path:
        path = tmp_path / "given"
        path.write_bytes(content)
        return path

    return write


@dataclass(frozen=True)
class Running:
    """A server that answers, in a thread of this process."""

    url: str
    describer: Describer
    uploads: Path


@pytest.fixture(scope="session")
def running(captioner, tmp_path_factory) -> Iterator[Running]:
    """The whole application, at the loopback address."""
    pytest.importorskip("gradio", reason='pip install -e ".[serve]"')
    folder = tmp_path_factory.mktemp("serve")
    uploads = folder / "uploads"
    before = dict(os.environ)
    make_ready(uploads)
    from pipeline.serving import server  # Gradio reads its settings when it is imported

    describer = Describer(captioner, BOUNDS)
    card = ModelCard((("Decoder", "adaptive, 8 units"),), (), 0, ("It errs.",))
    app = server.make_app(describer, card, drawn_examples(folder, 3))
    taken = server.listen("127.0.0.1", 0)
    made = server.server_of(app)
    thread = threading.Thread(target=made.run, kwargs={"sockets": [taken]}, daemon=True)
    thread.start()
    while not made.started:
        assert thread.is_alive()
        time.sleep(0.01)
    yield Running(f"http://127.0.0.1:{taken.getsockname()[1]}", describer, uploads)
    made.should_exit = True
    thread.join(5)
    made.force_exit = True  # whoever still holds a connection
    thread.join(5)
    describer.close()
    os.environ.clear()
    os.environ.update(before)
