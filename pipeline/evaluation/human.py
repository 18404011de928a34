"""How well people's own captions score: the ceiling to hold a captioner against.

CIDEr-D of each caption of a picture against the picture's other captions, with document
frequencies of all of them. It is a mean over references, so that having one reference less makes
no difference, as it would for BLEU and METEOR.

A captioner can pass it: people say of one picture things that differ, and a caption that says what
most say is closer to all of them than they are to each other.
"""

import numpy as np

from pipeline.evaluation.leave_one_out import leave_one_out
from pipeline.evaluation.tokens import References


def human_agreement(references: References) -> float | None:
    """Give the mean over pictures of the mean CIDEr-D of their captions against the others.

    Args:
        references: tokens of the captions that people wrote.

    Returns:
        None where there is one picture alone, or no picture has two captions.
    """
    if len(references) < 2:
        return None
    scores = [each.mean() for each in leave_one_out(references) if len(each) > 1]
    return float(np.mean(scores)) if scores else None
