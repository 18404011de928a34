"""Figures of a set of captions by itself, beside the scores, which do not tell all.

A captioner that says "a dog runs through the grass" of every dog scores well; how many of its
captions are distinct, how many are new, and how many words it uses, tell it apart. Bad endings and
repeated words are what a captioner learns that is trained to please CIDEr-D (Guo et al. 2018,
"Improving reinforcement learning based image captioning with natural language prior"); a beam that
is cut at `max_words` ends badly as well.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import pairwise

from pipeline.errors import InputError
from pipeline.evaluation.tokens import Captions, Tokens

# Words with which no sentence ends: the list of Guo et al. 2018, of which "before", "after" and
# "near" are left out ("with trees near"), and "and", "or", "by", "from", "into", "onto" added.
BAD_ENDINGS = frozenset(
    {"a", "am", "an", "and", "are", "at", "by", "for", "from", "in", "into", "is", "of", "on"}
    | {"onto", "or", "the", "to", "upon", "with"}
)


@dataclass(frozen=True)
class CorpusFigures:
    """What a set of captions is like; shares are in [0, 1]."""

    distinct_share: float  # distinct captions, of all captions
    novel_share: float  # captions that are no training caption, word for word, of all captions
    verbatim_share: float  # captions that are a training caption: 1 - novel_share
    words_used: int  # distinct words
    vocabulary_share: float  # words of the vocabulary that are used, of the vocabulary
    mean_words: float  # a caption
    bad_ending_share: float  # captions whose last word is one of BAD_ENDINGS
    repeated_word_share: float  # captions with a word twice in a row: "a a dog"
    repeated_pair_share: float  # the same two words in a row twice: "a dog and a dog"


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
    novel = _share(caption not in known for caption in spoken)
    return CorpusFigures(
        distinct_share=len(set(spoken)) / len(spoken),
        novel_share=novel,
        verbatim_share=1 - novel,
        words_used=len(used),
        vocabulary_share=len(used & listed) / len(listed) if listed else 0.0,
        mean_words=sum(len(caption) for caption in spoken) / len(spoken),
        bad_ending_share=_share(caption[-1:] and caption[-1] in BAD_ENDINGS for caption in spoken),
        repeated_word_share=_share(any(a == b for a, b in pairwise(one)) for one in spoken),
        repeated_pair_share=_share(_repeats_a_pair(caption) for caption in spoken),
    )


def _repeats_a_pair(caption: Tokens) -> bool:
    pairs = list(pairwise(caption))
    return len(set(pairs)) < len(pairs)


def _share(flags: Iterable[object]) -> float:
    answers = [bool(flag) for flag in flags]
    return sum(answers) / len(answers)
