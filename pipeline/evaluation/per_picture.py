"""Every score of captions, of each picture and in a form that can be summed over any pictures.

A corpus score is not always the mean of the pictures' scores. What it is worked out from is:

    BLEU        counts of n-grams and lengths       (bleu.py)
    METEOR      its program's statistics            (meteor.py)
    ROUGE-L, CIDEr-D, SPICE     means of the pictures' scores. CIDEr-D's document frequencies
                stay those of all pictures: a resample has the weights of the whole split.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pipeline.evaluation import bleu, meteor
from pipeline.evaluation.cider import CiderD
from pipeline.evaluation.java import MetricUnavailable
from pipeline.evaluation.rouge import rouge_l
from pipeline.evaluation.significance import Statistics, mean_of
from pipeline.evaluation.spice import spice
from pipeline.evaluation.tokenise import split_spaces
from pipeline.evaluation.tokens import Captions, FloatArray, References

METRICS = ("bleu_1", "bleu_2", "bleu_3", "bleu_4", "meteor", "rouge_l", "cider_d", "spice")
# BLEU of one caption, see bleu.py: of a corpus it has no meaning, and no statistics.
SMOOTHED = "bleu_4_smoothed"
NO_SPICE = "evaluate.spice names no folder with its program and models"


@dataclass(frozen=True)
class Measured:
    """Scores of n captions, by metric, of METRICS; one that is missing is in `missing` alone."""

    corpus: dict[str, float]
    pictures: dict[str, FloatArray]  # (n,) each; SMOOTHED as well
    statistics: dict[str, Statistics]  # n rows each, in the order of the captions
    missing: dict[str, str]  # metric -> why it could not be computed


def measure(captions: Captions, references: References, spice_folder: Path | None) -> Measured:
    """Score one caption a picture by every metric.

    Args:
        captions: PTB tokens, one caption a picture.
        references: PTB tokens.
        spice_folder: that of SPICE's program and its models, where there is one.

    Raises:
        InputError: no captions, not one a picture, or a picture without references.
    """
    # pycocoevalcap splits a token that has a no-break space in it for BLEU and CIDEr-D alone.
    words = split_spaces(captions)
    other_words = [split_spaces(group) for group in references]
    counts = bleu.count(words, other_words)
    corpus: dict[str, float] = {}
    pictures: dict[str, FloatArray] = {SMOOTHED: bleu.smoothed_bleu_4(counts)}
    statistics: dict[str, Statistics] = {}
    missing: dict[str, str] = {}
    rows = bleu.statistics(counts)
    by_order = zip(bleu.corpus_bleu(counts), bleu.picture_bleu(counts).T, strict=True)
    for order, (whole, each) in enumerate(by_order, start=1):
        name = f"bleu_{order}"
        corpus[name], pictures[name] = float(whole), each
        statistics[name] = Statistics(rows, partial(bleu.combine, order))
    try:
        aligned = meteor.meteor(captions, references)
        corpus["meteor"], pictures["meteor"] = aligned.corpus, aligned.pictures
        statistics["meteor"] = Statistics(aligned.statistics, meteor.combine)
    except MetricUnavailable as reason:
        missing["meteor"] = str(reason)
    pictures["rouge_l"] = rouge_l(captions, references)
    pictures["cider_d"] = CiderD(other_words).score(words)
    try:
        if spice_folder is None:
            raise MetricUnavailable(NO_SPICE)
        pictures["spice"] = spice(captions, references, spice_folder)
    except MetricUnavailable as reason:
        missing["spice"] = str(reason)
    for name in ("rouge_l", "cider_d", "spice"):
        if name in pictures:
            corpus[name] = float(pictures[name].mean())
            statistics[name] = mean_of(pictures[name])
    return Measured(corpus, pictures, statistics, missing)


def statistics_of(captions: Captions, references: References) -> dict[str, Statistics]:
    """Give the statistics of every metric but SPICE; of METEOR where its program can be run.

    The score of all rows together is the official one.

    Args:
        captions: PTB tokens, one caption a picture.
        references: PTB tokens.

    Raises:
        InputError: as `measure`.
    """
    return measure(captions, references, None).statistics
