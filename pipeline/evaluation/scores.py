"""The official scores of a set of captions, on PTB tokens, as COCO's evaluation computes them.

What cannot be computed here is missing with its reason, and takes no other score with it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.errors import InputError
from pipeline.evaluation.bleu import bleu
from pipeline.evaluation.cider import CiderD
from pipeline.evaluation.java import MetricUnavailable
from pipeline.evaluation.meteor import meteor
from pipeline.evaluation.ptb import ptb_tokenize
from pipeline.evaluation.rouge import rouge_l
from pipeline.evaluation.tokens import Captions, FloatArray, References

METRICS = ("bleu_1", "bleu_2", "bleu_3", "bleu_4", "meteor", "rouge_l", "cider_d")


@dataclass(frozen=True)
class Scores:
    """Scores of captions: BLEU, METEOR and ROUGE-L in [0, 1], CIDEr-D from 0 to 10."""

    corpus: dict[str, float]  # by metric, of METRICS; one that is missing has no entry
    pictures: dict[str, dict[str, float]]  # by image id, sorted, then by metric
    missing: dict[str, str]  # metric -> why it could not be computed
    tokenisation: str  # "ptb", or "clean (PTB unavailable: <reason>)": not comparable to others'
    without_references: list[str]  # image ids with a prediction, which is not scored
    without_prediction: list[str]  # image ids with references, which count for nothing


def unscored(predictions: Mapping[str, str]) -> Scores:
    """Say that captions cannot be scored, as nobody has captioned their pictures."""
    reason = "no picture of the split has captions to compare with"
    return Scores({}, {}, dict.fromkeys(METRICS, reason), "none", sorted(predictions), [])


@dataclass(frozen=True)
class _Tokenised:
    captions: Captions
    references: References
    tokenisation: str


def score(predictions: Mapping[str, str], references: Mapping[str, Sequence[str]]) -> Scores:
    """Tokenise and score one caption a picture against the picture's references.

    Args:
        predictions: image id -> caption, as text.
        references: image id -> captions that people wrote, as text. A picture with none is as one
            that is not listed.

    Raises:
        InputError: there are no predictions, or none of a picture with references.
    """
    known = {image_id for image_id, group in references.items() if group}
    images = sorted(known & predictions.keys())
    _check_any(len(images), len(predictions), len(known))
    tokenised = _tokenise(
        [predictions[image_id] for image_id in images],
        [list(references[image_id]) for image_id in images],
    )
    corpus, columns, missing = _compute(tokenised)
    return Scores(
        corpus=corpus,
        pictures={
            image_id: {metric: float(column[row]) for metric, column in columns.items()}
            for row, image_id in enumerate(images)
        },
        missing=missing,
        tokenisation=tokenised.tokenisation,
        without_references=sorted(predictions.keys() - known),
        without_prediction=sorted(known - predictions.keys()),
    )


def _check_any(scored: int, predictions: int, known: int) -> None:
    if not predictions:
        raise InputError("predictions: expected at least one caption to score. Received: none")
    if not scored:
        raise InputError(
            f"predictions: expected captions of pictures with references. Received: {predictions} "
            f"of other pictures ({known} have references). Do the image ids have the same form?"
        )


def _tokenise(captions: list[str], references: list[list[str]]) -> _Tokenised:
    """Tokenise all texts at once: by PTB, or else as the captions that were trained on."""
    texts = [*captions, *(text for group in references for text in group)]
    try:
        tokens, tokenisation = ptb_tokenize(texts), "ptb"
    except MetricUnavailable as reason:
        from pipeline.text.clean import tokenise  # NLTK: half a second that is needed here alone

        tokens = [tokenise(text) for text in texts]
        tokenisation = f"clean (PTB unavailable: {reason})"
    rest = iter(tokens[len(captions) :])
    return _Tokenised(
        captions=tokens[: len(captions)],
        references=[[next(rest) for _ in group] for group in references],
        tokenisation=tokenisation,
    )


def _compute(
    tokenised: _Tokenised,
) -> tuple[dict[str, float], dict[str, FloatArray], dict[str, str]]:
    """Compute every metric: of the corpus, of each picture (n,), and reasons for missing ones."""
    captions, references = tokenised.captions, tokenised.references
    corpus: dict[str, float] = {}
    pictures: dict[str, FloatArray] = {}
    missing: dict[str, str] = {}
    # pycocoevalcap splits a token that has a no-break space in it for BLEU and CIDEr-D alone.
    words = [_split(caption) for caption in captions]
    other_words = [[_split(reference) for reference in group] for group in references]
    by_order = bleu(words, other_words)
    for order in range(4):
        corpus[f"bleu_{order + 1}"] = float(by_order.corpus[order])
        pictures[f"bleu_{order + 1}"] = by_order.pictures[:, order]
    try:
        aligned = meteor(captions, references)
        corpus["meteor"], pictures["meteor"] = aligned.corpus, aligned.pictures
    except MetricUnavailable as reason:
        missing["meteor"] = str(reason)
    pictures["rouge_l"] = rouge_l(captions, references)
    pictures["cider_d"] = CiderD(other_words).score(words)
    for metric in ("rouge_l", "cider_d"):
        corpus[metric] = float(pictures[metric].mean())
    return corpus, pictures, missing


def _split(tokens: Sequence[str]) -> list[str]:
    return " ".join(tokens).split()
