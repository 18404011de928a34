"""One split of a data set, and the captions that the search finds for its pictures."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.captioner import bundle
from pipeline.captioner.captioner import PICTURES_AT_ONCE, Caption, Captioner, SearchSettings
from pipeline.errors import InputError
from pipeline.evaluation.attention_file import Looked
from pipeline.images.shards import ShardReader, open_shards

# Features in memory at once, or a little more: whole batches of a search of up to 20 captions a
# picture, and nearly whole ones of a wider search. A last block of another size has batches of
# another size, for which the search is compiled once more.
BLOCK = 4 * PICTURES_AT_ONCE

Candidates = list[Caption]  # of one picture, best first; at least one


@dataclass(frozen=True)
class ScoredSplit:
    """The pictures of a split, sorted by their ids."""

    name: str
    images: list[dict[str, Any]]  # rows of images.parquet, sorted by image_id
    references: dict[str, list[str]]  # image id -> texts; pictures without captions are left out

    @property
    def ids(self) -> list[str]:
        """The pictures, sorted."""
        return [row["image_id"] for row in self.images]


def select(name: str, images: pa.Table, captions: pa.Table) -> ScoredSplit:
    """Take a split's rows from the tables that `ingest` wrote.

    Raises:
        InputError: the split has no pictures.
    """
    rows = [row for row in images.to_pylist() if row["split"] == name]
    if not rows:
        raise InputError(
            f"expected pictures of split {name!r}. Received: none of {images.num_rows}. Choose "
            "another split, or let ingest.val_share and ingest.test_share make one"
        )
    wanted = {row["image_id"] for row in rows}
    references = defaultdict(list)
    for row in captions.to_pylist():
        if row["image_id"] in wanted:
            references[row["image_id"]].append(row["text"])
    return ScoredSplit(name, sorted(rows, key=lambda row: row["image_id"]), dict(references))


class Searcher:
    """A bundle's captioner together with the features of the pictures it can caption.

    Args:
        model: folder of the bundle.
        features: folder of feature shards, of the same encoder.

    Raises:
        InputError: the bundle or the features are incomplete, or do not belong together.
    """

    def __init__(self, model: Path, features: Path) -> None:
        self._folder = features
        self._reader: ShardReader = open_shards(features, bundle.read_description(model).encoder)
        self._row_of = self._reader.row_of()
        # Of each seed by itself, the best one first; and of all together.
        self.members: list[Captioner] = bundle.load_members(model)
        self.captioner = bundle.together(self.members)

    def caption(
        self, ids: Sequence[str], settings: SearchSettings, captioner: Captioner | None = None
    ) -> dict[str, Candidates]:
        """Search captions of pictures, in their order; memory does not grow with their number.

        Args:
            ids: of the pictures.
            settings: of the search.
            captioner: one of the members; without it, all together.

        Raises:
            InputError: a picture has no features.
        """
        absent = [image_id for image_id in ids if image_id not in self._row_of]
        if absent:
            raise InputError(
                f"{self._folder}: expected features of every picture of the split. Received: none "
                f"of {len(absent)}, such as {absent[0]}. Run `dvc repro`"
            )
        found: list[Candidates] = []
        for _, values in self._blocks(ids):
            found.extend((captioner or self.captioner).caption(values, settings))
        return dict(zip(ids, found, strict=True))

    def look(self, found: Mapping[str, Candidates], captioner: Captioner) -> dict[str, Looked]:
        """Tell where a captioner looked for each word of the best captions.

        Args:
            found: captions of pictures, as `caption` gives them.
            captioner: one of the members, or all together.

        Raises:
            InputError: it attends to no grid.
        """
        looked: dict[str, Looked] = {}
        for ids, values in self._blocks(list(found)):
            words = [found[image_id][0].words for image_id in ids]
            looks = captioner.looks(values, words)
            looked |= zip(ids, map(Looked, words, looks), strict=True)
        return looked

    def by_consensus(
        self, found: Mapping[str, Candidates], weights: Sequence[float]
    ) -> list[dict[str, Candidates]]:
        """Order captions anew that `caption` found without consensus, for each of several weights.

        Raises:
            InputError: the bundle has no consensus.
        """
        ordered: list[dict[str, Candidates]] = [{} for _ in weights]
        for ids, values in self._blocks(list(found)):
            captions = [found[image_id] for image_id in ids]
            by_weight = self.captioner.by_consensus(values, captions, weights)
            for all_of_it, block in zip(ordered, by_weight, strict=True):
                all_of_it |= zip(ids, block, strict=True)
        return ordered

    def _blocks(self, ids: Sequence[str]) -> Iterator[tuple[Sequence[str], np.ndarray]]:
        """Read features of pictures, some at a time."""
        # What is left at the end and fills no batch goes with the block before it.
        starts = [0, *range(BLOCK, len(ids) - PICTURES_AT_ONCE + 1, BLOCK)]
        for start, end in pairwise([*starts, len(ids)]):
            block = ids[start:end]
            rows = np.array([self._row_of[image_id] for image_id in block], "int64")
            yield block, self._reader.rows(rows)
