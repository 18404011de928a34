"""Which shapes the steps of a model are compiled for, and when."""

from typing import Any

import keras
import numpy as np

from pipeline import backend
from pipeline.text.marks import START


def trace(model: keras.Model, feature_shape: tuple[int, ...]) -> None:
    """Let which batch comes first make no difference: a killed training begins with another one.

    TensorFlow compiles a step for the very shapes that it sees first, and for any shapes once it
    has seen others. The two may round differently, and then a training that continues after a kill
    ends with other bytes than an undisturbed one. So a small batch of weight 0 is shown here whose
    sizes it is not told: it compiles once, and for all of them.

    Args:
        model: compiled; takes features and tokens, and logits come out. Its weights and its
            optimizer's are as before afterwards; its random numbers are not.
        feature_shape: of one picture.
    """
    tokens = np.full((2, 3), START, "int32")
    features = np.zeros((2, *feature_shape), "float32")
    batch = (features, tokens), tokens, np.zeros(tokens.shape, "float32")
    trace_with(model, batch, ((len(feature_shape), 0), 0, 0))


def trace_with(model: keras.Model, batch: tuple[Any, ...], fixed: Any) -> None:
    """As `trace`, of any model.

    Args:
        model: compiled. Its weights and its optimizer's are as before afterwards.
        batch: a small one.
        fixed: for each of its arrays, how many of the last axes always have the size they have.
    """
    if keras.backend.backend() != "tensorflow":
        return
    trains = bool(model.trainable_variables) and getattr(model.optimizer, "built", False)
    kept = [*model.variables, *(model.optimizer.variables if trains else ())]
    before = [np.array(keras.ops.convert_to_numpy(variable)) for variable in kept]  # copies
    batches = backend.sized_anyhow(batch, fixed)
    if trains:
        model.make_train_function()
        model.train_function(batches)
    else:
        model.make_test_function()
        model.test_function(batches)
    for variable, value in zip(kept, before, strict=True):
        variable.assign(value)


def words_at_once() -> int:
    """How many lengths of captions share one compiled step: captions are padded to multiples of it.

    XLA compiles a step for every length: some seconds for a CPU, up to a minute for a GPU, which
    does not mind the padding. TensorFlow without it compiles once for all, see `trace`.
    """
    if not backend.jit():
        return 1
    return 16 if backend.has_gpu() else 4
