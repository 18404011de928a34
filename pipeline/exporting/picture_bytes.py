"""Encoded pictures to RGB squares, inside a TensorFlow graph.

The same as `images/decode.py: read_square` does with Pillow, and for what is supported here the
same bytes come out, but for CMYK, where a byte may be off by one:

    JPEG   grey, RGB, CMYK; EXIF orientation; decoded at the same fraction of its size
    PNG    of every depth and colour type, palettes and transparency included, on white paper; but
           an EXIF orientation is not looked for in a PNG, nor one transparent grey in a picture of
           fewer than 8 bits
    BMP    24 bits, uncompressed

No TIFF and no WebP, which not every TensorFlow reads; and no GIF, as TensorFlow decodes all frames,
of which there may be any number: these are refused with a line, as is whatever is no picture.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from pipeline.exporting import orientation, resize
from pipeline.images.decode import SCALED_DECODE_MARGIN

Tensor = Any
FRACTIONS = (1, 2, 4, 8)  # of its size at which JPEG can be decoded: 1/1, 1/2, 1/4, 1/8
HEAD = 64  # bytes looked at to tell what a file is
JPEG, PNG, BMP = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM")
PNG_GREY, DEEP = 0, 16  # colour type and bits of the one kind of PNG that is scaled from 16 bits


def squares(pictures: Tensor, side: int, max_pixels: int) -> Tensor:
    """Decode pictures: string (n,) -> uint8 (n, side, side, 3).

    One that cannot be decoded, or has more than `max_pixels` pixels by its header, fails the call
    with an InvalidArgumentError.
    """
    return tf.map_fn(
        lambda one: square(one, side, max_pixels),
        pictures,
        fn_output_signature=tf.TensorSpec((side, side, 3), tf.uint8),
    )


def square(picture: Tensor, side: int, max_pixels: int) -> Tensor:
    """Decode one picture: string () -> uint8 (side, side, 3). See `squares`."""
    head = tf.io.decode_raw(
        tf.strings.join([tf.strings.substr(picture, 0, HEAD), b"\0" * HEAD]), tf.uint8
    )
    kinds: list[tuple[bytes, Callable[[], Tensor]]] = [
        (JPEG, lambda: _jpeg(picture, side, max_pixels)),
        (PNG, lambda: _png(picture, head, max_pixels)),
        (BMP, lambda: _bmp(picture, head, max_pixels)),
    ]
    kind = tf.constant(len(kinds))
    for number, (mark, _) in enumerate(kinds):
        is_it = tf.reduce_all(head[: len(mark)] == tf.constant(list(mark), tf.uint8))
        kind = tf.where(is_it, number, kind)
    pixels = tf.switch_case(kind, [*(decode for _, decode in kinds), _unknown])
    small = resize.bilinear(tf.ensure_shape(pixels, (None, None, 3)), side)
    way = tf.cond(kind == 0, lambda: orientation.of_jpeg(picture), lambda: tf.constant(1))
    return orientation.turned(small, way)  # after the resize, when there is less to turn


def _jpeg(picture: Tensor, side: int, max_pixels: int) -> Tensor:
    """Decode a JPEG at the fraction of its size that Pillow's draft mode would take."""
    height, width = tf.unstack(tf.io.extract_jpeg_shape(picture)[:2])
    with tf.control_dependencies([_bounded(height, width, max_pixels)]):
        scale = tf.minimum(height, width) // (side * SCALED_DECODE_MARGIN)

    def at(fraction: int) -> Callable[[], Tensor]:
        # INTEGER_ACCURATE is what Pillow takes; TensorFlow's own choice is faster and coarser.
        return lambda: tf.io.decode_jpeg(
            picture, channels=3, ratio=fraction, dct_method="INTEGER_ACCURATE"
        )

    exponent = sum(tf.cast(scale >= fraction, tf.int32) for fraction in FRACTIONS[1:])
    return tf.switch_case(exponent, [at(fraction) for fraction in FRACTIONS])


