"""Captions by the split of their picture."""

import pyarrow as pa

from pipeline.errors import InputError
from pipeline.tables import SPLITS


def tokens_by_split(images: pa.Table, captions: pa.Table) -> dict[str, list[list[str]]]:
    """Gather the tokens of each split's captions, in the order of the table.

    Args:
        images: rows of `tables.IMAGES`.
        captions: rows of `tables.CLEAN_CAPTIONS`.

    Raises:
        InputError: a caption is of a picture that is not listed, or that is in no split.
    """
    split_of = dict(zip(images["image_id"].to_pylist(), images["split"].to_pylist(), strict=True))
    tokens: dict[str, list[list[str]]] = {split: [] for split in SPLITS}
    pairs = zip(captions["image_id"].to_pylist(), captions["tokens"].to_pylist(), strict=True)
    for image_id, words in pairs:
        split = split_of.get(image_id)
        if split not in tokens:
            raise InputError(
                f"captions: expected a listed picture in one of {', '.join(SPLITS)} for each. "
                f"Received: a caption of {image_id!r}, in {split or 'no split'}. The tables do not "
                "belong together; run `dvc repro` from `ingest` on"
            )
        tokens[split].append(words)
    return tokens
