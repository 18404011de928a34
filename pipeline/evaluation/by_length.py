"""Scores by the length of the captions: do long captions fall apart, are short ones too plain?

The scores of a length are those of its captions as a corpus by themselves, but for CIDEr-D, whose
weights are those of all references. A length that few captions have says little.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from pipeline.evaluation.significance import Statistics

COLUMNS = ("bleu_1", "bleu_4", "meteor", "rouge_l", "cider_d")  # one that is missing is left out


def by_length(
    lengths: Sequence[int], statistics: Mapping[str, Statistics]
) -> list[dict[str, float]]:
    """Score the captions of each length that occurs.

    Args:
        lengths: of n captions, in words.
        statistics: of the same captions, by metric, n rows each.

    Returns:
        for each length, by rising length: `words`, `pictures` and the scores.
    """
    own = np.asarray(lengths)
    rows = []
    for words in np.unique(own):
        chosen = own == words
        row: dict[str, float] = {"words": int(words), "pictures": int(chosen.sum())}
        for name in COLUMNS:
            if name in statistics:
                values, combine = statistics[name]
                row[name] = Statistics(values[chosen], combine).score()
        rows.append(row)
    return rows
