"""What the page tells about the model: what it is, how good, and what not to expect of it."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.captioner.bundle import ENCODER, read_description
from pipeline.errors import InputError
from pipeline.images.spec import read_spec
from pipeline.text.marks import MARKS

# Scores that are shown, as far as metrics.json has them: its key, the name, what it is multiplied
# by, and its digits.
SCORES = (
    ("bleu_4", "BLEU-4", 100, 1),
    ("meteor", "METEOR", 100, 1),
    ("rouge_l", "ROUGE-L", 100, 1),
    ("cider_d", "CIDEr-D", 1, 2),
    ("spice", "SPICE", 100, 1),
    ("fact_accuracy", "true captions", 100, 1),
)
TRAINED = "trained here, on the words of the captions"


class Score(NamedTuple):
    """One score with its 95% interval, as texts; `interval` is "" where there is none."""

    name: str
    value: str
    interval: str


class ModelCard(NamedTuple):
    """What is told about a model.

    Attributes:
        facts: name and value of each, for people.
        scores: of the test split.
        pictures: that the scores are of; 0 without scores.
        limits: a sentence each.
    """

    facts: tuple[tuple[str, str], ...]
    scores: tuple[Score, ...]
    pictures: int
    limits: tuple[str, ...]


LIMITS = (
    "It names only things that were in its training pictures, and calls everything else by the "
    "nearest word that it knows.",
    "Counts, colours, places and whatever people are said to be or to do may be wrong, however "
    "fluent the sentence is. Have a person check what others will rely on.",
    "What is usual in its training captions comes out as usual: who does what, and what belongs "
    "where. It knows nothing of who the people in a picture are.",
    "A probability is that of the whole sentence among all that the model could say. It is no "
    "measure of whether the sentence is true.",
)


def model_card(bundle: Path, words: int, metrics: Path | None) -> ModelCard:
    """Collect what is known.

    Args:
        bundle: its folder.
        words: of its vocabulary, with the marks.
        metrics: `metrics.json` of `evaluate`; None for a card without scores.

    Raises:
        InputError: the bundle is damaged, or `metrics` is not such a file.
    """
    description, spec = read_description(bundle), read_spec(bundle / ENCODER)
    shape = " x ".join(map(str, description.feature_shape))
    facts = (
        ("Decoder", f"{description.decoder.decoder}, {description.decoder.units} units"),
        ("Words it knows", f"{words - len(MARKS):,}"),
        ("Network for pictures", f"{spec.network}, {spec.side} x {spec.side} pixels"),
        (
            "Its weights",
            "trained on the captions' words" if spec.source == "train" else spec.source,
        ),
        ("Features of a picture", shape),
        ("Fingerprint of the network", spec.fingerprint[:12]),
    )
    scores, pictures = ((), 0) if metrics is None else _scores(metrics)
    return ModelCard(facts, scores, pictures, LIMITS)


def _scores(path: Path) -> tuple[tuple[Score, ...], int]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return tuple(_score(found, *score) for score in SCORES if score[0] in found), int(
            found["pictures"]
        )
    except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise InputError(
            f"{path}: expected the scores that `evaluate` writes (metrics.json). Received: "
            f"{' '.join(str(error).split())[:200]}. Name another file, or none"
        ) from error


def _score(found: dict[str, Any], key: str, name: str, scale: int, digits: int) -> Score:
    def told(key: str) -> str:
        return f"{found[key] * scale:.{digits}f}"

    both = f"{key}_low" in found and f"{key}_high" in found
    return Score(name, told(key), f"{told(f'{key}_low')} to {told(f'{key}_high')}" if both else "")
