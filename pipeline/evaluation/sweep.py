"""Try decoding settings on one split: which beam width, length penalty and guide score best.

Length penalty and guide act inside the beam search, on which captions it keeps and when it stops:
so every three settings are searched for themselves. Greedy search (a beam of 1) has no penalty,
leaves nothing for consensus to choose, and is searched once a guide. The weight of consensus acts
on what was found: of the weights, each search tells the best, without being done again.

Only scores that need no METEOR are worked out: BLEU, ROUGE-L and CIDEr-D take a second for each
search. Their mean chooses a search that is good at them all, where CIDEr-D alone would give much of
the others for a little of it.
"""

import logging
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field

from pipeline.captioner.captioner import Captioner, SearchSettings
from pipeline.captioner.search.settings import MOST_WORDS
from pipeline.errors import InputError
from pipeline.evaluation.bleu import corpus_bleu, count
from pipeline.evaluation.cider import CiderD
from pipeline.evaluation.rouge import rouge_l
from pipeline.evaluation.split import Candidates, ScoredSplit, Searcher
from pipeline.evaluation.tokenise import split_spaces, tokenise
from pipeline.evaluation.tokens import Captions, References
from pipeline.params import Settings

log = logging.getLogger(__name__)

SCORES = ("bleu_1", "bleu_4", "rouge_l", "cider_d", "mean_score")
MEANT = ("bleu_4", "rouge_l", "cider_d")  # that `mean_score` is the mean of
Row = dict[str, Any]  # a trial, its scores, and the mean length of its captions


class Tried(NamedTuple):
    """What is searched for itself."""

    beam_width: int
    length_penalty: float
    guide: float


Trial = tuple[Tried, float]  # and the weight of consensus


class SweepSettings(Settings):
    """What is tried."""

    beam_widths: list[Annotated[int, Field(ge=1, le=100)]] = Field(min_length=1)
    length_penalties: list[Annotated[float, Field(ge=0, le=5)]] = Field(min_length=1)
    guides: list[Annotated[float, Field(ge=0, le=1000)]] = Field(min_length=1)
    consensus: list[Annotated[float, Field(ge=0, le=1000)]] = Field(min_length=1)
    max_words: int = Field(ge=1, le=MOST_WORDS)  # bound on a caption's words
    ensemble: bool  # of several seeds, all together, as evaluate.ensemble; else the best of them
    # What the best is best at.
    metric: Literal["bleu_1", "bleu_4", "rouge_l", "cider_d", "mean_score"]


def try_all(
    searcher: Searcher, split: ScoredSplit, settings: SweepSettings
) -> tuple[list[Row], str]:
    """Search and score a split's captions by all settings, each with each.

    Returns:
        a row a search and weight of consensus, by rising width, penalty, guide and weight, and how
        the captions were tokenised, see `tokenise`.

    Raises:
        InputError: no picture of the split has captions, one has no features, or the bundle
            knows no consensus.
    """
    captioned = _captioned(split)
    grid = _grid(settings)
    weights = sorted(set(settings.consensus))
    searcher.captioner.check_consensus(max(*weights, *settings.guides))
    captioner = searcher.captioner if settings.ensemble else searcher.members[0]
    found: dict[Trial, dict[str, str]] = {}  # the best alone, of all that were found
    for tried in dict.fromkeys(_searched(tried) for tried in grid):
        captions = _search(searcher, captioner, captioned, tried, settings.max_words)
        own = _weights(tried, weights)
        ordered = searcher.by_consensus(captions, own)
        for one, group in zip(own, ordered, strict=True):
            found[tried, one] = {image_id: first.text for image_id, (first, *_) in group.items()}
    scores, tokenisation = _score(found, captioned)
    rows = [
        _row(tried, one, scores[_searched(tried), one])
        for tried in grid
        for one in _weights(tried, weights)
    ]
    return rows, tokenisation


def best(rows: Sequence[Row], metric: str) -> Row:
    """Find the row with the best score; of equal ones the first, which is the cheapest search."""
    return max(rows, key=lambda row: row[metric])


def _grid(settings: SweepSettings) -> list[Tried]:
    """All of them, in the order of rising width, penalty and guide."""
    widths, penalties = sorted(set(settings.beam_widths)), sorted(set(settings.length_penalties))
    every = product(widths, penalties, sorted(set(settings.guides)))
    return [Tried(*one) for one in every]


def _searched(tried: Tried) -> Tried:
    """The search that stands for this one: greedy search has no penalty."""
    return tried._replace(length_penalty=0.0) if tried.beam_width == 1 else tried


def _weights(tried: Tried, weights: list[float]) -> list[float]:
    """The weights of consensus that make a difference: a beam of 1 leaves nothing to choose."""
    return weights if tried.beam_width > 1 else [0.0]


def _captioned(split: ScoredSplit) -> ScoredSplit:
    """Leave out pictures that nobody has captioned."""
    kept = [row for row in split.images if row["image_id"] in split.references]
    if not kept:
        raise InputError(
            f"sweep: expected captions of pictures of split {split.name!r}. Received: "
            f"{len(split.images)} pictures, none of them with captions"
        )
    return ScoredSplit(split.name, kept, split.references)


def _search(
    searcher: Searcher, captioner: Captioner, split: ScoredSplit, tried: Tried, max_words: int
) -> Mapping[str, Candidates]:
    width, penalty, guide = tried
    settings = SearchSettings.plain(beam_width=width, length_penalty=penalty, max_words=max_words)
    guided = settings.model_copy(update={"guide": guide})
    found = searcher.caption(split.ids, guided, captioner)
    told = f"beam width {width}, length penalty {penalty:g}, guide {guide:g}"
    log.info("sweep: %s: %d pictures", told, len(found))
    return found


def _score(
    found: Mapping[Trial, Mapping[str, str]], split: ScoredSplit
) -> tuple[dict[Trial, dict[str, float]], str]:
    """Score what each trial found; all texts are tokenised at once."""
    groups = [split.references[image_id] for image_id in split.ids]
    for captions in found.values():
        groups.append([captions[image_id] for image_id in split.ids])
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
    scores = {
        "bleu_1": float(bleu[0]),
        "bleu_4": float(bleu[3]),
        "rouge_l": float(rouge_l(captions, references).mean()),
        "cider_d": float(cider.score(captions).mean()),
    }
    return {
        **scores,
        "mean_score": sum(scores[name] for name in MEANT) / len(MEANT),
        "mean_words": sum(len(caption) for caption in captions) / len(captions),
    }


def _row(tried: Tried, weight: float, scores: Mapping[str, float]) -> Row:
    rounded = {name: round(value, 6) for name, value in scores.items()}
    return {**tried._asdict(), "consensus": weight, **rounded}
