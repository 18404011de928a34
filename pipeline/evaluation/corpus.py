"""Figures of a set of captions by itself, beside the scores, which do not tell all.

A captioner that says "a dog runs through the grass" of every dog scores well; how many of its
captions are distinct, how many are new, and how many words it uses, tell it apart.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from pipeline.errors import InputError
from pipeline.evaluation.tokens import Captions, Tokens


@dataclass(frozen=True)
class CorpusFigures:
    """What a set of captions is like; shares are in [0, 1]."""

    distinct_share: float  # distinct captions, of all captions
    novel_share: float  # captions that are no training caption, word for word, of all captions
    words_used: int  # distinct words
    vocabulary_share: float  # words of the vocabulary that are used, of the vocabulary
    mean_words: float  # a caption


def describe(
    captions: Captions, training: Iterable[Tokens], vocabulary: Collection[str]
) -> CorpusFigures:
    """Describe captions beside the training captions and the vocabulary they were learnt from.

    Args:
        captions: the words of each caption, by the tokeniser that made `training`.
        training: the words of each training caption.
        vocabulary: the words that can be said, without the marks; may be empty (the share is 0).

    Raises:
        InputError: there are no captions.
    """
    if not captions:
        raise InputError("captions: expected at least one to describe. Received: none")
    spoken = [tuple(caption) for caption in captions]
    known = {tuple(caption) for caption in training}
    used = {word for caption in spoken for word in caption}
    listed = set(vocabulary)
    return CorpusFigures(
        distinct_share=len(set(spoken)) / len(spoken),
        novel_share=sum(caption not in known for caption in spoken) / len(spoken),
        words_used=len(used),
        vocabulary_share=len(used & listed) / len(listed) if listed else 0.0,
        mean_words=sum(len(caption) for caption in spoken) / len(spoken),
    )
