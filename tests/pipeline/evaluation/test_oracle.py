import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.evaluation.bleu import bleu
from pipeline.evaluation.cider import CiderD
from pipeline.evaluation.oracle import oracle

REFERENCES = [
    [["a", "dog", "runs", "on", "grass"], ["the", "dog", "ran"]],
    [["two", "men", "sit", "on", "a", "bench"]],
]
CANDIDATES = [
    [["a", "cat"], ["a", "dog", "runs", "on", "grass"], ["dog"]],
    [["two", "men", "sit"], []],
]


def test_the_best_of_each_picture_counts() -> None:
    found = oracle(CANDIDATES, REFERENCES)
    best = [["a", "dog", "runs", "on", "grass"], ["two", "men", "sit"]]
    assert found.cider_d == pytest.approx(CiderD(REFERENCES).score(best).mean())
    assert found.bleu_4 == pytest.approx(bleu(best, REFERENCES).corpus[3])
    assert [len(scores) for scores in found.candidates] == [3, 2]
    assert [int(np.argmax(scores)) for scores in found.candidates] == [1, 0]


def test_of_one_candidate_each_it_is_the_score() -> None:
    first = [group[:1] for group in CANDIDATES]
    captions = [group[0] for group in CANDIDATES]
    found = oracle(first, REFERENCES)
    assert found.cider_d == pytest.approx(CiderD(REFERENCES).score(captions).mean())
    assert found.bleu_4 == pytest.approx(bleu(captions, REFERENCES).corpus[3])


def test_pictures_and_references_must_match() -> None:
    with pytest.raises(InputError, match="one a picture"):
        oracle(CANDIDATES, REFERENCES[:1])
