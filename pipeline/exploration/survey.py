"""All that `explore` finds out, and what of it goes into metrics.json and the curves of DVC.

metrics.json          by split: `pictures`, `captions`, `words_mean`, `human_cider_d`,
                      `human_bleu_4`, `human_rouge_l`, where there are any; of all splits together:
                      `distinct_words`, `singleton_share` of them, `distinct_caption_share`,
                      `zipf_exponent`, `median_width` and `median_height` in pixels
caption_length.csv    share of the captions of each split by number of words
words.csv             the most frequent words and how often each occurs
zipf.csv              how often the word of a rank occurs; logarithms too, as DVC's axes are linear
human_agreement.csv   share of the pictures of each split by CIDEr-D of its captions, in bins
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.evaluation.leave_one_out import BEST
from pipeline.evaluation.tokens import FloatArray, IntArray
from pipeline.exploration.agreement import AgreedWord, Agreement, agree, agreed_words
from pipeline.exploration.corpus import Corpus, read_corpus
from pipeline.exploration.counts import (
    Frequencies,
    Sizes,
    count_sizes,
    frequencies,
    rank_curve,
    shares,
    zipf_exponent,
)
from pipeline.exploration.settings import ExploreSettings
from pipeline.tables import SPLITS

ORDERS = 3  # words, pairs and triples
BIN = 0.25  # of CIDEr-D
WORD_SHARE = 0.02  # of the pictures: words in fewer are not asked whether people agree on them
DIGITS = 6  # of what is written


@dataclass(frozen=True)
class Survey:
    """What is known of a data set."""

    image_ids: list[str]  # (n,) of the rows of images.parquet
    corpus: Corpus
    frequencies: list[Frequencies]  # of words, pairs and triples
    sizes: Sizes
    widths: IntArray  # (n,) pixels
    heights: IntArray  # (n,)
    agreement: Mapping[str, Agreement]  # by split; one without has no entry
    agreed_words: list[AgreedWord]  # of frequent words, the most agreed upon first

    def pictures_in(self, split: str) -> int:
        """Pictures of a split, those without captions included."""
        return int((self.corpus.picture_split == SPLITS.index(split)).sum())

    def lengths_in(self, split: str) -> IntArray:
        """Lengths in words of a split's captions."""
        return self.corpus.lengths[self.corpus.split == SPLITS.index(split)]

    @property
    def captioned(self) -> list[str]:
        """Splits with captions."""
        return [split for split in SPLITS if len(self.lengths_in(split))]


def survey(images: pa.Table, captions: pa.Table, settings: ExploreSettings) -> Survey:
    """Count and score what is in the tables.

    Args:
        images: rows of `tables.IMAGES`.
        captions: rows of `tables.CLEAN_CAPTIONS`.
        settings: how much of it.

    Raises:
        InputError: as `read_corpus`.
    """
    corpus = read_corpus(images, captions)
    image_ids = images["image_id"].to_pylist()
    widths = images["width"].to_numpy().astype(np.int64)
    heights = images["height"].to_numpy().astype(np.int64)
    found = {
        split: agree(corpus, image_ids, place, settings.agreement_pictures, settings.seed)
        for place, split in enumerate(SPLITS)
    }
    return Survey(
        image_ids=image_ids,
        corpus=corpus,
        frequencies=frequencies(corpus, ORDERS, settings.top_words),
        sizes=count_sizes(widths, heights),
        widths=widths,
        heights=heights,
        agreement={split: agreement for split, agreement in found.items() if agreement},
        agreed_words=agreed_words(corpus, WORD_SHARE),
    )


def metrics(found: Survey) -> dict[str, Any]:
    """Choose the numbers to compare between runs."""
    words = found.frequencies[0]
    exponent = zipf_exponent(words.counts)
    distinct = found.corpus.distinct_captions()
    return {
        "pictures": {split: found.pictures_in(split) for split in SPLITS},
        "captions": {split: len(found.lengths_in(split)) for split in SPLITS},
        "words_mean": {
            split: _rounded(found.lengths_in(split).mean()) for split in found.captioned
        },
        "distinct_words": len(words.counts),
        "singleton_share": _rounded(words.once / len(words.counts)) if len(words.counts) else 0.0,
        "distinct_caption_share": _rounded(distinct / len(found.corpus.lengths)),
        "median_width": _rounded(np.median(found.widths)),
        "median_height": _rounded(np.median(found.heights)),
        **({} if exponent is None else {"zipf_exponent": _rounded(exponent)}),
        **_human(found.agreement),
    }


def _human(agreement: Mapping[str, Agreement]) -> dict[str, dict[str, float]]:
    if not agreement:
        return {}
    return {
        "human_cider_d": {split: _rounded(one.cider_d) for split, one in agreement.items()},
        "human_bleu_4": {split: _rounded(one.bleu_4) for split, one in agreement.items()},
        "human_rouge_l": {split: _rounded(one.rouge_l) for split, one in agreement.items()},
    }


Rows = list[list[object]]  # the first is the header


def curves(found: Survey) -> dict[str, Rows]:
    """Gather what DVC draws: name of a CSV file -> its rows."""
    return {
        "caption_length.csv": _by_split(
            "words", {split: shares(found.lengths_in(split)) for split in SPLITS}, step=1, first=0
        ),
        "words.csv": [["word", "count"], *([word, n] for word, n in found.frequencies[0].top)],
        "zipf.csv": _ranks(found.frequencies[0].counts),
        "human_agreement.csv": _by_split(
            "cider_d", histograms(found.agreement), step=BIN, first=BIN / 2
        ),
    }


def histograms(agreement: Mapping[str, Agreement]) -> dict[str, FloatArray]:
    """Share of a split's pictures by their CIDEr-D, in bins of `BIN` from 0 on."""
    edges = np.arange(0, BEST + BIN, BIN)
    last = max((one.picture_scores.max() for one in agreement.values()), default=0.0)
    bins = min(int(last / BIN) + 1, len(edges) - 1)
    return {
        split: np.histogram(np.minimum(one.picture_scores, BEST), edges)[0][:bins]
        / len(one.pictures)
        for split, one in agreement.items()
    }


def _by_split(name: str, columns: Mapping[str, FloatArray], step: float, first: float) -> Rows:
    """Put columns of shares side by side; a split without any has zeros."""
    longest = max((len(column) for column in columns.values()), default=0)
    rows: Rows = [[name, *SPLITS]]
    for place in range(longest):
        own = (_at(columns.get(split, np.zeros(0)), place) for split in SPLITS)
        rows.append([first + step * place, *own])
    return rows


def _at(column: FloatArray, place: int) -> float:
    return _rounded(column[place]) if place < len(column) else 0.0


def _ranks(counts: IntArray) -> Rows:
    rows: Rows = [["rank", "count", "log10_rank", "log10_count"]]
    for rank, count in zip(*rank_curve(counts), strict=True):
        rows.append([int(rank), int(count), _rounded(np.log10(rank)), _rounded(np.log10(count))])
    return rows


def _rounded(value: float | np.floating[Any]) -> float:
    return round(float(value), DIGITS)


def extremes(agreement: Agreement, number: int) -> tuple[list[int], list[int]]:
    """Find the pictures whose captions are most alike, and least, the most telling first.

    Returns:
        Places in `agreement.pictures`. No picture is in both lists; of an odd one the first has it.
    """
    ranked: Sequence[int] = np.argsort(-agreement.picture_scores, kind="stable").tolist()
    most = ranked[: min(number, -(-len(ranked) // 2))]
    return list(most), list(reversed(ranked[len(most) :][-number:]))
