"""Captions by the split of their picture."""

import pyarrow as pa

from pipeline.tables import SPLITS


def tokens_by_split(images: pa.Table, captions: pa.Table) -> dict[str, list[list[str]]]:
    """Gather the tokens of each split's captions, in the order of the table.

    Args:
        images: rows of `tables.IMAGES`.
        captions: rows of `tables.CLEAN_CAPTIONS`.
    """
    split_of = dict(zip(images["image_id"].to_pylist(), images["split"].to_pylist(), strict=True))
    tokens: dict[str, list[list[str]]] = {split: [] for split in SPLITS}
    pairs = zip(captions["image_id"].to_pylist(), captions["tokens"].to_pylist(), strict=True)
    for image_id, words in pairs:
        tokens[split_of[image_id]].append(words)
    return tokens
