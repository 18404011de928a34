"""Try decoding settings on one split: which beam width and length penalty score best.

The length penalty acts inside the beam search, on which captions it keeps and when it stops: so
every pair of settings is searched for itself. Greedy search (a beam of 1) has no penalty and is
searched once. The weight of consensus acts on what was found: of the weights, each pair tells the
best, without being searched again.

Only scores that need no METEOR are worked out: BLEU, ROUGE-L and CIDEr-D take a second for each
pair.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from pipeline.captioner.captioner import SearchSettings
from pipeline.errors import InputError
from pipeline.evaluation.bleu import corpus_bleu, count
from pipeline.evaluation.cider import CiderD
from pipeline.evaluation.rouge import rouge_l
from pipeline.evaluation.split import Candidates, Searcher, Split
from pipeline.evaluation.tokenise import split_spaces, tokenise
from pipeline.evaluation.tokens import Captions, References
from pipeline.params import Settings

log = logging.getLogger(__name__)

SCORES = ("bleu_1", "bleu_4", "rouge_l", "cider_d")
Pair = tuple[int, float]  # beam width, length penalty
Trial = tuple[Pair, float]  # and the weight of consensus
Row = dict[str, Any]  # a pair, its scores, and the mean length of its captions


class SweepSettings(Settings):
    """What is tried."""

    beam_widths: list[Annotated[int, Field(ge=1, le=100)]] = Field(min_length=1)
    length_penalties: list[Annotated[float, Field(ge=0, le=5)]] = Field(min_length=1)
    consensus: list[Annotated[float, Field(ge=0, le=1000)]] = Field(min_length=1)
    max_words: int = Field(ge=1, le=200)  # bound on a caption's words
    metric: Literal["bleu_1", "bleu_4", "rouge_l", "cider_d"]  # what the best is best at


def try_all(searcher: Searcher, split: Split, settings: SweepSettings) -> tuple[list[Row], str]:
    """Search and score a split's captions by every pair of settings.

    Returns:
        a row a pair with its best weight of consensus, by rising width and penalty, and how the
        captions were tokenised, see `tokenise`.

    Raises:
        InputError: no picture of the split has captions, one has no features, or the bundle
            knows no consensus.
    """
    captioned = _captioned(split)
    pairs = _grid(settings)
    weights = sorted(set(settings.consensus))
    searcher.captioner.check_consensus(max(weights))
    found: dict[Trial, Mapping[str, Candidates]] = {}
    for pair in dict.fromkeys(_searched(pair) for pair in pairs):
        captions = _search(searcher, captioned, pair, settings.max_words)
        ordered = searcher.by_consensus(captions, weights)
        found |= {(pair, one): group for one, group in zip(weights, ordered, strict=True)}
    scores, tokenisation = _score(found, captioned)
    tried = [[_row(pair, one, scores[_searched(pair), one]) for one in weights] for pair in pairs]
    return [best(rows, settings.metric) for rows in tried], tokenisation


def best(rows: Sequence[Row], metric: str) -> Row:
    """Find the row with the best score; of equal ones the first, which is the cheapest search."""
    return max(rows, key=lambda row: row[metric])


def _grid(settings: SweepSettings) -> list[Pair]:
    """Every pair, in the order of rising width and penalty."""
    return [
        (width, penalty)
        for width in sorted(set(settings.beam_widths))
        for penalty in sorted(set(settings.length_penalties))
    ]


def _searched(pair: Pair) -> Pair:
    """The pair that stands for this one: greedy search has no penalty."""
    width, _ = pair
    return (width, 0.0) if width == 1 else pair


def _captioned(split: Split) -> Split:
    """Leave out pictures that nobody has captioned."""
    kept = [row for row in split.images if row["image_id"] in split.references]
    if not kept:
        raise InputError(
            f"sweep: expected captions of pictures of split {split.name!r}. Received: "
            f"{len(split.images)} pictures, none of them with captions"
        )
    return Split(split.name, kept, split.references)


def _search(
    searcher: Searcher, split: Split, pair: Pair, max_words: int
) -> Mapping[str, Candidates]:
    width, penalty = pair
    settings = SearchSettings.plain(beam_width=width, length_penalty=penalty, max_words=max_words)
    found = searcher.caption(split.ids, settings)
    log.info("sweep: beam width %d, length penalty %g: %d pictures", width, penalty, len(found))
    return found


def _score(
    found: Mapping[Trial, Mapping[str, Candidates]], split: Split
) -> tuple[dict[Trial, dict[str, float]], str]:
    """Score what each trial found; all texts are tokenised at once."""
    groups = [split.references[image_id] for image_id in split.ids]
    for captions in found.values():
        groups.append([captions[image_id][0].text for image_id in split.ids])
    tokens, tokenisation = tokenise(groups)
    words = [split_spaces(group) for group in tokens]
    references, captions_of = words[: len(split.ids)], words[len(split.ids) :]
    cider = CiderD(references)
    return {
        trial: _scores(captions, references, cider)
        for trial, captions in zip(found, captions_of, strict=True)
    }, tokenisation


def _scores(captions: Captions, references: References, cider: CiderD) -> dict[str, float]:
    bleu = corpus_bleu(count(captions, references))
    return {
        "bleu_1": float(bleu[0]),
        "bleu_4": float(bleu[3]),
        "rouge_l": float(rouge_l(captions, references).mean()),
        "cider_d": float(cider.score(captions).mean()),
        "mean_words": sum(len(caption) for caption in captions) / len(captions),
    }


def _row(pair: Pair, weight: float, scores: Mapping[str, float]) -> Row:
    rounded = {name: round(value, 6) for name, value in scores.items()}
    return {"beam_width": pair[0], "length_penalty": pair[1], "consensus": weight, **rounded}
