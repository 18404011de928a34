"""METEOR of captions, by version 1.5 of its authors' program, as `pycocoevalcap` runs it.

Source: Denkowski and Lavie 2014, "Meteor Universal: language specific translation evaluation for
any target language": words are aligned by form, stem, WordNet synonyms and paraphrases; precision
and recall are weighed by kind of match, and fragmentation is penalised.

The program answers a line `SCORE ||| reference ||| ... ||| caption` with the statistics of one
picture, and a line `EVAL ||| statistics ||| ...` with the score of each picture, then that of all.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.evaluation.java import conversation
from pipeline.evaluation.tokens import Captions, FloatArray, References, Tokens, check_parallel

_FOLDER = "meteor"
# The paraphrases are named, for the program looks for them in vain below a folder with a space.
_PARAPHRASES = ("-a", "data/paraphrase-en.gz")
_ARGUMENTS = ("-jar", "meteor-1.5.jar", "-", "-", "-stdio", "-l", "en", "-norm", *_PARAPHRASES)
_LINE_ENDS = str.maketrans("\n\r", "  ")
_START_SECONDS = 120.0  # it takes 5 s to read its paraphrases
_PICTURE_SECONDS = 0.1  # it takes 3 ms


@dataclass(frozen=True)
class Meteor:
    """METEOR in [0, 1]. The corpus score is not the mean of the pictures' scores."""

    corpus: float
    pictures: FloatArray  # (n,)


def meteor(captions: Captions, references: References, timeout: float | None = None) -> Meteor:
    """Score one caption a picture against the picture's references.

    Args:
        captions: PTB tokens, one caption a picture; an empty one scores 0.
        references: PTB tokens.
        timeout: seconds that Java may take; by default 120, and 0.1 for each picture.

    Raises:
        InputError: no captions, not one a picture, or a picture without references.
        MetricUnavailable: the program cannot be run here.
    """
    check_parallel(captions, references)
    allowed = _START_SECONDS + _PICTURE_SECONDS * len(captions) if timeout is None else timeout
    with conversation(_FOLDER, _ARGUMENTS, allowed) as talk:
        statistics = []
        for caption, group in zip(captions, references, strict=True):
            talk.send(_score_line(caption, group))
            statistics.append(talk.receive())
        talk.send(" ||| ".join(["EVAL", *statistics]))
        pictures = [float(talk.receive()) for _ in captions]
        return Meteor(corpus=float(talk.receive()), pictures=np.array(pictures))


def _score_line(caption: Tokens, references: Sequence[Tokens]) -> str:
    return " ||| ".join(["SCORE", *map(_one_line, references), _one_line(caption)])


def _one_line(tokens: Tokens) -> str:
    """Join tokens, without what means something to the program; no PTB token has any of it."""
    return " ".join(tokens).replace("|||", "").translate(_LINE_ENDS)
