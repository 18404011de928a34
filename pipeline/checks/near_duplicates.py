"""Pictures that look the same as one of an earlier split, by their 256-bit difference hashes.

Two hashes that differ in at most `bits` bits are equal in at least one of `bits` + 1 bands, as
so few differences cannot touch all of them (the pigeonhole principle). So only pictures that
share a band's value are compared: multi-index hashing (Norouzi et al., "Fast Search in Hamming
Space with Multi-Index Hashing", CVPR 2012). Nothing is missed by this.

A band's bits are scattered over the picture. Neighbouring bits mostly say the same, and bands of
whole rows would make one crowd of all pictures with sky at the top.
Flat pictures (`is_flat`) are left out: their hashes are alike because they say nothing.

How many bits: among 123,000 crops of photographs, all pairs within 20 bits were the same picture,
and the first that were not (nearly blank ones) were 23 bits apart. Of photographs scaled to half,
99 % are within 20 bits; saved as JPEG of quality 20, 88 %; with 1 % cut off each side, 57 %; with
3 % cut off, 2 %.
Cost for 123,000 pictures and 20 bits: 0.6 % of the pairs are compared, 3 s of processor time; with
32 bits 26 s. Memory: some 60 MB for the bits, and BLOCK pairs at a time.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

BITS = 256
WORDS = BITS // 64
NONE = -1
BLOCK = 1 << 17  # pairs compared at once; more do not fit the processor's cache
FEWEST_BANDS = 8  # so that a band's value fits an integer; more bands than needed do no harm
# Every bit once, neighbours five rows and nine columns of the 16 x 16 grid apart.
SCATTERED = np.arange(BITS) * 89 % BITS

Hashes = npt.NDArray[np.uint64]  # (n, WORDS)
Numbers = npt.NDArray[np.int64]  # (n,)


class Twins(NamedTuple):
    """For each picture the nearest one of an earlier split; the first one where several are."""

    nearest: Numbers  # its row; NONE where no picture is near enough
    apart: Numbers  # bits; meaningless where there is none


def parse_hashes(digits: list[str]) -> Hashes:
    """Turn hashes of 64 hexadecimal digits each into rows of four 64-bit words."""
    return np.frombuffer(bytes.fromhex("".join(digits)), np.uint64).reshape(-1, WORDS)


def is_flat(hashes: Hashes, bits: int) -> npt.NDArray[np.bool_]:
    """Tell which pictures are so even that a blank one is within `bits` bits of them.

    A blank picture has no bit set, and a smooth slope of light all of them.
    """
    ones = np.bitwise_count(hashes).sum(axis=1, dtype=np.int64)
    return np.minimum(ones, BITS - ones) <= bits


def nearest_in_earlier_split(hashes: Hashes, splits: Numbers, bits: int) -> Twins:
    """Find each picture's nearest one of an earlier split that differs in at most `bits` bits.

    Args:
        hashes: uint64 (n, 4), see `parse_hashes`.
        splits: the number of each picture's split; lower is earlier.
        bits: below 64 or so; the fewer, the faster.
    """
    twins = Twins(np.full(len(hashes), NONE), np.full(len(hashes), BITS))
    telling = ~is_flat(hashes, bits)
    for split in np.unique(splits)[1:]:
        asked = np.flatnonzero(telling & (splits == split))
        known = np.flatnonzero(telling & (splits < split))
        if len(asked) and len(known):
            nearest, apart = _nearest(hashes[asked], hashes[known], bits)
            twins.nearest[asked] = np.where(nearest == NONE, NONE, known[nearest])
            twins.apart[asked] = apart
    return twins


def _nearest(asked: Hashes, known: Hashes, bits: int) -> Twins:
    """Find the row of `known` that is nearest to each of `asked`."""
    asked, back = np.unique(asked, axis=0, return_inverse=True)  # a thousand copies cost as one
    known, first = np.unique(known, axis=0, return_index=True)
    scale = int(first.max()) + 1
    none = (bits + 1) * scale
    best = np.full(len(asked), none)  # distance and place in one number, to be minimised at once
    asked_bits, known_bits = _scattered(asked), _scattered(known)
    for columns in np.array_split(np.arange(BITS), max(bits + 1, FEWEST_BANDS)):
        asked_band, known_band = (_values(x[:, columns]) for x in (asked_bits, known_bits))
        for rows, partners in _pairs(asked_band, known_band):
            apart = np.bitwise_count(asked[rows] ^ known[partners]).sum(axis=1, dtype=np.int64)
            near = apart <= bits
            keys = apart[near] * scale + first[partners[near]]
            np.minimum.at(best, rows[near], keys)
    best = best[back.reshape(-1)]
    return Twins(np.where(best == none, NONE, best % scale), best // scale)


def _scattered(hashes: Hashes) -> npt.NDArray[np.uint8]:
    """Spread the bits out, a byte each, in an order that parts neighbours: uint8 (n, BITS)."""
    return np.unpackbits(hashes.view(np.uint8), axis=1)[:, SCATTERED]


def _values(bits: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    """Read each row of bits as one number."""
    return bits @ (np.uint64(1) << np.arange(bits.shape[1], dtype=np.uint64))


def _pairs(
    asked: npt.NDArray[np.uint64], known: npt.NDArray[np.uint64]
) -> Iterator[tuple[Numbers, Numbers]]:
    """Yield, in blocks, the places of all pairs with equal values."""
    order = np.argsort(known, kind="stable")
    start = np.searchsorted(known, asked, "left", sorter=order)
    counts = np.searchsorted(known, asked, "right", sorter=order) - start
    ends = np.cumsum(counts)
    low = 0
    while low < len(asked):
        before = ends[low] - counts[low]
        # At least one picture's pairs, even where these alone are more than a block.
        high = max(low + 1, int(np.searchsorted(ends, before + BLOCK, "right")))
        rows = np.repeat(np.arange(low, high), counts[low:high])
        within = before + np.arange(len(rows)) - (ends - counts)[rows]  # 0, 1, ... for each row
        yield rows, order[start[rows] + within]
        low = high
