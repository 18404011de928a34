"""An LSTM over the words of whole captions, for training, with its gradient written by hand.

The gradient that a backend derives of a loop multiplies for the weights at each word, and adds up
matrices as large as they are. Here the loop back carries what depends on the word after it alone;
the weights' gradient is one large product after it. In both loops the matrix lies as the CPU's
kernels read it fastest, see `products.in_loop`.

Letters as in `base`; here words come first, (t, b, ...), as a loop over them takes them. `d_`
before a name is the gradient of it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from keras import ops

from pipeline.captioner.decoders.products import (
    Tensor,
    Tensors,
    alike,
    in_loop,
    of_weights,
    with_gradient,
)


class Gates(NamedTuple):
    """An LSTM's gates after their functions, (b, d) each, or of all words (t, b, d).

    Attributes:
        enter: how far what is new comes in.
        forget: how far the cell state stays.
        new: what is new.
        leave: how far the cell state is told.
    """

    enter: Tensor
    forget: Tensor
    new: Tensor
    leave: Tensor


def lstm_gates(entered: Tensor, remember: float = 0.0) -> Gates:
    """Apply an LSTM's functions to its gates, (b, 4d); `remember` is added to the forget gate."""
    enter, forget, new, leave = ops.split(entered, 4, axis=-1)
    if remember:
        forget = forget + remember
    return Gates(ops.sigmoid(enter), ops.sigmoid(forget), ops.tanh(new), ops.sigmoid(leave))


def lstm_step(gates: Tensor, cell: Tensor, remember: float = 0.0) -> tuple[Tensor, Tensor]:
    """One step of an LSTM.

    Args:
        gates: before their functions, (b, 4d).
        cell: its cell state, (b, d).
        remember: what is added to the forget gate.

    Returns:
        The new hidden and cell state, (b, d) each.
    """
    return _advance(lstm_gates(gates, remember), cell)


def _advance(gates: Gates, cell: Tensor) -> tuple[Tensor, Tensor]:
    cell = gates.forget * cell + gates.enter * gates.new
    return gates.leave * ops.tanh(cell), cell


def lstm_words(gates: Tensor, recurrent: Tensor, hidden: Tensor, cell: Tensor) -> Tensors:
    """Run an LSTM over words.

    Args:
        gates: what the words add to the gates, (t, b, 4d).
        recurrent: from the hidden state to the gates, (d, 4d).
        hidden: before the first word, (b, d).
        cell: before the first word, (b, d).

    Returns:
        The hidden and the cell state after each word, (t, b, d) each.
    """
    return with_gradient(_lstm_words)(*alike(gates, recurrent, hidden, cell))


def _lstm_words(words: Tensor, recurrent: Tensor, hidden: Tensor, cell: Tensor) -> Any:
    from_hidden = in_loop(recurrent)

    def advance(before: Tensors, word: Tensor) -> tuple[Tensors, Tensors]:
        gates = lstm_gates(word + from_hidden(before[0]))  # (b, 4d)
        after = (*_advance(gates, before[1]), *gates)
        return after, after

    first = hidden, cell, *[ops.zeros_like(cell) for _ in Gates._fields]
    hiddens, cells, *gates = ops.scan(advance, first, words)[1]

    def back(d_hiddens: Tensor, d_cells: Tensor) -> Tensors:
        to_hidden = in_loop(ops.transpose(recurrent))

        def retreat(after: Tensors, word: Tensors) -> tuple[Tensors, Tensors]:
            d_hidden, d_cell, slopes = after[0] + word[0], after[1] + word[1], Slopes(*word[2:])
            d_gates, d_cell = lstm_back(slopes, d_hidden, d_cell)
            before = to_hidden(d_gates), d_cell, d_gates
            return before, before

        known = d_hiddens, d_cells, *lstm_slopes(Gates(*gates), cell, cells)
        none = ops.zeros_like(hidden), ops.zeros_like(cell), ops.zeros_like(words[0])
        (d_hidden, d_cell, _), (_, _, d_words) = backwards(retreat, none, known)
        d_recurrent = of_weights(shifted(hidden, hiddens), d_words)
        return d_words, d_recurrent, d_hidden, d_cell

    return (hiddens, cells), back


class Slopes(NamedTuple):
    """Derivatives of LSTM steps, worked out for all words at once.

    Attributes:
        gates: of the cell state, thrice, and of the hidden state, by the gates before their
            functions, (t, b, 4d).
        cell: of the hidden state by the cell state, (t, b, d).
        kept: of the cell state by the one before, (t, b, d).
    """

    gates: Tensor
    cell: Tensor
    kept: Tensor


def lstm_slopes(gates: Gates, first: Tensor, cells: Tensor) -> Slopes:
    """Derive an LSTM's steps from its gates, (t, b, d), and cells: (b, d), then (t, b, d)."""
    enter, forget, new, leave = gates
    told = ops.tanh(cells)
    by_gates = [
        new * enter * (1.0 - enter),
        shifted(first, cells) * forget * (1.0 - forget),
        enter * (1.0 - new * new),
        told * leave * (1.0 - leave),
    ]
    return Slopes(ops.concatenate(by_gates, axis=-1), leave * (1.0 - told * told), forget)


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


def shifted(first: Tensor, states: Tensor) -> Tensor:
    """The state before each word: the first, (b, n), and those after words, (t, b, n)."""
    return ops.concatenate([ops.expand_dims(first, 0), states[:-1]], axis=0)


def words_first(values: Tensor) -> Tensor:
    """(b, t, n) -> (t, b, n)."""
    return ops.swapaxes(values, 0, 1)


words_second = words_first  # and back
