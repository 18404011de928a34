"""What epochs are judged by: the loss of true words, and captions as they are searched later."""

import numpy as np
import pytest

from pipeline import backend
from pipeline.captioner.captioner import Captioner, SearchSettings
from pipeline.captioner.decoders.find import build
from pipeline.captioner.validation import Validation
from pipeline.evaluation.cider import CiderD


@pytest.fixture(scope="module")
def captioner(vocabulary, train_settings) -> Captioner:
    """One that has learnt nothing, so that other searches find other captions."""
    backend.seed(1)
    return Captioner(build(train_settings(), len(vocabulary), (5,)), vocabulary)


def test_captions_are_searched_with_a_beam_whose_choice_is_not_by_length(captioner, split_of):
    val = split_of(16, 2)

    def cider(search: SearchSettings) -> float:
        captions = [found[0].words for found in captioner.caption(val.features, search)]
        return float(np.mean(CiderD(val.references).score(captions)))

    by_beam = cider(SearchSettings.plain(beam_width=3, length_penalty=1.0, max_words=9))
    greedily = cider(SearchSettings.plain(beam_width=1, length_penalty=0.0, max_words=9))
    metrics = Validation(captioner, val, 8, 9).metrics()
    assert metrics["val_cider_d"] == pytest.approx(by_beam, abs=1e-6)
    assert abs(by_beam - greedily) > 1e-3, "else it would not be seen which it was"
    assert metrics["val_loss"] == pytest.approx(np.log(len(captioner.vocabulary.words)), abs=0.5)
