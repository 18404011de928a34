"""What the scorers are given: captions and references as lists of words, picture by picture."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from pipeline.errors import InputError

Tokens: TypeAlias = Sequence[str]  # the words of one caption
Captions: TypeAlias = Sequence[Tokens]  # one caption a picture
References: TypeAlias = Sequence[Sequence[Tokens]]  # the references of each picture, same order
FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]


def check_parallel(captions: Captions, references: References) -> None:
    """Check that there is a picture at all, and that each has one caption and a reference.

    Raises:
        InputError: it is not so.
    """
    if len(captions) != len(references):
        raise InputError(
            "captions: expected one a picture, as many as pictures with references "
            f"({len(references)}). Received: {len(captions)}"
        )
    if not captions:
        raise InputError("captions: expected at least one to score. Received: none")
    check_references(references)


def check_references(references: References) -> None:
    """Check that each picture has at least one reference; an empty one will do.

    Raises:
        InputError: a picture has none.
    """
    for number, group in enumerate(references):
        if not group:
            raise InputError(
                f"references of picture number {number} (from 0): expected at least one. "
                "Received: none. Leave out pictures without references"
            )
