"""What papers report on Flickr8k's test split, as marks beside this run's scores.

All are of CNN features and an LSTM or a language model like it, in the tables of Xu et al. 2015
(table 1) and Vinyals et al. 2015; BLEU without METEOR's or CIDEr-D's means that the paper has none.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """A row of a paper's table: scores in [0, 1] by metric."""

    name: str
    source: str
    scores: dict[str, float]


FLICKR8K = (
    Published(
        "Log-bilinear",
        "Kiros et al. 2014, as in Xu et al. 2015",
        {"bleu_1": 0.656, "bleu_2": 0.424, "bleu_3": 0.277, "bleu_4": 0.177, "meteor": 0.1731},
    ),
    Published(
        "Show and Tell (NIC)",
        "Vinyals et al. 2015, as in Xu et al. 2015",
        {"bleu_1": 0.63, "bleu_2": 0.41, "bleu_3": 0.27},
    ),
    Published(
        "Show, Attend and Tell, soft",
        "Xu et al. 2015",
        {"bleu_1": 0.67, "bleu_2": 0.448, "bleu_3": 0.299, "bleu_4": 0.195, "meteor": 0.1893},
    ),
    Published(
        "Show, Attend and Tell, hard",
        "Xu et al. 2015",
        {"bleu_1": 0.67, "bleu_2": 0.457, "bleu_3": 0.314, "bleu_4": 0.213, "meteor": 0.2030},
    ),
)
