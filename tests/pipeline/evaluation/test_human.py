import pytest

from pipeline.evaluation.cider import CiderD
from pipeline.evaluation.human import human_agreement

REFERENCES = [
    [["a", "dog", "runs"], ["the", "dog", "ran", "home"], ["a", "dog"]],
    [["two", "men", "sit"], ["two", "men"]],
    [["a", "boat"]],  # of one caption alone nothing can be said; but it counts for the weights
]


def test_each_caption_is_scored_against_the_others() -> None:
    # CIDEr-D is a mean over references, one of which is the caption itself: it scores 2.5 for each
    # order in which it has n-grams, as every one here weighs something.
    scorer = CiderD(REFERENCES)
    means = []
    for row, group in enumerate(REFERENCES[:2]):
        every = scorer.score(group, [row] * len(group))
        itself = [2.5 * min(len(caption), 4) for caption in group]
        others = (len(group) * every - itself) / (len(group) - 1)
        means.append(others.mean())
    assert human_agreement(REFERENCES) == pytest.approx(sum(means) / 2)


def test_people_who_say_the_same_agree_wholly() -> None:
    same = [[["a", "dog", "runs", "home"]] * 3, [["two", "men", "sit", "down"]] * 2]
    assert human_agreement(same) == pytest.approx(10)


@pytest.mark.parametrize("references", [[], [[["a"], ["b"]]], [[["a", "dog"]], [["a", "cat"]]]])
def test_where_it_cannot_be_told_it_is_none(references: list[list[list[str]]]) -> None:
    assert human_agreement(references) is None
