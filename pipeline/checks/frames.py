"""The tables of `ingest` as data frames with what the rules look at worked out beside each row.

columns   one row for each column that a table has or should have
pictures  one row a picture:  `image_id`, `split`, ... and `captions`, `looks_like`, ...
captions  one row a caption:  `image_id`, `caption_id`, `text` and `split`, `words`, ...
splits    one row a split:    its size, and how well the training captions cover its words
left_out  one row each for pictures and captions: how many `ingest` read, and lost

Great Expectations checks rows of a frame, so a rule that joins tables becomes one on a column.
Memory: the whole stage takes 860 MB for 123,000 pictures with 616,000 captions.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.checks.near_duplicates import NONE, nearest_in_earlier_split, parse_hashes
from pipeline.checks.settings import ValidateSettings
from pipeline.datasets.layout import BY_CHOICE
from pipeline.tables import CAPTIONS, DROPPED, IMAGES, SPLITS, read_any

TABLES = {"images": IMAGES, "captions": CAPTIONS, "dropped": DROPPED}
EDGES = ".,;:!?\"'()[]{}-_*#/\\"  # punctuation that clings to words
HASH = "^[0-9a-f]{64}$"

Tables = Mapping[str, pa.Table]


def read_tables(folder: Path) -> dict[str, pa.Table]:
    """Read images, captions and dropped (.parquet), whatever columns they have.

    Raises:
        InputError: a file is absent, not Parquet, or damaged.
    """
    return {name: read_any(folder / f"{name}.parquet") for name in TABLES}


def columns_frame(tables: Tables) -> pd.DataFrame:
    """Compare each table's columns with those that later stages read."""
    rows = []
    for name, schema in TABLES.items():
        table = tables[name]
        agreed = {field.name: str(field.type) for field in schema}
        found = {field.name: str(field.type) for field in table.schema}
        for column in [*agreed, *(name for name in found if name not in agreed)]:
            both = column in agreed and column in found
            rows.append(
                {
                    "table": name,
                    "column": column,
                    "state": "as agreed" if both else "absent" if column in agreed else "unknown",
                    "type": found.get(column) if both else None,
                    "agreed_type": agreed.get(column) if both else None,
                    "empty_cells": table[column].null_count if both else 0,
                }
            )
    return pd.DataFrame(rows)


def frames(tables: Tables, settings: ValidateSettings) -> dict[str, pd.DataFrame]:
    """Work out the frames of all suites but `columns`, whose rules the tables must have passed."""
    captions = _captions(tables)
    return {
        "pictures": _pictures(tables, settings.near_bits),
        "captions": captions,
        "splits": _splits(tables, captions, settings),
        "left_out": _left_out(tables),
    }


def _pictures(tables: Tables, near_bits: int) -> pd.DataFrame:
    frame = tables["images"].to_pandas()
    per_picture = tables["captions"]["image_id"].value_counts()
    captions = dict(zip(*(per_picture.field(i).to_pylist() for i in (0, 1)), strict=True))
    sides = frame[["width", "height"]]
    frame["captions"] = [captions.get(image_id, 0) for image_id in frame["image_id"]]
    frame["shorter_side"] = sides.min(axis=1)
    frame["least_size"] = frame[["width", "height", "bytes"]].min(axis=1)
    frame["aspect"] = (sides.max(axis=1) / frame["shorter_side"].clip(lower=1)).round(2)
    frame["same_as"] = _same_bytes(frame)
    frame["looks_like"] = _look_alikes(frame, near_bits)
    return frame


def _split_numbers(frame: pd.DataFrame) -> pd.Series:
    """Number the splits in their order; a split of an unknown name comes last."""
    return frame["split"].map({split: n for n, split in enumerate(SPLITS)}).fillna(len(SPLITS))


def _same_bytes(frame: pd.DataFrame) -> list[str | None]:
    """Name for each picture one of an earlier split that has the same bytes."""
    numbers = _split_numbers(frame).to_numpy()
    first: dict[str, int] = {}
    hashes = frame["sha256"].to_list()
    for row in np.argsort(numbers, kind="stable"):
        first.setdefault(hashes[row], int(row))
    ids, splits = frame["image_id"].to_list(), frame["split"].to_list()
    return [
        f"{ids[first[digits]]} ({splits[first[digits]]})"
        if numbers[first[digits]] < numbers[row]
        else None
        for row, digits in enumerate(hashes)
    ]