def _png(picture: Tensor, head: Tensor, max_pixels: int) -> Tensor:
    """Decode a PNG as it looks on white paper: uint8 (h, w, 3)."""
    width, height = _big_endian(head, 16), _big_endian(head, 20)
    depth, colours = tf.cast(head[24], tf.int32), tf.cast(head[25], tf.int32)

    def deep_grey() -> Tensor:
        pixels = tf.cast(tf.io.decode_png(picture, channels=4, dtype=tf.uint16), tf.int32)
        # The grey that is transparent, if there is one, has nothing of its own but white paper.
        values = tf.where(pixels[..., 3:] == 0, 65535, pixels[..., :1])
        return tf.image.grayscale_to_rgb(tf.cast((values + 128) // 257, tf.uint8))

    def shallow() -> Tensor:
        # As many channels as there are: asked for a fourth one, TensorFlow fills it with 1, 3 or
        # 15, what 1, 2 or 4 bits can hold, instead of 255.
        pixels = tf.io.decode_png(picture, channels=0)
        height, width, channels = tf.unstack(tf.shape(pixels))
        return tf.cond(
            channels == 4,
            lambda: _on_white(pixels),
            lambda: tf.broadcast_to(pixels[..., :3], (height, width, 3)),
        )

    def others() -> Tensor:
        return _on_white(tf.io.decode_png(picture, channels=4))

    with tf.control_dependencies([_bounded(height, width, max_pixels)]):
        is_deep_grey = tf.logical_and(colours == PNG_GREY, depth == DEEP)
    return tf.case([(is_deep_grey, deep_grey), (depth < 8, shallow)], others)


def _on_white(pixels: Tensor) -> Tensor:
    """Lay RGBA pixels on white paper, rounded as Pillow rounds: uint8 (h, w, 4) -> (h, w, 3)."""
    values = tf.cast(pixels, tf.int32)
    alpha = values[..., 3:]
    mixed = values[..., :3] * alpha + 255 * (255 - alpha) + 128
    return tf.cast((mixed + mixed // 256) // 256, tf.uint8)  # divided by 255


def _bmp(picture: Tensor, head: Tensor, max_pixels: int) -> Tensor:
    """Decode a BMP of 24 bits: uint8 (h, w, 3)."""
    width, height = _little_endian(head, 18), _little_endian(head, 22)
    bits, compression = head[28], head[30]
    plain = tf.debugging.Assert(
        tf.logical_and(bits == 24, compression == 0),
        ["expected a BMP of 24 bits, uncompressed. Received one of bits", bits],
    )
    with tf.control_dependencies([plain, _bounded(tf.abs(height), width, max_pixels)]):
        return tf.io.decode_bmp(picture, channels=3)


def _unknown() -> Tensor:
    """Refuse what is no picture, or of another format."""
    refused = tf.debugging.Assert(False, ["expected the bytes of a JPEG, PNG or BMP picture"])
    with tf.control_dependencies([refused]):
        return tf.zeros((1, 1, 3), tf.uint8)


def _bounded(height: Tensor, width: Tensor, max_pixels: int) -> Any:
    """Refuse a picture by the size that its header tells, before it is decoded."""
    height, width = tf.cast(height, tf.int64), tf.cast(width, tf.int64)
    # Divided, as the product of two large numbers may have turned negative.
    most = max_pixels // tf.maximum(width, 1)
    fits = tf.logical_and(tf.minimum(height, width) > 0, height <= most)
    told = ["expected a picture of 1 to", max_pixels, "pixels. Received", width, "x", height]
    return tf.debugging.Assert(fits, told)


def _big_endian(head: Tensor, at: int) -> Tensor:
    """Read a number of four bytes, the first of which counts most: int64 ()."""
    parts = tf.cast(head[at : at + 4], tf.int64)
    return tf.reduce_sum(parts * [256**3, 256**2, 256, 1])


def _little_endian(head: Tensor, at: int) -> Tensor:
    """Read a number of four bytes, the last of which counts most and has the sign: int32 ()."""
    return tf.bitcast(head[at : at + 4], tf.int32)
