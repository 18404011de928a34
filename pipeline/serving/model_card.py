"""What the page tells about the model: what it is, how good, and what not to expect of it."""

from pathlib import Path
from typing import Any, NamedTuple

from pipeline.captioner.bundle import ENCODER, read_description
from pipeline.evaluation.metrics_file import not_metrics, other_tokens, read_metrics
from pipeline.images.spec import read_spec
from pipeline.reporting.labels import SPLITS, label
from pipeline.text.marks import MARKS

# Scores that are shown, as far as metrics.json has them: its key, what it is multiplied by, and its
# digits.
SCORES = (
    ("bleu_4", 100, 1),
    ("meteor", 100, 1),
    ("rouge_l", 100, 1),
    ("cider_d", 1, 2),
    ("spice", 100, 1),
    ("fact_accuracy", 100, 1),
)


class Score(NamedTuple):
    """One score with its 95% interval, as texts; `interval` is "" where there is none."""

    name: str
    value: str
    interval: str


class ModelCard(NamedTuple):
    """What is told about a model.

    Attributes:
        facts: name and value of each, for people.
        scores: that `evaluate` found.
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
        ("Network for pictures", f"{spec.layered}, {spec.side} x {spec.side} pixels"),
        (
            "Its weights",
            "trained on the captions' words" if spec.source == "train" else spec.source,
        ),
        ("Features of a picture", shape),
        ("Fingerprint of the network", spec.fingerprint[:12]),
    )
    if metrics is None:
        return ModelCard(facts, (), 0, LIMITS)
    found = read_metrics(metrics)
    scores, pictures = _scores(metrics, found)
    told = (
        ("Its scores", other_tokens(found)),
        ("They are of pictures of", SPLITS.get(found.get("split", ""))),
    )
    more = tuple((name, value) for name, value in told if value)
    return ModelCard((*facts, *more), scores, pictures, LIMITS)


def _scores(path: Path, found: dict[str, Any]) -> tuple[tuple[Score, ...], int]:
    try:
        scores = tuple(_score(found, *score) for score in SCORES if score[0] in found)
        return scores, int(found.get("scored_pictures", found["pictures"]))
    except (ValueError, TypeError, LookupError) as error:
        raise not_metrics(path, error) from error


def _score(found: dict[str, Any], key: str, scale: int, digits: int) -> Score:
    def told(key: str) -> str:
        return f"{found[key] * scale:.{digits}f}"

    both = f"{key}_low" in found and f"{key}_high" in found
    interval = f"{told(f'{key}_low')} to {told(f'{key}_high')}" if both else ""
    return Score(label(key), told(key), interval)
