from functools import partial

import numpy as np
import pytest

from pipeline.evaluation.bleu import bleu, combine, count, statistics
from pipeline.evaluation.by_length import by_length
from pipeline.evaluation.significance import Statistics, mean_of
from pipeline.evaluation.tokens import FloatArray

CAPTIONS = [["a", "dog"], ["a", "dog", "runs"], ["the", "cat"], ["two", "men", "sit"]]
REFERENCES = [[["a", "dog", "ran"]], [["a", "dog", "runs"]], [["a", "cat"]], [["a", "b"]]]


def test_each_length_is_a_corpus_by_itself() -> None:
    counted = Statistics(statistics(count(CAPTIONS, REFERENCES)), partial(combine, 1))
    each: FloatArray = np.array([1.0, 2.0, 4.0, 8.0])
    named = {"bleu_1": counted, "cider_d": mean_of(each), "unheard_of": mean_of(each)}
    short, long = by_length([len(caption) for caption in CAPTIONS], named)
    assert list(short) == list(long) == ["words", "pictures", "bleu_1", "cider_d"]
    assert (short["words"], short["pictures"], short["cider_d"]) == (2, 2, 2.5)
    assert (long["words"], long["pictures"], long["cider_d"]) == (3, 2, 5.0)
    whole = bleu([CAPTIONS[0], CAPTIONS[2]], [REFERENCES[0], REFERENCES[2]]).corpus[0]
    assert short["bleu_1"] == pytest.approx(whole)


def test_of_no_captions_there_is_nothing() -> None:
    assert by_length([], {}) == []
