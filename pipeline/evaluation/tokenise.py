"""The tokens that scores are worked out from: PTB's, or our own where Java cannot run."""

from collections.abc import Sequence
from itertools import chain

from pipeline.evaluation.java import MetricUnavailable
from pipeline.evaluation.metrics_file import PTB
from pipeline.evaluation.ptb import ptb_tokenize
from pipeline.evaluation.tokens import Captions, Tokens

# What to tell where Java has failed: it is no dependency that DVC knows of.
AGAIN = (
    "DVC keeps this as the result. Once it is mended, run "
    "`dvc repro -s -f evaluate sweep`, then `dvc repro`"
)


def tokenise(groups: Sequence[Sequence[str]]) -> tuple[list[list[Tokens]], str]:
    """Tokenise groups of texts, all at once: by PTB, or else as the captions that were trained on.

    Returns:
        the tokens of each text of each group, and `PTB` or why it is not PTB.
    """
    texts = list(chain.from_iterable(groups))
    tokens: Sequence[Tokens]
    try:
        tokens, tokenisation = ptb_tokenize(texts), PTB
    except MetricUnavailable as reason:
        from pipeline.text.clean import tokenise as plain  # NLTK: half a second, needed here alone

        tokens, tokenisation = [plain(text) for text in texts], f"clean (PTB unavailable: {reason})"
    rest = iter(tokens)
    return [[next(rest) for _ in group] for group in groups], tokenisation


def split_spaces(captions: Captions) -> list[Tokens]:
    """Split tokens at the no-break spaces in them, as `pycocoevalcap` does for BLEU and CIDEr-D."""
    return [" ".join(caption).split() for caption in captions]
