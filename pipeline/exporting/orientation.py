"""Which way up a JPEG is, read from its EXIF block inside a TensorFlow graph.

A JPEG is a row of segments: FF, a marker byte, a length of two bytes that counts itself, content.
EXIF is the content of segment E1 (APP1): "Exif", two zeros, and a small TIFF file, whose first
directory has entries of twelve bytes: tag, type, count and value. Tag 0x0112 is the orientation.

A block that is damaged, or leads outside the file, says nothing, and the picture stays as it is.
"""

from typing import Any

import tensorflow as tf

Tensor = Any
APP1, START_OF_SCAN = 0xE1, 0xDA
ORIENTATION, SHORT = 0x0112, 3  # the tag, and the type of its value: 16 bits
ENTRY = 12  # bytes


def of_jpeg(picture_bytes: Tensor) -> Tensor:
    """Read the orientation, 1 to 8, of a JPEG: string () -> int32 (); 1 where none is told."""
    # Four zeros at the end, which `_number` reads for whatever lies beyond it.
    data = tf.io.decode_raw(tf.strings.join([picture_bytes, b"\0\0\0\0"]), tf.uint8)
    exif = _exif(data)
    return tf.cond(exif > 0, lambda: _in_tiff(data, exif), lambda: 1)


def turned(square: Tensor, orientation: Tensor) -> Tensor:
    """Turn a square picture (side, side, 3) upright, by its orientation, 1 to 8."""
    transposed = tf.transpose(square, (1, 0, 2))
    # What Pillow calls FLIP_LEFT_RIGHT, ROTATE_180, FLIP_TOP_BOTTOM, TRANSPOSE, ROTATE_270,
    # TRANSVERSE and ROTATE_90, in the order of EXIF's numbers 2 to 8.
    ways = (
        square,
        square[:, ::-1],
        square[::-1, ::-1],
        square[::-1],
        transposed,
        transposed[:, ::-1],
        transposed[::-1, ::-1],
        transposed[::-1],
    )
    return tf.switch_case(orientation - 1, [lambda way=way: way for way in ways])


def _exif(data: Tensor) -> Tensor:
    """Find the TIFF file inside the first EXIF segment before the pixels; 0 where there is none."""

    def marker(at: Tensor) -> Tensor:
        return _number(data, at + 1, 1, big=True)

    def in_segments(at: Tensor) -> Tensor:
        return tf.logical_and(
            _number(data, at, 1, big=True) == 0xFF,
            tf.logical_and(marker(at) != START_OF_SCAN, tf.logical_not(is_exif(at))),
        )

    def is_exif(at: Tensor) -> Tensor:
        # "Exif" and its two zeros, as two numbers.
        word, zeros = _number(data, at + 4, 4, big=True), _number(data, at + 8, 2, big=True)
        found = tf.logical_and(word == int.from_bytes(b"Exif", "big"), zeros == 0)
        return tf.logical_and(marker(at) == APP1, found)

    def skip(at: Tensor) -> Tensor:
        return at + 2 + tf.maximum(_number(data, at + 2, 2, big=True), 2)

    [at] = tf.while_loop(in_segments, lambda at: [skip(at)], [tf.constant(2, tf.int64)])
    return tf.where(is_exif(at), at + 10, tf.constant(0, tf.int64))


def _in_tiff(data: Tensor, begin: Tensor) -> Tensor:
    """Read the orientation from the first directory of the TIFF file that begins at `begin`."""
    big = _number(data, begin, 2, big=True) == int.from_bytes(b"MM", "big")
    directory = begin + _number(data, begin + 4, 4, big)
    entries = directory + 2 + ENTRY * tf.range(_number(data, directory, 2, big))  # (n,)
    is_it = tf.logical_and(
        _number(data, entries, 2, big) == ORIENTATION, _number(data, entries + 2, 2, big) == SHORT
    )
    # No entry, or several: the greatest, of which there is one in every sound file.
    told = tf.where(is_it, _number(data, entries + 8, 2, big), 0)
    told = tf.reduce_max(tf.concat([told, [0]], axis=0))
    sound = tf.logical_and(told >= 1, told <= 8)
    return tf.cast(tf.where(sound, told, 1), tf.int32)


def _number(data: Tensor, at: Tensor, size: int, big: Any) -> Tensor:
    """Read whole numbers of `size` bytes: int64, of the shape of `at`; 0 beyond the end.

    Args:
        data: uint8 (n,), of which the last four are zeros.
        at: int64, where the numbers begin.
        size: 1, 2 or 4 bytes.
        big: whether the first byte counts most.
    """
    last = tf.cast(tf.shape(data)[0], tf.int64) - 1
    parts = [
        tf.cast(tf.gather(data, tf.minimum(at + byte, last)), tf.int64) for byte in range(size)
    ]
    ascending = sum(part * 256**place for place, part in enumerate(parts))
    descending = sum(part * 256**place for place, part in enumerate(reversed(parts)))
    return tf.where(big, descending, ascending)
