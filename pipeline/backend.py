"""What differs between Keras's backends and devices, in one place."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from typing import Any

import keras
import numpy as np

from pipeline import machine
from pipeline.errors import InputError


def version() -> str:
    """Tell the version of Keras's backend."""
    return str(import_module(keras.backend.backend()).__version__)


def gpus() -> list[str]:
    """List the GPUs that Keras's backend computes on, in Keras's names: "gpu:0", ..."""
    # All are listed, as JAX raises an error where there is none of the kind that is asked for.
    devices = keras.distribution.list_devices()
    return [name for name in devices if name.startswith(("gpu", "cuda"))]


def has_gpu() -> bool:
    """Whether Keras's backend computes on a GPU."""
    return bool(gpus())


def jit() -> str | bool:
    """Whether to compile with XLA: on a GPU, and always under JAX.

    On a CPU, TensorFlow's XLA makes convolutions more than ten times slower than its own kernels.
    With operations in a fixed order (`seed`) Keras does without XLA under TensorFlow, "auto" or
    not: so what is trained is told here that it is not compiled, and need not be padded for it.
    """
    if keras.backend.backend() != "tensorflow":
        return "auto"
    from tensorflow.python.framework import config

    return False if not has_gpu() or config.is_op_determinism_enabled() else "auto"


def exact_float32() -> None:
    """Have products and convolutions of float32 computed in float32, from here on, in this process.

    On GPUs from NVIDIA's Ampere on, both backends round what they multiply to TF32, which has
    float16's 10 bits of precision, unless they are told not to. CPUs do not.
    """
    if keras.backend.backend() == "jax":
        import jax

        jax.config.update("jax_default_matmul_precision", "highest")
    elif keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_tensor_float_32_execution(False)


@cache
def reads_transposed() -> bool:
    """Whether products of few rows are faster with a matrix that lies transposed in memory.

    They are on an x86-64 CPU without AVX-512, by half as much again, where oneDNN has kernels that
    take it as it is; with AVX-512 they are slower by as much. Elsewhere it makes little difference.
    """
    return "avx512f" not in machine.cpu_flags()


def seed(number: int) -> None:
    """Seed every generator that Keras draws from, and have TensorFlow add in a fixed order.

    The same seed then gives the same weights, bit for bit, on the same machine's CPU.
    """
    keras.utils.set_random_seed(number)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()


@contextmanager
def memory_told(setting: str, batch: int) -> Iterator[None]:
    """Let it be told which setting takes less memory, where a step finds none left.

    Args:
        setting: the name of the batch's size in params.yaml.
        batch: that size.

    Raises:
        InputError: there was none.
    """
    try:
        yield
    except Exception as error:  # TensorFlow's and JAX's have no type in common
        told = f"{type(error).__name__}: {error}"
        if not any(word in told for word in ("RESOURCE_EXHAUSTED", "ResourceExhausted")):
            raise
        raise InputError(
            f"{setting}: expected batches that fit into the memory of what computes them. Received:"
            f" {batch}, for which there was none left. Lower it"
        ) from error


def summed_rows(gradient: Any) -> Any:
    """Make a whole array of a gradient that names rows of one, some of them more than once.

    TensorFlow's gradient of what is looked up is of that kind. Others stay what they are.
    """
    if keras.backend.backend() != "tensorflow" or gradient is None:
        return gradient
    import tensorflow as tf

    return tf.convert_to_tensor(gradient)


def adam_at_once(
    variable: Any,
    momentum: keras.Variable,
    velocity: keras.Variable,
    gradient: Any,
    rate: Any,
    number: Any,
    decays: tuple[float, float],
    epsilon: float,
) -> bool:
    """Make Adam's update of a variable, under TensorFlow, in one pass over the memory.

    Kingma and Ba, "Adam: A Method for Stochastic Optimization" (2015), end of section 2, as Keras's
    own; whose operations, one by one, read and write all of these some ten times. XLA, under JAX,
    makes one pass of them by itself.

    Args:
        variable: the weights, as the backend has them.
        momentum: mean of the gradients, of the same shape.
        velocity: mean of their squares.
        gradient: of the same shape.
        rate: the learning rate.
        number: of the update, from 1.
        decays: how much of the two means stays.
        epsilon: added to the root of the second.

    Returns:
        Whether it was made: not with another backend.
    """
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    count = tf.cast(number, tf.float32)
    tf.raw_ops.ResourceApplyAdam(
        var=variable.handle,
        m=momentum.value.handle,
        v=velocity.value.handle,
        beta1_power=decays[0] ** count,
        beta2_power=decays[1] ** count,
        lr=tf.cast(rate, tf.float32),
        beta1=decays[0],
        beta2=decays[1],
        epsilon=epsilon,
        grad=gradient,
    )
    return True


def average_at_once(average: keras.Variable, value: Any, share: Any) -> bool:
    """Let a moving average come nearer to a value, under TensorFlow, in two passes over the memory.

    Args:
        average: so far.
        value: of the same shape.
        share: how much of it becomes the value.

    Returns:
        Whether it was made, as for `adam_at_once`.
    """
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    # A step down the slope of half the squared distance between them is what an average makes.
    stored, value = average.value, tf.convert_to_tensor(value)
    tf.raw_ops.ResourceApplyGradientDescent(
        var=stored.handle, alpha=tf.cast(share, stored.dtype), delta=stored - value
    )
    return True


def sized_anyhow(arrays: Any, fixed: Any) -> Iterator[Any]:
    """Give arrays once, under TensorFlow, as if their sizes were not known.

    What is compiled for them is compiled for all sizes.

    Args:
        arrays: of NumPy, in any nest of tuples.
        fixed: for each array, how many of its last axes always have the size they have.
    """
    import tensorflow as tf

    def specification(array: np.ndarray, count: int) -> Any:
        free = array.ndim - count
        return tf.TensorSpec((None,) * free + array.shape[free:], array.dtype)

    specifications = keras.tree.map_structure(specification, arrays, fixed)
    return iter(tf.data.Dataset.from_generator(lambda: [arrays], output_signature=specifications))
