"""METEOR of captions, by version 1.5 of its authors' program, as `pycocoevalcap` runs it.

Source: Denkowski and Lavie 2014, "Meteor Universal: language specific translation evaluation for
any target language": words are aligned by form, stem, WordNet synonyms and paraphrases; precision
and recall are weighed by kind of match, and fragmentation is penalised.

The program answers a line `SCORE ||| reference ||| ... ||| caption` with the statistics of one
picture, and a line `EVAL ||| statistics ||| ...` with the score of each picture, then that of all.

The score of all is worked out from the sums of the pictures' statistics. `combine` does the same
sum as the program does, so that resamples of the pictures can be scored without it. A picture's
statistics, where `c` is of the caption and `r` of the reference that scores best:

    c r        words                            columns 0, 1
    c r        function words                   2, 3
    c r c r    content words that match, and function words that match, by each of the four
               modules: exact, stem, synonym, paraphrase                     4 to 19
    1          chunks: runs of matches in the same order                    20
    c r        words that match, of all modules                             21, 22

A caption that is a reference word for word is in one piece: its only chunk counts as none, in its
own score and in sums.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.evaluation.java import conversation, with_a_restart
from pipeline.evaluation.tokens import Captions, FloatArray, References, Tokens, check_parallel

_FOLDER = "meteor"
# The paraphrases are named, for the program looks for them in vain below a folder with a space.
_PARAPHRASES = ("-a", "data/paraphrase-en.gz")
_ARGUMENTS = ("-jar", "meteor-1.5.jar", "-", "-", "-stdio", "-l", "en", "-norm", *_PARAPHRASES)
_LINE_ENDS = str.maketrans("\n\r", "  ")
_START_SECONDS = 120.0  # it takes 5 s to read its paraphrases
_PICTURE_SECONDS = 0.1  # it takes 3 ms
STATISTICS = 23  # of a picture

# What version 1.5 of the program has for English: section 4 of the paper, tuned on people's
# rankings of translations.
_ALPHA = 0.85  # weight of recall, against precision
_BETA, _GAMMA = 0.2, 0.6  # shape, and size, of the penalty on fragments
_DELTA = 0.75  # weight of content words, against function words
_MODULES = np.array([1.0, 0.6, 0.8, 0.6])  # weight of a match: exact, stem, synonym, paraphrase


@dataclass(frozen=True)
class Meteor:
    """METEOR in [0, 1]. The corpus score is not the mean of the pictures' scores."""

    corpus: float
    pictures: FloatArray  # (n,)
    statistics: FloatArray  # (n, 23) what `combine` takes the sums of


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
    return with_a_restart(lambda: _talk(captions, references, allowed))


def combine(sums: FloatArray) -> FloatArray:
    """Score sets of pictures from the sums of their statistics: (r, 23) -> (r,).

    The same arithmetic as the program's `computeMetrics`. Where nothing matches the score is 0.
    """
    words, function_words = sums[:, 0:2], sums[:, 2:4]  # (r, 2): of the caption, the reference
    matches = sums[:, 4:20].reshape(-1, len(_MODULES), 2, 2)  # (r, module, content or not, 2)
    chunks, matched = sums[:, 20], sums[:, 21:23]
    kinds = np.array([_DELTA, 1 - _DELTA])
    weighted = np.einsum("rmks,m,k->rs", matches, _MODULES, kinds)  # (r, 2)
    size = _DELTA * (words - function_words) + (1 - _DELTA) * function_words
    with np.errstate(divide="ignore", invalid="ignore"):
        precision, recall = (weighted / size).T
        mean = 1 / ((1 - _ALPHA) / precision + _ALPHA / recall)
        fragments = chunks / matched.mean(axis=1)
        scores = mean * (1 - _GAMMA * fragments**_BETA)
    return np.maximum(np.nan_to_num(scores, nan=0.0), 0.0)


def _talk(captions: Captions, references: References, timeout: float) -> Meteor:
    """Have all pictures scored in one conversation."""
    with conversation(_FOLDER, _ARGUMENTS, timeout) as talk:
        lines = []
        for caption, group in zip(captions, references, strict=True):
            talk.send(_score_line(caption, group))
            lines.append(talk.receive())
        talk.send(" ||| ".join(["EVAL", *lines]))
        pictures = [float(talk.receive()) for _ in captions]
        corpus = float(talk.receive())
    return Meteor(corpus, np.array(pictures), _statistics(lines))


def _statistics(lines: Sequence[str]) -> FloatArray:
    """Read the program's statistics, (n, 23), without the chunk of captions in one piece."""
    rows = np.array([[float(number) for number in line.split()] for line in lines])
    in_one_piece = (rows[:, 0:2] == rows[:, 21:23]).all(axis=1) & (rows[:, 20] == 1)
    rows[in_one_piece, 20] = 0
    return rows


def _score_line(caption: Tokens, references: Sequence[Tokens]) -> str:
    return " ||| ".join(["SCORE", *map(_one_line, references), _one_line(caption)])


def _one_line(tokens: Tokens) -> str:
    """Join tokens, without what means something to the program; no PTB token has any of it."""
    return " ".join(tokens).replace("|||", "").translate(_LINE_ENDS)
