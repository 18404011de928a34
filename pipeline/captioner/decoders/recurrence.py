"""An LSTM over the words of whole captions, for training, with its gradient written by hand.

The gradient that a backend derives of a loop multiplies for the weights at each word, and adds up
matrices as large as they are. Here the loop back carries what depends on the word after it alone;
the weights' gradient is one large product after it. In both loops the matrix lies as the CPU's
kernels read it fastest, see `in_loop`.

Letters as in `base`; in the loops words come first, (t, b, ...). `entered` is what an LSTM's gates
are before their functions; `d_` before a name is the gradient of it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
from keras import ops

from pipeline import backend

Tensor = Any  # a tensor of the Keras backend in use
Tensors = tuple[Tensor, ...]


def lstm_step(gates: Tensor, cell: Tensor, remember: float = 0.0) -> tuple[Tensor, Tensor]:
    """One step of an LSTM.

    Args:
        gates: before their functions, (b, 4d).
        cell: its cell state, (b, d).
        remember: what is added to the forget gate.

    Returns:
        The new hidden and cell state, (b, d) each.
    """
    enter, forget, new, leave = ops.split(gates, 4, axis=-1)
    if remember:
        forget = forget + remember
    cell = ops.sigmoid(forget) * cell + ops.sigmoid(enter) * ops.tanh(new)
    return ops.sigmoid(leave) * ops.tanh(cell), cell


def lstm_words(gates: Tensor, recurrent: Tensor, hidden: Tensor, cell: Tensor) -> Tensors:
    """Run an LSTM over words.

    Args:
        gates: what the words add to the gates, (b, t, 4d).
        recurrent: from the hidden state to the gates, (d, 4d).
        hidden: before the first word, (b, d).
        cell: before the first word, (b, d).

    Returns:
        The hidden and the cell state after each word, (b, t, d) each.
    """
    return with_gradient(_lstm_words)(*_alike(gates, recurrent, hidden, cell))


def _lstm_words(gates: Tensor, recurrent: Tensor, hidden: Tensor, cell: Tensor) -> Any:
    from_hidden = in_loop(recurrent)

    def advance(before: Tensors, word: Tensor) -> tuple[Tensors, Tensors]:
        gates = word + from_hidden(before[0])  # (b, 4d)
        after = (*lstm_step(gates, before[1]), gates)
        return after, after

    words = words_first(gates)
    first = hidden, cell, ops.zeros_like(words[0])
    hiddens, cells, entered = ops.scan(advance, first, words)[1]

    def back(d_hiddens: Tensor, d_cells: Tensor) -> Tensors:
        to_hidden = in_loop(ops.transpose(recurrent))

        def retreat(after: Tensors, word: Tensors) -> tuple[Tensors, Tensors]:
            d_hidden, d_cell, slopes = after[0] + word[0], after[1] + word[1], Slopes(*word[2:])
            d_gates, d_cell = lstm_back(slopes, d_hidden, d_cell)
            before = to_hidden(d_gates), d_cell, d_gates
            return before, before

        slopes = lstm_slopes(entered, cell, cells)
        known = words_first(d_hiddens), words_first(d_cells), *slopes
        none = ops.zeros_like(hidden), ops.zeros_like(cell), ops.zeros_like(words[0])
        (d_hidden, d_cell, _), (_, _, d_gates) = backwards(retreat, none, known)
        d_recurrent = of_weights(shifted(hidden, hiddens), d_gates)
        return words_second(d_gates), d_recurrent, d_hidden, d_cell

    return (words_second(hiddens), words_second(cells)), back


class Slopes(NamedTuple):
    """Derivatives of LSTM steps, worked out for all words at once.

    Attributes:
        gates: of the cell state, thrice, and of the hidden state, by the gates, (t, b, 4d).
        cell: of the hidden state by the cell state, (t, b, d).
        kept: of the cell state by the one before, (t, b, d).
    """

    gates: Tensor
    cell: Tensor
    kept: Tensor


def lstm_slopes(entered: Tensor, first: Tensor, cells: Tensor) -> Slopes:
    """Derive an LSTM's steps from its gates, (t, b, 4d), and cells: (b, d), then (t, b, d)."""
    enter, forget, new, leave = ops.split(entered, 4, axis=-1)
    enter, forget, leave = (ops.sigmoid(gate) for gate in (enter, forget, leave))
    new, told = ops.tanh(new), ops.tanh(cells)
    gates = [
        new * enter * (1.0 - enter),
        shifted(first, cells) * forget * (1.0 - forget),
        enter * (1.0 - new * new),
        told * leave * (1.0 - leave),
    ]
    return Slopes(ops.concatenate(gates, axis=-1), leave * (1.0 - told * told), forget)


