"""The side file `facts.jsonl`: what is known to be true of a picture, for data sets that know it.

One line a picture: {"image": "00001.png", "facts": {...}}; the name as in the lists. *scenes* has
it (pipeline/datasets/scenes); a data set of photographs does not, and needs none.
"""

import json
from pathlib import Path
from typing import Any

from pipeline.datasets.layout import Listing, Reason, is_storable
from pipeline.datasets.lines import numbered_lines
from pipeline.datasets.pictures import id_of

NAME = "facts.jsonl"


def add_facts(raw: Path, listing: Listing) -> None:
    """Read the facts of the pictures in `listing` into it; do nothing where there is no file.

    Lines that cannot be read are dropped; facts of pictures that are not listed as well.

    Raises:
        InputError: the file cannot be read.
    """
    if not (raw / NAME).exists():
        return
    listed = {image.image_id for image in listing.images}
    for number, line in numbered_lines(raw / NAME):
        source = f"{NAME}:{number}"
        entry = _parse(line)
        if entry is None:
            reason: Reason = "broken_line" if is_storable(line) else "encoding"
            listing.drop("image", NAME, source, reason, line)
            continue
        name, facts = entry
        if id_of(name) not in listed:
            listing.drop("image", name, source, "no_split", line)
        elif id_of(name) in listing.facts:
            listing.drop("image", name, source, "duplicate_id", line)
        else:
            listing.facts[id_of(name)] = facts


def _parse(line: str) -> tuple[str, str] | None:
    """Read a line as the picture's name and its facts, written with sorted keys."""
    try:
        entry: Any = json.loads(line)
        facts = json.dumps(entry["facts"], sort_keys=True, ensure_ascii=False, allow_nan=False)
        name = entry["image"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    if not isinstance(name, str) or not isinstance(entry["facts"], dict):
        return None
    return (name, facts) if is_storable(name + facts) else None
