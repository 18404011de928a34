"""Matrix products for training, with their gradients written by hand.

Letters as in `base`; `n` rows, `i` numbers that go in, `o` that come out; `d_` before a name is the
gradient of it.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
from keras import ops

from pipeline import backend

Tensor = Any  # a tensor of the Keras backend in use
Tensors = tuple[Tensor, ...]


def affine(values: Tensor, matrix: Tensor, bias: Tensor, back_in: str | None = None) -> Tensor:
    """Multiply and add, the leading axes laid together as rows of one product.

    The gradient that a backend derives is the same. But TensorFlow sums up the bias's by an
    operation that takes longer than a product with ones, and with weights of 32 bits everything is
    multiplied in 32 bits backwards too.

    Args:
        values: (..., i).
        matrix: (i, o).
        bias: (o,).
        back_in: what the gradients are multiplied in, as "bfloat16"; None: in what `values` are.

    Returns:
        values @ matrix + bias, (..., o), of the type of `values`.
    """
    values, matrix, bias = alike(values, matrix, bias)
    leading = ops.shape(values)[:-1]
    rows = ops.reshape(values, (-1, values.shape[-1]))
    found = with_gradient(partial(_affine, back_in))(rows, matrix, bias)
    return ops.reshape(found, (*leading, matrix.shape[-1]))


def _affine(back_in: str | None, rows: Tensor, matrix: Tensor, bias: Tensor) -> Any:
    kind = keras.backend.standardize_dtype(rows.dtype)

    def back(d_rows: Tensor) -> Tensors:  # (n, o)
        d_found, read, weights = (ops.cast(one, back_in or kind) for one in (d_rows, rows, matrix))
        found = (
            ops.matmul(d_found, transposed(weights)),
            of_weights(read, d_found),
            ops.matmul(ops.ones((1, ops.shape(rows)[0]), d_found.dtype), d_found)[0],
        )
        return tuple(ops.cast(one, kind) for one in found)

    return ops.matmul(rows, matrix) + bias, back


def transposed(matrix: Tensor) -> Tensor:
    """(m, n) -> (n, m), laid anew in memory where the CPU's kernels are faster with that."""
    if backend.reads_transposed() or keras.backend.standardize_dtype(matrix.dtype) != "float32":
        return ops.transpose(matrix)
    # As a stack of one matrix: TensorFlow would put a plain transposition back into the product.
    stack = ops.transpose(ops.expand_dims(matrix, 0), (0, 2, 1))
    return ops.reshape(stack, (matrix.shape[1], matrix.shape[0]))


def in_loop(matrix: Tensor) -> Callable[[Tensor], Tensor]:
    """Give the product with a matrix (m, n), for the body of a loop: (b, m) -> (b, n).

    Before the loop, the matrix is laid as the CPU's kernels read it fastest.
    """
    if not backend.reads_transposed():
        return lambda values: ops.matmul(values, matrix)
    lying = ops.transpose(matrix)
    return lambda values: ops.matmul(values, ops.transpose(lying))


def of_weights(inputs: Tensor, d_outputs: Tensor) -> Tensor:
    """Gradient of a matrix that all words share: (..., m), (..., n) -> (m, n)."""
    rows = ops.reshape(inputs, (-1, inputs.shape[-1]))
    return ops.matmul(ops.transpose(rows), ops.reshape(d_outputs, (-1, d_outputs.shape[-1])))


def alike(*values: Any) -> Tensors:
    """Make tensors, weights among them, of the first one's precision."""
    kind = keras.backend.standardize_dtype(values[0].dtype)
    return tuple(ops.cast(ops.convert_to_tensor(value), kind) for value in values)


def with_gradient(run: Callable[..., Any]) -> Callable[..., Any]:
    """Give a function its own gradient: run(*values) -> (outputs, back(*d_outputs) -> d_values)."""

    def both(*values: Tensor) -> Any:
        outputs, back = run(*values)
        # JAX hands the gradients of several outputs on as one tuple, TensorFlow one by one.
        return outputs, lambda *d_outputs: tuple(back(*keras.tree.flatten(d_outputs)))

    return ops.custom_gradient(both)
