"""What `features` computes on: apart from `backend`, on which trainings that are kept depend."""

import os
from contextlib import suppress

import keras

from pipeline import machine
from pipeline.backend import has_gpu


def kind_of_device() -> str:
    """Name what Keras's backend computes on, such as "NVIDIA H200" or a CPU with its abilities."""
    if not has_gpu():
        return machine.cpu_kind()
    if keras.backend.backend() == "jax":
        import jax

        return jax.devices()[0].device_kind
    import tensorflow as tf

    first = tf.config.list_physical_devices("GPU")[0]
    return tf.config.experimental.get_device_details(first).get("device_name", "GPU")


def hide_gpus() -> None:
    """Have this process compute on the CPU alone, and so leave the GPUs' memory to others.

    Processes that are started from here still see the GPUs. It has to come before the backend
    computes; where it has begun already, all stays as it is.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        with suppress(RuntimeError):  # it has begun
            tf.config.set_visible_devices([], "GPU")
    elif keras.backend.backend() == "jax":
        import jax

        jax.config.update("jax_platforms", "cpu")


def limit_threads(count: int) -> None:
    """Have the backend compute with `count` threads on the CPU; by default one for each core.

    It has to come before the backend computes. Features have the same bytes with any number.

    Raises:
        RuntimeError: TensorFlow has begun already, with another number.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(count)
        tf.config.threading.set_inter_op_parallelism_threads(count)
    elif keras.backend.backend() == "jax":
        os.environ["NPROC"] = str(count)  # XLA's own name for it, read when JAX first computes
