"""What a training is judged by after every epoch: captions of the validation pictures.

They are searched with a beam, which is how captions are made afterwards, and not greedily. Greedy
captions choose another epoch: of a decoder trained with label smoothing they were at their best
after 6 of 15 epochs, when a beam of 3 reached a CIDEr-D of 0.507, and 0.527 after the last one,
whose greedy captions were no better (docs/findings.md). A beam prefers short captions, the more so
the surer the decoder is; by a length penalty of 1 it compares what words have on average, so that
it is not their length that chooses.
"""

import numpy as np

from pipeline.ahead import ahead
from pipeline.backend import jit
from pipeline.captioner.batches import Batches, Split
from pipeline.captioner.captioner import Captioner, SearchSettings
from pipeline.captioner.crossentropy import crossentropy
from pipeline.captioner.objective import PLAIN, Objective
from pipeline.captioner.tracing import trace, words_at_once
from pipeline.evaluation.cider import CiderD

BEAM_WIDTH, LENGTH_PENALTY = 3, 1.0


class Mean:
    """Mean of the batches' losses, each of which is a mean over the batch's words."""

    def __init__(self) -> None:
        self.total = self.words = 0.0

    def add(self, loss: float, words: float) -> None:
        """Count a batch."""
        self.total += loss * words
        self.words += words

    @property
    def value(self) -> float:
        """The mean so far, in nats a word."""
        return self.total / self.words if self.words else 0.0


class Validation:
    """Scores a captioner on the validation split.

    Args:
        captioner: its decoder with the weights to be judged.
        val: the split.
        batch_size: captions a step of the loss.
        max_words: bound on the captions decoded.
    """

    def __init__(self, captioner: Captioner, val: Split, batch_size: int, max_words: int) -> None:
        self.captioner, self.val = captioner, val
        self.teacher = Objective(captioner.decoder, PLAIN)
        self.teacher.compile(loss=crossentropy(), jit_compile=jit())
        trace(self.teacher, captioner.decoder.feature_shape)
        self.batches = Batches(val.captions, val.features, batch_size, 0, words_at_once())
        self.search = SearchSettings.plain(
            beam_width=BEAM_WIDTH, length_penalty=LENGTH_PENALTY, max_words=max_words
        )
        self.scorer = CiderD(val.references)

    def metrics(self) -> dict[str, float]:
        """Tell the teacher-forced loss, in nats a word, and CIDEr-D of the captions found."""
        loss = Mean()
        for inputs, targets, weights in ahead(self.batches):
            logs = self.teacher.test_on_batch(inputs, targets, weights, return_dict=True)
            loss.add(float(logs["loss"]), float(weights.sum()))
        best = self.captioner.caption(self.val.features, self.search)
        cider = self.scorer.score([captions[0].words for captions in best])
        return {"val_loss": loss.value, "val_cider_d": float(np.mean(cider))}
