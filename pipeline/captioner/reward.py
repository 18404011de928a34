"""The reward of sampled captions: CIDEr-D against the training captions, end marks included.

The end mark is a token of its own, in the captions and in the references:

    sampled      [7 9 12 2]      "a red dog", ended
    is scored    a red dog <end>
    against      a red dog runs <end>

Without it, "a red dog on a" scores as "a red dog on a bike" does for the words that it has, and a
captioner that is trained on the score learns to leave endings out: the known flaw of self-critical
training (Guo et al. 2018, "Improving reinforcement learning based image captioning with natural
language prior"; the code of Rennie et al. and Luo's self-critical.pytorch score the mark as here).
With it, the n-grams "bike <end>", "a bike <end>" and so on are rewarded, and "a <end>" never.

Alone the mark is worth nothing: it is in the references of every picture, so that its weight is 0.
References keep words that are too rare for the vocabulary. No caption can say them; they lower the
reward of all captions of a picture alike, which a baseline takes away again.
"""

from collections.abc import Sequence

import numpy as np

from pipeline.errors import InputError
from pipeline.evaluation.cider import CiderD
from pipeline.text.marks import END, MARKS
from pipeline.text.vocabulary import Vocabulary


class Reward:
    """CIDEr-D of sampled captions, from 0 to 10; what references weigh is worked out once.

    Args:
        references: the tokens of each picture's captions, by picture; without marks.
        vocabulary: of the sampled captions.

    Raises:
        InputError: there are no pictures, or one has no references.
    """

    def __init__(
        self, references: Sequence[Sequence[Sequence[str]]], vocabulary: Vocabulary
    ) -> None:
        self.vocabulary = vocabulary
        end = MARKS[END]
        self.scorer = CiderD([[[*words, end] for words in group] for group in references])

    def __call__(self, pictures: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        """Score captions.

        Args:
            pictures: the index of each picture among the references, int (b,).
            tokens: sampled captions, int (b, k, t): ids up to END, padded after it. A caption
                that was cut has no END, and is scored without one.

        Returns:
            float64 (b, k).

        Raises:
            InputError: the captions are not those of as many pictures.
        """
        if tokens.ndim != 3 or len(tokens) != len(pictures):
            raise InputError(
                f"reward: expected sampled captions (b, k, t) of b = {len(pictures)} pictures. "
                f"Received: an array of shape {tokens.shape}"
            )
        count = tokens.shape[1]
        captions = [self._words(ids) for ids in tokens.reshape(-1, tokens.shape[2]).tolist()]
        scores = self.scorer.score(captions, np.repeat(pictures, count).tolist())
        return scores.reshape(len(pictures), count)

    def _words(self, ids: list[int]) -> list[str]:
        """Turn ids into words, the end mark's included: up to it, or all of a caption cut."""
        end = ids.index(END) + 1 if END in ids else len(ids)
        return [self.vocabulary.words[number] for number in ids[:end]]
