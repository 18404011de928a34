"""How gradients become updates: Adam, in any precision, of one batch or of several together."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
from keras import ops
from pydantic import Field

from pipeline.backend import adam_at_once, average_at_once, has_gpu, summed_rows
from pipeline.captioner.decoders.base import Tensor
from pipeline.captioner.decoders.find import Precision
from pipeline.params import Settings


class UpdateSettings(Settings):
    """How weights are updated."""

    clip_norm: float = Field(gt=0)  # bound on the norm of all gradients together
    accumulate: int = Field(ge=1)  # batches whose gradients make one update
    ema: float = Field(ge=0, lt=1)  # momentum of the weights' moving average; 0: none
    precision: Precision  # that training computes in; weights and scores are float32


class Accumulating(keras.optimizers.Optimizer):
    """Adds the gradients of several batches up; `finish` makes one update of them.

    Keras's own `gradient_accumulation_steps` is not the same as one large batch: it takes the mean
    of the batches' means, whatever their words, its step counter, and so Adam's correction of its
    first steps and the schedule, counts batches, and the average of the weights moves with each.

    Args:
        inner: the optimizer that makes the update.
    """

    def __init__(self, inner: keras.optimizers.Optimizer) -> None:
        super().__init__(learning_rate=0.0, name="accumulating")
        self.inner = inner

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """See `keras.optimizers.Optimizer.build`."""
        if self.built:
            return
        super().build(variables)
        self.sums = [self.add_variable_from_reference(value, "sum") for value in variables]
        self.inner.build(variables)

    @property
    def variables(self) -> list[keras.Variable]:
        """The sums, and all that the inner optimizer has."""
        return [*super().variables, *self.inner.variables]

    def update_step(self, gradient: Tensor, variable: Any, learning_rate: Tensor) -> None:
        """See `keras.optimizers.Optimizer.update_step`."""
        self.assign_add(self.sums[self._get_variable_index(variable)], gradient)

    def scale_loss(self, loss: Tensor) -> Tensor:
        """See `keras.optimizers.Optimizer.scale_loss`."""
        return self.inner.scale_loss(loss)

    def finish(self, variables: Sequence[keras.Variable]) -> None:
        """Update the weights with the sum of the gradients, and begin anew at 0.

        Args:
            variables: as given to `build`. They are not kept here, as Keras would take whatever
                variables an optimizer has as an attribute for its own state.
        """
        sums = [value.value for value in self.sums]
        if keras.backend.backend() == "tensorflow":  # which has no other way
            self.inner.apply(sums, variables)
        else:
            before = [value.value for value in self.inner.variables]
            weights = [value.value for value in variables]
            weights, state = self.inner.stateless_apply(before, sums, weights)
            for variable, value in zip(variables, weights, strict=True):
                variable.assign(value)
            for variable, value in zip(self.inner.variables, state, strict=True):
                variable.assign(value)
        for value in self.sums:
            value.assign(keras.ops.zeros(value.shape, value.dtype))


class BoundedAdam(keras.optimizers.Adam):
    """Adam, with a bound on the norm of all gradients together.

    Keras's own bound takes TensorFlow's gradient of word vectors, which has a row for each word
    that is read, by its rows and not by their sum. That is another bound than that of several
    batches together, or of JAX. And it multiplies all gradients, where the bound is not reached by
    1; its Adam reads and writes the weights and what it remembers some ten times a step. On a CPU
    both together took a twentieth of a step (docs/findings.md).

    Args:
        rate: the learning rate, or its schedule.
        clip_norm: the bound.
        options: of `keras.optimizers.Adam`.
    """

    def __init__(self, rate: Any, clip_norm: float, **options: Any) -> None:
        super().__init__(rate, **options)
        self.clip_norm = clip_norm

    def apply(self, grads: Sequence[Any], trainable_variables: Any = None) -> Any:
        """See `keras.optimizers.Optimizer.apply`."""
        grads = bounded([summed_rows(one) for one in grads], self.clip_norm)
        return super().apply(grads, trainable_variables)

    def update_step(self, gradient: Tensor, variable: Any, learning_rate: Tensor) -> None:
        """See `keras.optimizers.Optimizer.update_step`."""
        place = self._get_variable_index(variable)
        moments = self._momentums[place], self._velocities[place]
        decays = self.beta_1, self.beta_2
        done = adam_at_once(
            variable, *moments, gradient, learning_rate, self.iterations + 1, decays, self.epsilon
        )
        if not done:
            super().update_step(gradient, variable, learning_rate)

    def _update_model_variables_moving_average(self, trainable_variables: Sequence[Any]) -> None:
        """See `keras.optimizers.Optimizer`, whose average it is; after the first update, it is all.

        If Keras calls it by another name one day, the average is the same and takes longer.
        """
        if not self.use_ema:
            return
        share = ops.where(ops.equal(self.iterations, 0), 1.0, 1.0 - self.ema_momentum)
        pairs = zip(trainable_variables, self._model_variables_moving_average, strict=True)
        done = [average_at_once(average, value, share) for value, average in pairs]
        if not all(done):
            super()._update_model_variables_moving_average(trainable_variables)


def bounded(gradients: Sequence[Tensor | None], bound: float) -> list[Tensor | None]:
    """Scale gradients down where the norm of all together is above a bound.

    Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural networks" (ICML
    2013), algorithm 1.

    Args:
        gradients: any shapes, float32; of what has none, None.
        bound: above 0.

    Returns:
        As many. If one is infinite or not a number, none of them is a number.
    """
    known = [one for one in gradients if one is not None]
    norm = ops.sqrt(sum(ops.sum(ops.square(one)) for one in known))

    def scaled() -> list[Tensor]:
        factor = ops.minimum(1.0, bound / norm) + (norm - norm)  # inf - inf is no number
        return [one * factor for one in known]

    # A GPU would wait for the condition longer than it takes to multiply by 1.
    left = iter(scaled() if has_gpu() else ops.cond(norm <= bound, lambda: known, scaled))
    return [None if one is None else next(left) for one in gradients]


class Averaging(BoundedAdam):
    """Adam beside which an average of the weights is kept, corrected for its beginning.

    After `t` updates the weights after update `i` count by `ema ** (t - i)`, whatever `t`:
    Kingma and Ba, "Adam: A Method for Stochastic Optimization" (2015), section 7.2. In Keras's own
    average those after the first update, which are next to random, count `1 / (1 - ema)` times as
    much as that, and with 0.999 the captions of five epochs are judged by them.
    """

    @property
    def ema_momentum(self) -> Any:
        """How much of the average stays with the next update: grows from 0 to what was set."""
        done = ops.cast(self.iterations, "float32")
        before, after = (-ops.expm1(updates * math.log(self._ema)) for updates in (done, done + 1))
        return self._ema * before / after  # sums of the powers of ema, but for a factor

    @ema_momentum.setter
    def ema_momentum(self, momentum: float) -> None:
        self._ema = momentum


def adam(rate: Any, settings: UpdateSettings) -> keras.optimizers.Optimizer:
    """Make the optimizer: Adam with the norm of all gradients together bounded.

    With `ema`, it keeps an average of the weights beside them, to which those after each update
    come (Polyak and Juditsky 1992, in its exponential form: see `Averaging`). In float16, the loss
    is scaled so that small gradients do not vanish, and an update whose gradients overflow is left
    out (Micikevicius et al., "Mixed Precision Training", 2018).

    Args:
        rate: the learning rate, or its schedule.
        settings: how.
    """
    if settings.ema:
        options = {"use_ema": True, "ema_momentum": settings.ema}
        optimizer = Averaging(rate, settings.clip_norm, **options)
    else:
        optimizer = BoundedAdam(rate, settings.clip_norm)
    if settings.precision == "mixed_float16":
        return keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer


@contextmanager
def averaged(
    decoder: keras.Model, optimizer: keras.optimizers.Optimizer, ema: float
) -> Iterator[None]:
    """Give the decoder the average of its weights for a while, and then its own again.

    Args:
        decoder: that is trained.
        optimizer: that trains it, and keeps the average.
        ema: as in the settings; at 0, nothing happens. Nor before the first update, as where all
            of them overflowed in float16: there is no average yet.
    """
    if not ema or not int(ops.convert_to_numpy(optimizer.iterations)):
        yield
        return
    own = decoder.get_weights()
    optimizer.finalize_variable_values(decoder.trainable_variables)
    # A copy: under JAX, decoder and average would be the same memory, which a step may give away.
    decoder.set_weights(decoder.get_weights())
    try:
        yield
    finally:
        decoder.set_weights(own)
