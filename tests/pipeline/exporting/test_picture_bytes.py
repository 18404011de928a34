"""What a graph makes of a picture's bytes is what Pillow makes of them."""

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.exporting import picture_bytes
from pipeline.images.decode import PictureError, read_square

SIDE, MAX_PIXELS = 32, 250_000
RNG = np.random.default_rng(1)


@pytest.fixture(scope="module")
def square():
    signature = [tf.TensorSpec((), tf.string)]
    return tf.function(
        lambda one: picture_bytes.square(one, SIDE, MAX_PIXELS), signature, autograph=False
    )


def smooth(height: int, width: int, channels: int) -> np.ndarray:
    """A picture as JPEG likes it."""
    small = RNG.integers(0, 256, (6, 7, channels), np.uint8)
    layers = [Image.fromarray(small[..., one]).resize((width, height)) for one in range(channels)]
    return np.stack([np.asarray(layer) for layer in layers], axis=-1)


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def with_alpha(mode: str, height: int = 60, width: int = 50) -> Image.Image:
    pixels = RNG.integers(0, 256, (height, width, len(mode)), np.uint8)
    pixels[:10, :, -1] = 0
    pixels[10:20, :, -1] = 255
    return Image.fromarray(pixels, mode)


def palette(colours: int, transparent: bool) -> bytes:
    picture = Image.fromarray(smooth(60, 50, 3)).quantize(colours)
    return encoded(picture, "PNG", **({"transparency": 3} if transparent else {}))


def grey_16(alpha: bool = False) -> bytes:
    """A PNG of 16 bits by hand, as Pillow writes none with an alpha channel."""
    height, width, channels = 40, 30, 1 + alpha
    rows = RNG.integers(0, 65536, (height, width * channels)).astype(">u2")
    content = b"".join(b"\0" + row.tobytes() for row in rows)
    head = struct.pack(">IIBBBBB", width, height, 16, 4 if alpha else 0, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(content)), (b"IEND", b""))
    chunks = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def one_clear_grey_16() -> bytes:
    rows = RNG.integers(0, 65536, (40, 30)).astype(np.uint16)
    rows[5:15, 5:20] = 1234
    return encoded(Image.fromarray(rows), "PNG", transparency=1234)


def turned(orientation: int, order: str = "<") -> bytes:
    exif = Image.Exif()
    exif.endian = order
    exif[0x010E] = "words before the orientation"
    exif[0x0112] = orientation
    exif[0x9286] = "and after it"
    return encoded(Image.fromarray(smooth(90, 70, 3)), "JPEG", exif=exif)


EXACT = {
    "JPEG": encoded(Image.fromarray(smooth(55, 75, 3)), "JPEG", quality=80),
    "JPEG without subsampling": encoded(Image.fromarray(smooth(55, 75, 3)), "JPEG", subsampling=0),
    "progressive JPEG": encoded(Image.fromarray(smooth(55, 75, 3)), "JPEG", progressive=True),
    "grey JPEG": encoded(Image.fromarray(smooth(55, 75, 1)[..., 0]), "JPEG"),
    "JPEG read at a half": encoded(Image.fromarray(smooth(131, 140, 3)), "JPEG"),
    "JPEG read at a quarter": encoded(Image.fromarray(smooth(257, 300, 3)), "JPEG"),
    "PNG": encoded(Image.fromarray(smooth(55, 75, 3)), "PNG"),
    "grey PNG": encoded(Image.fromarray(smooth(55, 75, 1)[..., 0]), "PNG"),
    "black and white PNG": encoded(Image.fromarray(smooth(55, 75, 1)[..., 0]).convert("1"), "PNG"),
    "PNG with transparency": encoded(with_alpha("RGBA"), "PNG"),
    "grey PNG with transparency": encoded(with_alpha("LA"), "PNG"),
    "PNG with one transparent colour": encoded(
        Image.fromarray(RNG.integers(0, 2, (60, 50, 3), np.uint8) * 255), "PNG",
        transparency=(255, 0, 255),
    ),
    "PNG with a palette": palette(64, transparent=False),
    "PNG with a palette of 4 bits": palette(16, transparent=False),
    "PNG with a transparent palette": palette(64, transparent=True),
    "PNG with a transparent palette of 4 bits": palette(16, transparent=True),
    "PNG of 16 bits": grey_16(),
    "PNG of 16 bits with transparency": grey_16(alpha=True),
    "grey PNG of 16 bits with one transparent grey": one_clear_grey_16(),
    "BMP": encoded(Image.fromarray(smooth(55, 75, 3)), "BMP"),
    **{f"turned {way}": turned(way) for way in range(1, 9)},
    **{f"turned {way}, most significant byte first": turned(way, ">") for way in (3, 6)},
    "a way that does not exist": turned(9),
}  # fmt: skip