def _look_alikes(frame: pd.DataFrame, bits: int) -> list[str | None]:
    """Name for each picture one of an earlier split that looks the same and is another file."""
    usable = frame["dhash"].str.match(HASH).to_numpy() & frame["same_as"].isna().to_numpy()
    ids, splits = frame["image_id"].to_list(), frame["split"].to_list()
    like: list[str | None] = [None] * len(frame)
    rows = np.flatnonzero(usable)
    hashes = parse_hashes(frame["dhash"].iloc[rows].to_list())
    twins = nearest_in_earlier_split(hashes, _split_numbers(frame).to_numpy(int)[rows], bits)
    for n in np.flatnonzero(twins.nearest != NONE):
        twin = rows[twins.nearest[n]]
        like[rows[n]] = f"{ids[twin]} ({splits[twin]}, {twins.apart[n]} bits apart)"
    return like


def _captions(tables: Tables) -> pd.DataFrame:
    table, images = tables["captions"], tables["images"]
    plain = _plain(table["text"])
    frame = table.to_pandas()
    split_of = dict(zip(images["image_id"].to_pylist(), images["split"].to_pylist(), strict=True))
    frame["split"] = [split_of.get(image_id) for image_id in frame["image_id"]]
    frame["words"] = pc.count_substring_regex(plain, r"[^ ]*[\pL\pN][^ ]*").to_pandas()
    frame["plain"] = plain.to_pandas()
    pictures = frame[["plain", "image_id"]].drop_duplicates()["plain"].value_counts()
    frame["pictures"] = frame["plain"].map(pictures)  # that are given this caption
    return frame


def _plain(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Fold case and white space, so that captions which read the same are the same."""
    return pc.utf8_trim_whitespace(pc.replace_substring_regex(pc.utf8_lower(texts), r"\s+", " "))


def _splits(tables: Tables, captions: pd.DataFrame, settings: ValidateSettings) -> pd.DataFrame:
    sizes = tables["images"].to_pandas()["split"].value_counts()
    counts = captions["split"].value_counts()
    words = {
        split: _word_counts(captions.loc[captions["split"] == split, "plain"]) for split in SPLITS
    }
    rows = []
    for split in SPLITS:
        known = words[split].index.isin(words["train"].index)
        total = int(words[split].sum())
        new = words[split][~known]
        rows.append(
            {
                "split": split,
                "pictures": int(sizes.get(split, 0)),
                "least": getattr(settings.min_pictures, split),
                "share": round(float(sizes.get(split, 0) / max(1, sizes.sum())), 4),
                "captions": int(counts.get(split, 0)),
                "unknown_words": round(float(new.sum() / max(1, total)), 4),
                "new_words": ", ".join(new.index[:5]),
            }
        )
    return pd.DataFrame(rows)


def _word_counts(plain: pd.Series) -> pd.Series:
    """Count words by falling count, ties by spelling; punctuation at their ends is left out."""
    words = pc.list_flatten(pc.split_pattern(pa.array(plain, pa.string()), " "))
    counted = pc.utf8_trim(words, EDGES).value_counts()
    counts = pd.Series(counted.field(1).to_numpy(), counted.field(0).to_pylist(), dtype="int64")
    counts = counts.drop("", errors="ignore").sort_index()
    return counts.sort_values(ascending=False, kind="stable")


def _left_out(tables: Tables) -> pd.DataFrame:
    dropped = tables["dropped"].to_pandas()
    lost = dropped[~dropped["reason"].isin(BY_CHOICE)]
    rows = []
    for kind, table in (("image", "images"), ("caption", "captions")):
        reasons = lost.loc[lost["kind"] == kind, "reason"].value_counts(sort=False).sort_index()
        read = len(tables[table]) + int(reasons.sum())
        rows.append(
            {
                "kind": kind,
                "read": read,
                "left_out": int(reasons.sum()),
                "share": round(float(reasons.sum() / max(1, read)), 6),
                "reasons": ", ".join(f"{name} {count:,}" for name, count in reasons.items()),
            }
        )
    return pd.DataFrame(rows)
