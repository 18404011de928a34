"""Which pictures the report shows: the best, the middle, the worst, and some drawn at random."""

import random
from collections.abc import Sequence

from pipeline.evaluation.predictions import Prediction

RANKED_BY = "cider_d"


def choose(predictions: Sequence[Prediction], number: int, seed: int) -> dict[str, list[int]]:
    """Choose pictures by CIDEr-D of their captions; of the ranked lists, no two share any.

    Args:
        predictions: of a split.
        number: of pictures in each list, at most.
        seed: of those drawn at random.

    Returns:
        places among the predictions by list: "random" first, as the fairest, drawn from all, then
        "best", "median" and "worst", which are absent where no caption is scored.
    """
    places = sorted(range(len(predictions)), key=lambda place: predictions[place].image_id)
    drawn = random.Random(seed).sample(places, min(number, len(places)))
    scored = [place for place in places if RANKED_BY in predictions[place].scores]
    ranked = sorted(scored, key=lambda place: -predictions[place].scores[RANKED_BY])
    if not ranked:
        return {"random": drawn}
    return {"random": drawn, **_ranked(ranked, min(number, -(-len(ranked) // 3)))}


def _ranked(ranked: Sequence[int], number: int) -> dict[str, list[int]]:
    """Take the two ends and the middle of a list of at least one, without overlap."""
    best, rest = list(ranked[:number]), list(ranked[number:])
    worst = list(reversed(rest[-number:])) if rest else []
    middle = rest[: len(rest) - len(worst)]
    first = max(0, (len(middle) - number) // 2)
    found = {"best": best, "median": middle[first : first + number], "worst": worst}
    return {name: places for name, places in found.items() if places}
