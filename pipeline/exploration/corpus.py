"""Captions as arrays of numbers: words by number, one caption after the other.

    captions   a dog runs | a cat         words    a 0, cat 1, dog 2, runs 3
    codes      0 2   3    | 0 1           lengths  3, 2

The tables of COCO have 6.5 million words: as arrays they take 100 MB, as lists of text a gigabyte.
Letters: `n` pictures, `c` captions, `t` words of all captions, `v` distinct words.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import InputError
from pipeline.evaluation.tokens import IntArray
from pipeline.tables import SPLITS


@dataclass(frozen=True)
class Corpus:
    """The words of all captions, and which caption is of which picture and split."""

    words: list[str]  # (v,) distinct, by spelling, so that equal counts are told by spelling
    codes: IntArray  # (t,) the place of each word in `words`
    lengths: IntArray  # (c,) words of each caption
    picture: IntArray  # (c,) each caption's picture: a row of images.parquet
    picture_split: IntArray  # (n,) each picture's split: a place in SPLITS

    @cached_property
    def ends(self) -> IntArray:
        """Where each caption ends in `codes`, as (c,)."""
        return np.cumsum(self.lengths)

    @cached_property
    def split(self) -> IntArray:
        """Each caption's split, a place in SPLITS, as (c,)."""
        return self.picture_split[self.picture]

    @cached_property
    def per_picture(self) -> IntArray:
        """How many captions each picture has, as (n,)."""
        return np.bincount(self.picture, minlength=len(self.picture_split))

    @cached_property
    def _by_picture(self) -> tuple[IntArray, IntArray]:
        """Captions in the order of their pictures (c,), and each picture's first of them (n,)."""
        order = np.argsort(self.picture, kind="stable")
        return order, np.cumsum(self.per_picture) - self.per_picture

    def captions_of(self, picture: int) -> list[int]:
        """Rows of the captions of a picture, in the order of the table."""
        order, first = self._by_picture
        start = first[picture]
        return [int(row) for row in order[start : start + self.per_picture[picture]]]

    def tokens(self, caption: int) -> list[str]:
        """Words of a caption."""
        end = self.ends[caption]
        return [self.words[code] for code in self.codes[end - self.lengths[caption] : end]]

    def distinct_captions(self) -> int:
        """How many captions there are that differ in a word or more."""
        starts = (self.ends - self.lengths).tolist()
        pairs = zip(starts, self.ends.tolist(), strict=True)
        return len({self.codes[start:end].tobytes() for start, end in pairs})


def read_corpus(images: pa.Table, captions: pa.Table) -> Corpus:
    """Turn the tables into arrays.

    Args:
        images: rows of `tables.IMAGES`.
        captions: rows of `tables.CLEAN_CAPTIONS`.

    Raises:
        InputError: there are no pictures or no captions, a caption is of a picture that is not
            there, or a picture of a split that is none.
    """
    if not images.num_rows or not captions.num_rows:
        raise InputError(
            "explore: expected a picture and a caption at least. "
            f"Received: {images.num_rows} pictures and {captions.num_rows} captions. "
            "See dropped.parquet of `ingest` and `clean` for those that were left out"
        )
    picture = _places(captions["image_id"], images["image_id"], "caption", "images.parquet")
    split = _places(images["split"], pa.array(SPLITS), "picture", ", ".join(SPLITS))
    tokens = captions["tokens"].combine_chunks()
    lengths = np.asarray(pc.list_value_length(tokens), dtype=np.int64)
    words, codes = _encode(tokens.flatten())
    return Corpus(words, codes, lengths, picture, split)


def _places(values: pa.ChunkedArray, known: pa.Array, row: str, where: str) -> IntArray:
    """Place of each value among the known ones."""
    places = pc.index_in(values, value_set=known).combine_chunks()
    if places.null_count:
        stranger = values.filter(pc.is_null(places))[0].as_py()
        raise InputError(
            f"explore: expected each {row} to name one of {where}. Received: {stranger!r}, and "
            f"{places.null_count - 1} more. The tables are not of one run: dvc repro"
        )
    return np.asarray(places, dtype=np.int64)


def _encode(tokens: pa.Array) -> tuple[list[str], IntArray]:
    """Number words by their spelling."""
    encoded = tokens.dictionary_encode()
    found: Sequence[str] = encoded.dictionary.to_pylist()
    order = sorted(range(len(found)), key=found.__getitem__)
    number = np.empty(len(found), dtype=np.int64)
    number[order] = np.arange(len(found))
    return [found[place] for place in order], number[np.asarray(encoded.indices)]