def lstm_back(slopes: Slopes, d_hidden: Tensor, d_cell: Tensor) -> tuple[Tensor, Tensor]:
    """Go a step back: gradients of the gates, (b, 4d), and of the cell state before, (b, d)."""
    d_cell = d_cell + d_hidden * slopes.cell
    d_gates = ops.concatenate([d_cell, d_cell, d_cell, d_hidden], axis=-1) * slopes.gates
    return d_gates, d_cell * slopes.kept


def backwards(
    retreat: Callable[[Tensors, Tensors], tuple[Tensors, Tensors]], begin: Tensors, known: Tensors
) -> tuple[Tensors, Tensors]:
    """Run a loop from the last word to the first, as `ops.scan` does.

    Under TensorFlow, that takes several inputs only where their number of words is compiled in.

    Args:
        retreat: what comes of the words after it, and of what is known of a word, (b, ...) each.
        begin: after the last word, (b, ...) each.
        known: of each word, (t, b, ...) each.

    Returns:
        What is left before the first word, (b, ...) each, and what came of each, (t, b, ...).
    """

    def step(after: Tensors, at: Tensor) -> tuple[Tensors, Tensors]:
        return retreat(after, tuple(part[at] for part in known))

    last, found = ops.scan(step, begin, ops.arange(ops.shape(known[0])[0]), reverse=True)
    return tuple(last), tuple(found)


def in_loop(matrix: Tensor) -> Callable[[Tensor], Tensor]:
    """Give the product with a matrix (m, n), for the body of a loop: (b, m) -> (b, n).

    Before the loop, the matrix is laid as the CPU's kernels read it fastest.
    """
    if not backend.reads_transposed():
        return lambda values: ops.matmul(values, matrix)
    lying = ops.transpose(matrix)
    return lambda values: ops.matmul(values, ops.transpose(lying))


def of_weights(inputs: Tensor, d_outputs: Tensor) -> Tensor:
    """Gradient of a matrix that all words share: (t, b, m), (t, b, n) -> (m, n)."""
    rows = ops.reshape(inputs, (-1, inputs.shape[-1]))
    return ops.matmul(ops.transpose(rows), ops.reshape(d_outputs, (-1, d_outputs.shape[-1])))


def shifted(first: Tensor, states: Tensor) -> Tensor:
    """The state before each word: the first, (b, n), and those after words, (t, b, n)."""
    return ops.concatenate([ops.expand_dims(first, 0), states[:-1]], axis=0)


def words_first(values: Tensor) -> Tensor:
    """(b, t, n) -> (t, b, n)."""
    return ops.swapaxes(values, 0, 1)


words_second = words_first  # and back


def _alike(*values: Any) -> Tensors:
    """Make tensors, weights among them, of the first one's precision."""
    kind = keras.backend.standardize_dtype(values[0].dtype)
    return tuple(ops.cast(ops.convert_to_tensor(value), kind) for value in values)


def with_gradient(run: Callable[..., Any]) -> Callable[..., Tensors]:
    """Give a function its own gradient: run(*values) -> (outputs, back(*d_outputs) -> d_values)."""

    def both(*values: Tensor) -> Any:
        outputs, back = run(*values)
        # JAX hands the gradients of several outputs on as one tuple, TensorFlow one by one.
        return outputs, lambda *d_outputs: tuple(back(*keras.tree.flatten(d_outputs)))

    return ops.custom_gradient(both)
