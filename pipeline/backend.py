"""What differs between Keras's backends and devices, in one place."""

import keras


def jit() -> str | bool:
    """Whether to compile with XLA: on a GPU, and always under JAX.

    On a CPU, TensorFlow's XLA makes convolutions more than ten times slower than its own kernels.
    """
    if keras.backend.backend() == "tensorflow" and not keras.distribution.list_devices("gpu"):
        return False
    return "auto"


def seed(number: int) -> None:
    """Seed every generator that Keras draws from, and have TensorFlow add in a fixed order.

    The same seed then gives the same weights, bit for bit, on the same machine's CPU.
    """
    keras.utils.set_random_seed(number)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
