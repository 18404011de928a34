"""SPICE of captions, by version 1.0 of its authors' program, as `pycocoevalcap` runs it.

Source: Anderson et al. 2016, "SPICE: semantic propositional image caption evaluation": captions are
parsed into objects, attributes and relations; the score is the F1 of those of the caption against
those of all its references. The corpus score is the mean.

`pycocoevalcap` brings the program, but not all that it needs. A folder that has it all holds

    spice-1.0.jar                               the program, of pycocoevalcap/spice
    lib/*.jar                                   what it uses, of pycocoevalcap/spice/lib
    lib/stanford-corenlp-3.6.0.jar              CoreNLP of 2015-12-09
    lib/stanford-corenlp-3.6.0-models.jar       and its models, 0.5 GB
    lib/nashorn-core-15.*.jar, lib/asm*.jar     the JavaScript by which the program writes its
                                                answer, which Java itself lost in version 15

The program's cache is not used: it needs a native library, and it would make a run depend on
earlier ones.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.evaluation.java import MetricUnavailable, run
from pipeline.evaluation.tokens import Captions, FloatArray, References, Tokens, check_parallel

_NEEDED = (
    "spice-1.0.jar",
    "lib/stanford-corenlp-3.6.0.jar",
    "lib/stanford-corenlp-3.6.0-models.jar",
    "lib/nashorn-core-*.jar",
    "lib/asm*.jar",
)
_HEAP = "-Xmx8G"  # as in pycocoevalcap; it replaces that of java.py
_CLASSES = ("-cp", "spice-1.0.jar:lib/*", "edu.anu.spice.SpiceScorer")
_START_SECONDS = 300.0  # to load its models
_PICTURE_SECONDS = 3.0


def spice(
    captions: Captions, references: References, folder: Path, timeout: float | None = None
) -> FloatArray:
    """Score one caption a picture against the picture's references, as (n,) in [0, 1].

    Args:
        captions: PTB tokens, one caption a picture.
        references: PTB tokens.
        folder: with all that the module's head lists.
        timeout: seconds that Java may take; by default 300, and 3 for each picture.

    Raises:
        InputError: no captions, not one a picture, or a picture without references.
        MetricUnavailable: something is missing from the folder, or the program cannot be run.
    """
    check_parallel(captions, references)
    for needed in _NEEDED:
        if not any(folder.glob(needed)):
            raise MetricUnavailable(
                f"evaluate.spice: {folder} has no {needed}: see pipeline/evaluation/spice.py"
            )
    allowed = _START_SECONDS + _PICTURE_SECONDS * len(captions) if timeout is None else timeout
    with tempfile.TemporaryDirectory() as scratch:
        asked, answered = Path(scratch) / "captions.json", Path(scratch) / "scores.json"
        asked.write_text(json.dumps(_entries(captions, references)), encoding="utf-8")
        files = (str(asked), "-out", str(answered), "-silent")
        run(folder.resolve(), (_HEAP, *_CLASSES, *files), "", allowed)
        return _read(answered, len(captions))


def _entries(captions: Captions, references: References) -> list[dict[str, Any]]:
    """Say what to score, in the program's own form."""
    return [
        {"image_id": number, "test": _text(caption), "refs": [_text(one) for one in group]}
        for number, (caption, group) in enumerate(zip(captions, references, strict=True))
    ]


def _text(tokens: Tokens) -> str:
    return " ".join(tokens)


def _read(path: Path, pictures: int) -> FloatArray:
    """Read the F1 of each picture from the program's answer."""
    try:
        answer = json.loads(path.read_text(encoding="utf-8"))
        scores = {entry["image_id"]: float(entry["scores"]["All"]["f"]) for entry in answer}
        return np.array([scores[number] for number in range(pictures)])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise MetricUnavailable(
            f"SPICE wrote no score of each of {pictures} pictures: {error!r}"
        ) from error
