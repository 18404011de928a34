"""The reward: CIDEr-D as the official code tells it, end marks scored."""

from typing import Any

import numpy as np
import pytest

from pipeline.captioner.reward import Reward
from pipeline.errors import InputError
from pipeline.evaluation.cider import CiderD
from pipeline.text.marks import END, PAD
from pipeline.text.vocabulary import Vocabulary

REFERENCES = [
    ["a red dog runs on a rug", "the red dog"],
    ["two cats sleep on a rug", "two cats"],
    ["a bird sings in a tree", "a bird near the pond"],  # "pond" is in no vocabulary
]
TOKENS = [[text.split() for text in group] for group in REFERENCES]


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    said = [words for group in TOKENS for words in group]
    return Vocabulary.build([[w for w in words if w != "pond"] for words in said], min_count=1)


@pytest.fixture(scope="module")
def reward(vocabulary: Vocabulary) -> Reward:
    return Reward(TOKENS, vocabulary)


def tokens(vocabulary: Vocabulary, texts: list[list[str]], cut: bool = False) -> np.ndarray:
    """Captions as they are sampled: (b, k, t), ended or cut."""
    rows = [[vocabulary.encode(text.split())[1:] for text in group] for group in texts]
    rows = [[ids[:-1] if cut else ids for ids in group] for group in rows]
    longest = max(len(ids) for group in rows for ids in group)
    padded = [[ids + [PAD] * (longest - len(ids)) for ids in group] for group in rows]
    return np.array(padded, "int32")


def official(captions: list[str], references: list[list[str]]) -> Any:
    """What pycocoevalcap tells of captions, one a picture."""
    from pycocoevalcap.cider.cider import Cider

    said = {number: [text] for number, text in enumerate(captions)}
    return Cider().compute_score(dict(enumerate(references)), said)[1]


def test_it_is_the_official_cider_d_of_captions_and_references_with_end_marks(reward, vocabulary):
    samples = [
        ["a red dog", "a red dog runs on a"],
        ["two cats sleep", "a rug"],
        ["a bird sings in a tree", ""],
    ]
    ended = [[f"{text} <end>" for text in group] for group in REFERENCES]
    expected = [
        official([f"{group[column]} <end>".strip() for group in samples], ended)
        for column in (0, 1)
    ]
    found = reward(np.arange(3), tokens(vocabulary, samples))
    np.testing.assert_allclose(found, np.transpose(expected), atol=1e-9)


def test_a_cut_caption_is_scored_without_an_end_mark(reward, vocabulary):
    ended = [[[*words, "<end>"] for words in group] for group in TOKENS]
    expected = CiderD(ended).score([["a", "red", "dog", "runs", "on"]], [0])
    found = reward(np.array([0]), tokens(vocabulary, [["a red dog runs on"]], cut=True))
    np.testing.assert_allclose(found, [expected])


def test_a_caption_that_lacks_its_ending_is_worth_less(reward, vocabulary):
    whole, lacking, cut = "a red dog runs on a rug", "a red dog runs on a", "a red dog runs on a"
    ended = reward(np.array([0]), tokens(vocabulary, [[whole, lacking]]))[0]
    [[without]] = reward(np.array([0]), tokens(vocabulary, [[cut]], cut=True))
    assert ended[0] > ended[1]
    # "a <end>" is in no reference: to end there takes of the score, and so it does with words only
    # in the long captions that match well.
    assert ended[1] < without


def test_an_end_alone_is_worth_nothing_and_what_follows_it_is_not_read(reward, vocabulary):
    [[alone]] = reward(np.array([1]), tokens(vocabulary, [[""]]))
    assert alone == 0
    padded = tokens(vocabulary, [["two cats", "two cats sleep on a rug"]])
    assert padded[0, 0].tolist()[2:] == [END, *[PAD] * (padded.shape[2] - 3)]
    [[short, _]] = reward(np.array([1]), padded)
    [[same]] = reward(np.array([1]), tokens(vocabulary, [["two cats"]]))
    assert short == pytest.approx(same)


def test_pictures_are_told_by_index(reward, vocabulary):
    texts = [["a red dog"], ["two cats"]]
    one, other = reward(np.array([0, 1]), tokens(vocabulary, texts))
    assert reward(np.array([1, 0]), tokens(vocabulary, texts[::-1])).tolist() == [
        other.tolist(),
        one.tolist(),
    ]
    assert one[0] > 1
    assert reward(np.array([2]), tokens(vocabulary, [["two cats"]]))[0, 0] == 0


def test_captions_of_other_pictures_are_told(reward):
    with pytest.raises(InputError, match=r"captions \(b, k, t\) of b = 2 pictures.*\(1, 2, 3\)"):
        reward(np.array([0, 1]), np.full((1, 2, 3), END))
