"""Compile the steps of a model for batches of any shape, before it sees the first."""

import keras
import numpy as np

from pipeline.text.marks import START


def trace(model: keras.Model, feature_shape: tuple[int, ...]) -> None:
    """Let which batch comes first make no difference: a killed training begins with another one.

    TensorFlow compiles a step for the very shapes that it sees first, and for any shapes once it
    has seen others. The two may round differently, and then a training that continues after a kill
    ends with other bytes than an undisturbed one. So two small batches are shown here that have no
    shape in common. It costs nothing, as these are the two times that it would compile anyway.

    Args:
        model: compiled; takes features and tokens, and logits come out. Its weights and its
            optimizer's are as before afterwards; its random numbers are not.
        feature_shape: of one picture.
    """
    if keras.backend.backend() != "tensorflow":
        return
    trains = bool(model.trainable_variables) and getattr(model.optimizer, "built", False)
    kept = [*model.variables, *(model.optimizer.variables if trains else ())]
    before = [np.array(keras.ops.convert_to_numpy(variable)) for variable in kept]  # copies
    for captions, words in ((2, 3), (3, 4)):
        inputs = np.full((captions, words), START, "int32")
        features = np.zeros((captions, *feature_shape), "float32")
        batch = (features, inputs), inputs, np.zeros(inputs.shape, "float32")
        if trains:
            model.train_on_batch(*batch)
        else:
            model.test_on_batch(*batch)
    for variable, value in zip(kept, before, strict=True):
        variable.assign(value)
