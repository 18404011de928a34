"""Pillow's bilinear resize, as TensorFlow operations: the same bytes, inside a graph.

TensorFlow's own way, decode_jpeg and an antialiased tf.image.resize, gives another byte at two
places in three of a photograph, by up to 5 (200 of Flickr8k, 224 pixels). Pillow works in whole
numbers: it rounds the weights of each row and column to 1/2^22, sums, and rounds to a byte after
each of its two passes. So does this, and every sum is an integer of 32 bits that nothing can round
differently. After Pillow's src/libImaging/Resample.c: precompute_coeffs, normalize_coeffs_8bpc and
the two 8-bit passes.

Newer versions of Pillow, 12.3 for one, take the other pass first where a picture is more than a
hundred times as high as wide; then, and only then, a byte may be off by one.
"""

from typing import Any

import tensorflow as tf

Tensor = Any
PRECISION = 22  # bits after the point of a weight: 32 - 8 for the byte - 2 for sums above it


def bilinear(pixels: Tensor, side: int) -> Tensor:
    """Squash a picture to a square as Pillow's BILINEAR does, antialiased.

    Args:
        pixels: uint8 (h, w, 3), at least one pixel each way.
        side: of the square.

    Returns:
        uint8 (side, side, 3).
    """
    turned = tf.transpose(pixels, (1, 0, 2))  # (w, h, 3), as whole rows are faster to pick
    narrow = tf.transpose(_rows(turned, side), (1, 0, 2))  # (h, side, 3)
    return tf.ensure_shape(_rows(narrow, side), (side, side, 3))


def _rows(pixels: Tensor, side: int) -> Tensor:
    """Resize the first axis: (h, w, 3) -> (side, w, 3), each row a weighted sum of a few.

    One neighbour of all rows after another, so that memory does not grow with their number.
    """
    height, width = tf.unstack(tf.shape(pixels)[:2])
    flat = tf.reshape(pixels, (height, width * 3))
    first, weights = weights_of(height, side)  # (side,), (side, n)

    def add(neighbour: Tensor, sums: Tensor) -> tuple[Tensor, Tensor]:
        row = tf.minimum(first + neighbour, height - 1)  # beyond the border the weight is 0
        values = tf.cast(tf.gather(flat, row), tf.int32)  # (side, w * 3)
        return neighbour + 1, sums + values * weights[:, neighbour, None]

    half = tf.fill((side, width * 3), 1 << (PRECISION - 1))
    _, sums = tf.while_loop(
        lambda neighbour, sums: neighbour < tf.shape(weights)[1],
        add,
        (0, half),
        shape_invariants=(tf.TensorShape([]), tf.TensorShape([side, None])),
    )
    whole = tf.clip_by_value(tf.bitwise.right_shift(sums, PRECISION), 0, 255)
    return tf.reshape(tf.cast(whole, tf.uint8), (side, width, 3))


def weights_of(length: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Tell which pixels make each place of the result, and by what weight.

    Args:
        length: pixels before, int32 ().
        side: pixels after.

    Returns:
        The first pixel of each place, int32 (side,), and the weights of it and those after it in
        units of 1/2^22, int32 (side, n): n is what the place with most of them has.
    """
    scale = tf.cast(length, tf.float64) / side
    support = tf.maximum(scale, 1.0)  # the triangle's half width; enlarging needs no antialiasing
    centre = (tf.range(side, dtype=tf.float64) + 0.5) * scale  # (side,)
    # Casts cut off towards zero, as in C.
    first = tf.maximum(tf.cast(centre - support + 0.5, tf.int32), 0)
    last = tf.minimum(tf.cast(centre + support + 0.5, tf.int32), length)
    count = tf.cast(tf.math.ceil(support), tf.int32) * 2 + 1
    neighbour = tf.range(count)[None]  # (1, n)
    distance = tf.cast(neighbour + first[:, None], tf.float64) - centre[:, None] + 0.5
    triangle = tf.maximum(1.0 - tf.abs(distance * (1.0 / support)), 0.0)
    triangle = tf.where(neighbour < (last - first)[:, None], triangle, 0.0)  # (side, n)
    share = triangle / tf.reduce_sum(triangle, axis=1, keepdims=True)
    return first, tf.cast(0.5 + share * (1 << PRECISION), tf.int32)