@pytest.mark.parametrize("name", EXACT)
def test_it_is_what_pillow_reads_to_the_byte(square, name, tmp_path):
    path = tmp_path / "picture"
    path.write_bytes(EXACT[name])
    expected = read_square(path, SIDE, MAX_PIXELS)
    np.testing.assert_array_equal(square(EXACT[name]), expected)


def test_cmyk_is_off_by_one_at_most(square, tmp_path):
    path = tmp_path / "picture.jpg"
    Image.fromarray(smooth(55, 75, 4), "CMYK").save(path)
    expected = read_square(path, SIDE, MAX_PIXELS).astype(int)
    assert np.abs(square(path.read_bytes()).numpy() - expected).max() <= 1


def png_head(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", width, height) + b"\x08\2\0\0\0"


REFUSED = {
    "nothing": b"",
    "text": b"no picture at all",
    "GIF": encoded(Image.fromarray(smooth(55, 75, 3)), "GIF"),
    "WebP": encoded(Image.fromarray(smooth(55, 75, 3)), "WEBP"),
    "TIFF": encoded(Image.fromarray(smooth(55, 75, 3)), "TIFF"),
    "half a JPEG": EXACT["JPEG"][: len(EXACT["JPEG"]) // 2],
    "half a PNG": EXACT["PNG"][: len(EXACT["PNG"]) // 2],
    "the first bytes of a JPEG": b"\xff\xd8\xff",
    "the first bytes of a PNG": EXACT["PNG"][:8],
    "the first bytes of a BMP": b"BM",
    "a BMP with a palette": encoded(Image.fromarray(smooth(55, 75, 1)[..., 0]), "BMP"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_picture_is_refused(square, name):
    with pytest.raises(tf.errors.InvalidArgumentError):
        square(REFUSED[name])


LARGE = {
    "PNG": png_head(60_000, 60_000) + b"\0" * 100,
    "PNG of a negative size": png_head(2**32 - 1, 2**32 - 1) + b"\0" * 100,
    "PNG without pixels": png_head(0, 10) + b"\0" * 100,
    "JPEG": encoded(Image.new("RGB", (501, 500)), "JPEG"),
    "BMP": b"BM" + b"\0" * 16 + struct.pack("<iiHHI", 60_000, -60_000, 1, 24, 0) + b"\0" * 40,
}


@pytest.mark.parametrize("name", LARGE)
def test_more_pixels_than_the_bound_are_refused_before_they_are_decoded(square, name):
    with pytest.raises(tf.errors.InvalidArgumentError, match="expected a picture of 1 to"):
        square(LARGE[name])


@given(
    kind=st.sampled_from(["JPEG", "turned 6", "turned 3, most significant byte first"]),
    place=st.integers(20, 400),
    junk=st.binary(min_size=1, max_size=8),
)
@settings(max_examples=150, deadline=None)
def test_damage_is_refused_or_read_and_never_fatal(square, tmp_path_factory, kind, place, junk):
    sound = EXACT[kind]
    damaged = sound[:place] + junk + sound[place + len(junk) :]
    path = tmp_path_factory.getbasetemp() / "damaged.jpg"
    path.write_bytes(damaged)
    try:
        pixels = square(damaged).numpy()
    except tf.errors.InvalidArgumentError:
        return
    assert pixels.shape == (SIDE, SIDE, 3)
    try:
        read_square(path, SIDE, MAX_PIXELS)
    except PictureError:
        return  # the readers may differ in what they forgive


@given(st.binary(max_size=300))
@settings(max_examples=100, deadline=None)
def test_any_bytes_are_refused_or_read(square, data):
    for head in (b"", b"\xff\xd8\xff\xe1", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"BM"):
        try:
            assert square(head + data).shape == (SIDE, SIDE, 3)
        except tf.errors.InvalidArgumentError:
            continue


@pytest.mark.slow
@pytest.mark.skipif("CAPTION_FLICKR8K" not in os.environ, reason="CAPTION_FLICKR8K is not set")
def test_photographs_are_read_to_the_byte():
    folder = Path(os.environ["CAPTION_FLICKR8K"]) / "Flicker8k_Dataset"
    signature = [tf.TensorSpec((), tf.string)]
    read = tf.function(
        lambda one: picture_bytes.square(one, 224, MAX_PIXELS), signature, autograph=False
    )
    for path in sorted(folder.glob("*.jpg"))[:500]:
        expected = read_square(path, 224, MAX_PIXELS)
        np.testing.assert_array_equal(read(path.read_bytes()), expected, err_msg=path.name)
