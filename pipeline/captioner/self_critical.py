"""Self-critical training: raise the expected CIDEr-D of the captions that a decoder samples.

Cross-entropy shows a decoder the true words before each word, and asks for the very next word. Here
it captions by itself and is judged by what it is for: captions are sampled, each is rewarded by its
CIDEr-D, and its log-probability is raised by as much as it did better than a baseline (REINFORCE,
Williams 1992). The baselines:

    greedy   the reward of the greedy caption of the picture: Rennie, Marcheret, Mroueh, Ross and
             Goel, "Self-critical Sequence Training for Image Captioning" (CVPR 2017)
    mean     the mean reward of the picture's other samples: Luo, "A Better Variant of Self-Critical
             Sequence Training" (2020); the own sample left out, it does not bias the gradient

A step, for `b` pictures with `k` samples each:

    features (b, ...) -> sample -> tokens (b, k, t) -> reward (b, k) -> advantage (b, k)
    gradient of  - sum of advantage * log p(caption) / (b * k)

Captions are sampled from exactly the distribution whose log-probabilities are differentiated:
without dropout, both times, all words free, and nothing but the bound on the words cut. (In the
code of both papers dropout is on, in sampling and, being the same pass, in the gradient. Here the
gradient is a pass of its own over the finished captions, whole and fast, and dropout would draw
another network for it than the captions are from.) The loss is divided by captions and not by
words as Luo does, so that it is the expected reward's own gradient: a division by the words that
happened to be sampled would favour some lengths.

It begins from a decoder trained with cross-entropy. That is epoch 0, which is judged on the
validation pictures like every epoch after it, so that on those the outcome is never worse than it.
When an epoch ends clearly below it, the best weights come back and the learning rate is halved.

Of a few thousand pictures, what is rewarded is soon learnt by heart, and a beam finds no better
captions of others. What the weights of all steps have in common is not: with `ema`, their moving
average is judged and kept (Polyak and Juditsky 1992), as in `training.fit`; docs/self-critical.md
has what that is worth.

Letters: `b` pictures, `k` samples a picture, `t` words, `v` vocabulary.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import keras
import numpy as np
from keras import ops, tree
from pydantic import Field

from pipeline.backend import jit, memory_told
from pipeline.captioner.batches import PictureFeatures, Split, rounded_up
from pipeline.captioner.captioner import Captioner
from pipeline.captioner.checkpoint import Checkpoint, History, take_finished
from pipeline.captioner.crossentropy import nats_of
from pipeline.captioner.decoders.base import Decoder, State, Tensor
from pipeline.captioner.reward import Reward
from pipeline.captioner.search.settings import MOST_WORDS
from pipeline.captioner.tracing import trace_with, words_at_once
from pipeline.captioner.training import finite
from pipeline.captioner.updates import BoundedAdam, averaged
from pipeline.captioner.validation import Validation
from pipeline.errors import InputError
from pipeline.params import Settings
from pipeline.progress import Progress
from pipeline.text.marks import END, PAD, START

log = logging.getLogger(__name__)

VALIDATION_BATCH = 128  # captions a step of the validation loss
GROUPS = 3  # by length, of a step's captions
# Of the start's CIDEr-D, below which an epoch is taken back. Less is chance: after one epoch an
# average of the weights is nearly the decoder as it came, and as often below it as above.
FALL = 0.02
AVERAGED = 6  # epochs that the default `ema` reaches back on Flickr8k, where it was measured
MOVED = 0.25  # share of the average that has to be new after `patience` epochs, or it is told


class SelfCriticalSettings(Settings):
    """Section `train.self_critical` of params.yaml."""

    epochs: int = Field(ge=0)  # over the training pictures, at most; 0: none of it
    patience: int = Field(ge=1)  # epochs without a better validation CIDEr-D before it stops
    baseline: Literal["mean", "greedy"]  # what a sample's reward is compared with
    samples: int = Field(ge=2, le=100)  # captions a picture
    pictures: int = Field(ge=1)  # a step
    learning_rate: float = Field(gt=0)  # Adam; halved when validation falls clearly below the start
    clip_norm: float = Field(gt=0)  # bound on the norm of all gradients together
    ema: float = Field(ge=0, lt=1)  # momentum of the weights' moving average; 0: none
    max_words: int = Field(ge=1, le=MOST_WORDS)  # bound on captions, sampled and of validation

    def warn_of_average(self, pictures: int) -> None:
        """Say so where the average of the weights hardly moves before the training may end."""
        steps = -(-pictures // self.pictures)  # an epoch
        epochs = min(self.patience, self.epochs)  # that it is sure to have
        moved = 1 - self.ema ** (steps * epochs)
        if not self.epochs or moved >= MOVED:
            return
        log.warning(
            "train.self_critical.ema: %g averages over %.0f steps, and %d training pictures are %d"
            " steps an epoch: after %d epochs (%s) the average, which is what is kept, is"
            " still to %.0f%% the decoder that it began with. Lower ema: %.3g reaches back %d"
            " epochs",
            *(self.ema, 1 / (1 - self.ema), pictures, steps, epochs),
            *("patience" if epochs == self.patience else "all", 100 * (1 - moved)),
            *(1 - 1 / (AVERAGED * steps), AVERAGED),
        )


OnEpoch = Callable[[dict[str, float]], None]


def fit_self_critical(
    captioner: Captioner,
    train: Split,
    val: Split,
    settings: SelfCriticalSettings,
    seed: int,
    checkpoint: Path,
    on_epoch: OnEpoch,
) -> History:
    """Train the captioner's decoder in place; it ends with the weights of its best epoch.

    Args:
        captioner: trained, with cross-entropy as by `training.fit`.
        train: pictures that are captioned, and the references that reward it. Its encoded
            captions are not used.
        val: what decides on the best epoch.
        settings: how.
        seed: of the order of pictures and of all that is sampled.
        checkpoint: folder to continue from and to keep the state of each epoch in; its name has
            to change with anything that changes the training, what came before it included.
        on_epoch: told each epoch's metrics but not those of epoch 0, and those of epochs done
            before a restart again: `reward` (mean of the samples, end marks scored), `cut_share`
            (of samples without an end), `val_loss` and `val_cider_d`.

    Returns:
        The epochs; the first is epoch 0, the decoder as it came, without `reward`.

    Raises:
        InputError: the decoder computes in float16, whose gradients would have to be scaled, or the
            loss is no number any more.
    """
    if captioner.decoder.compute_dtype == "float16":
        raise InputError(
            "train.precision: expected float32 or mixed_bfloat16 for self-critical training. "
            "Received: mixed_float16. Change it, or set train.self_critical.epochs to 0"
        )
    finished = take_finished(captioner.decoder, checkpoint, settings.epochs + 1, settings.patience)
    if finished is not None:
        for metrics in finished.epochs[1:]:
            on_epoch(metrics)
        return finished

    trainer = Trainer(captioner, train, settings, seed)
    state = Checkpoint(trainer.policy, checkpoint)
    history = state.restore("self-critical", first=0)
    validation = Validation(captioner, val, VALIDATION_BATCH, settings.max_words)
    if not history.epochs:
        history.add(validation.metrics())
        state.keep(history, is_best=True)
    for metrics in history.epochs[1:]:
        on_epoch(metrics)

    pictures = len(train.references)
    with Progress("self-critical", pictures * settings.epochs, "pictures") as progress:
        progress.skip(pictures * (len(history.epochs) - 1))
        for epoch in range(len(history.epochs), settings.epochs + 1):
            if history.is_over(settings.epochs + 1, settings.patience):
                break
            metrics = trainer.run_epoch(epoch, progress)
            with averaged(trainer.policy, trainer.policy.optimizer, settings.ema):
                metrics |= validation.metrics()
                is_best = history.add(metrics)
                validated = trainer.policy.get_weights() if is_best else None
            if metrics["val_cider_d"] < (1 - FALL) * history.epochs[0]["val_cider_d"]:
                state.take_best()
                trainer.slow_down()
            state.keep(history, is_best, validated)
            on_epoch(metrics)
            _tell(epoch, settings.epochs, metrics, is_best)
    state.take_best()
    return history


def _tell(epoch: int, epochs: int, metrics: dict[str, float], is_best: bool) -> None:
    figures = ", ".join(f"{name} {value:.4f}" for name, value in metrics.items())
    best = " (best)" if is_best else ""
    log.info("self-critical: epoch %d of %d, %s%s", epoch, epochs, figures, best)


def advantage(rewards: np.ndarray, greedy: np.ndarray | None = None) -> np.ndarray:
    """Tell by how much each sample did better than the baseline.

    Args:
        rewards: of the samples, (b, k).
        greedy: of the greedy captions, (b,); none: the baseline is the mean of the others.

    Returns:
        float (b, k).
    """
    if greedy is not None:
        return rewards - greedy[:, None]
    count = rewards.shape[1]
    others = (rewards.sum(axis=1, keepdims=True) - rewards) / (count - 1)
    return rewards - others


class Sampled(NamedTuple):
    """Captions of `b` pictures.

    Attributes:
        tokens: samples, int32 (b, k, t): ids up to END, padded after it; one that was cut has t
            words and no END. The last of them is beyond the bound, and part of what was drawn: that
            it is no END is what the gradient has to know.
        greedy: the greedy caption of each picture, int32 (b, 1, t); none where not asked for.
    """

    tokens: np.ndarray
    greedy: np.ndarray | None


class Sampler(keras.Model):
    """Samples captions: all of a picture side by side, in one compiled loop.

    A word is drawn by turning a uniform number into the word at that place of the cumulated
    probabilities. The numbers are given, so that what is sampled depends on them alone, whatever
    the backend; Gumbel noise would need a number for each word of the vocabulary.

    Args:
        decoder: with its weights.
        samples: captions a picture, k.
        max_words: bound on a caption's words; one that goes on after as many is cut there, after
            the word that it goes on with.
        greedy: whether to find the greedy caption too, in the same loop.
    """

    def __init__(self, decoder: Decoder, samples: int, max_words: int, greedy: bool) -> None:
        super().__init__(name="sampler")
        self.decoder = decoder
        self.samples, self.steps, self.greedy = samples, max_words + 1, greedy
        self.built = True  # the decoder has its weights already
        self.compile(jit_compile=jit())

    def sample(self, features: np.ndarray, rng: np.random.Generator) -> Sampled:
        """Sample captions of `b` pictures.

        Args:
            features: float32 (b, f) or (b, h, w, f).
            rng: of the captions.
        """
        chances = rng.random((len(features), self.samples, self.steps), "float32")
        tokens = self.predict_on_batch((features, chances))
        samples, greedy = tokens[:, : self.samples], tokens[:, self.samples :]
        return Sampled(samples, greedy if self.greedy else None)

    def call(self, inputs: tuple[Tensor, Tensor]) -> Tensor:
        """Features (b, ...), uniform numbers (b, k, t) -> tokens, int32 (b, k, t).

        With the greedy caption there are k + 1, of which it is the last.
        """
        features, chances = inputs
        memory = self.decoder.memory(features)
        width = self.samples + self.greedy
        state = tree.map_structure(
            lambda part: ops.repeat(part, width, axis=0), self.decoder.start(features)
        )
        rows = ops.shape(features)[0] * width
        place = ops.reshape(ops.arange(self.steps, dtype="int32"), (1, self.steps))

        def unfinished(at: Tensor, last: Tensor, *_: Tensor) -> Tensor:
            return ops.logical_and(at < self.steps, ops.any(last != END))

        def advance(at: Tensor, last: Tensor, tokens: Tensor, state: State) -> tuple[Any, ...]:
            log_probs, state = self.decoder.step(last, state, memory)  # (b * k, v)
            chance = ops.take(chances, at, axis=2)  # (b, k)
            word = self._draw(ops.exp(log_probs), chance)
            going = last != END
            tokens = ops.where(ops.logical_and(place == at, going[:, None]), word[:, None], tokens)
            return at + 1, ops.where(going, word, END), tokens, state

        loop = (
            ops.convert_to_tensor(0, "int32"),
            ops.full((rows,), START, "int32"),
            ops.full((rows, self.steps), PAD, "int32"),
            state,
        )
        tokens = ops.while_loop(unfinished, advance, loop)[2]
        return ops.reshape(tokens, (-1, width, self.steps))

    def _draw(self, probs: Tensor, chance: Tensor) -> Tensor:
        """Draw a word for each caption: (b * k, v), (b, k) -> int32 (b * k,)."""
        if not self.greedy:
            return draw(probs, ops.reshape(chance, (-1,)))
        each = ops.reshape(probs, (-1, self.samples + 1, probs.shape[-1]))  # (b, k + 1, v)
        best = ops.cast(ops.argmax(each[:, -1], axis=-1), "int32")  # (b,)
        sampled = draw(each[:, :-1], chance)  # (b, k)
        return ops.reshape(ops.concatenate([sampled, best[:, None]], axis=1), (-1,))


def draw(probs: Tensor, chance: Tensor) -> Tensor:
    """Draw a word: the first one up to which the probabilities add up to more than `chance`.

    Args:
        probs: (..., v); a word of probability 0 is never drawn.
        chance: uniform in [0, 1), (...).

    Returns:
        int32 (...).
    """
    reached = ops.cumsum(probs, axis=-1)
    # Rounded, the sum is not quite 1, and a chance beyond it would draw a word that is none.
    wanted = chance[..., None] * reached[..., -1:]
    passed = ops.sum(ops.cast(reached <= wanted, "int32"), axis=-1)
    # The product itself may round up to the sum: then the last word that is possible.
    last = probs.shape[-1] - 1 - ops.argmax(ops.flip(probs, axis=-1) > 0, axis=-1)
    return ops.minimum(passed, ops.cast(last, "int32"))


class Policy(keras.Model):
    """The decoder as what samples captions: their log-probabilities, without dropout.

    A model of its own, so that the decoder keeps the loss and the optimizer it is compiled with.

    Args:
        decoder: with its weights.
    """

    def __init__(self, decoder: Decoder) -> None:
        super().__init__(name="policy")
        self.decoder = decoder
        self.built = True

    def call(self, inputs: tuple[Tensor, Any], training: bool = False) -> tuple[Tensor, ...]:
        """Score each next word of captions.

        Args:
            inputs: features of the pictures, (b, ...), and groups of captions: the picture of each,
                int (n,), and token ids from START on, (n, t).
            training: changes nothing: what is differentiated is what captions were sampled from.

        Returns:
            Logits of each group, (n, t, v).
        """
        del training
        features, groups = inputs
        return tuple(
            self.decoder((ops.take(features, pictures, axis=0), tokens), training=False)
            for pictures, tokens in groups
        )

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Tensor:
        """Sum the weighted cross-entropy of all words: see `keras.Model.compute_loss`."""
        del x, training
        losses = [
            ops.sum(weights * nats_of(logits, targets).plain)
            for targets, logits, weights in zip(y, y_pred, sample_weight, strict=True)
        ]
        return sum(losses[1:], losses[0])


class Step(NamedTuple):
    """What a step tells: `rewards` (b, k), `cut`, samples without an end, and its loss."""

    rewards: np.ndarray
    cut: int
    loss: float


class Trainer:
    """Takes the steps of self-critical training.

    Args:
        captioner: with a trained decoder.
        train: pictures and their references.
        settings: how.
        seed: of the order of pictures and of all that is sampled.
    """

    def __init__(
        self, captioner: Captioner, train: Split, settings: SelfCriticalSettings, seed: int
    ) -> None:
        decoder = captioner.decoder
        self.features: PictureFeatures = train.features
        self.settings, self.seed = settings, seed
        self.reward = Reward(train.references, captioner.vocabulary)
        self.pictures = len(train.references)
        greedy = settings.baseline == "greedy"
        self.sampler = Sampler(decoder, settings.samples, settings.max_words, greedy)
        self.policy = Policy(decoder)
        self.policy.compile(_adam(settings), jit_compile=jit())
        # XLA would compile anew for every combination of lengths.
        self.groups, self.multiple = (1 if jit() else GROUPS), words_at_once()
        self.policy.optimizer.build(self.policy.trainable_variables)
        self._trace(tuple(train.features.shape[1:]))

    def run_epoch(self, epoch: int, progress: Progress) -> dict[str, float]:
        """Caption every training picture once, and learn from it."""
        total, loss, cut, captions = 0.0, 0.0, 0, 0
        for number, rows in enumerate(self._order(epoch)):
            rng = np.random.default_rng([self.seed, epoch, number])
            step = self.step(rows, rng)
            total += float(step.rewards.sum())
            loss += step.loss
            cut += step.cut
            captions += step.rewards.size
            progress.advance(len(rows), f"reward {total / captions:.3f}")
        finite(loss, "train.self_critical", epoch - 1)
        return {"reward": total / captions, "cut_share": cut / captions}

    def step(self, rows: np.ndarray, rng: np.random.Generator) -> Step:
        """Sample captions of pictures, and raise the probability of those that do better.

        Args:
            rows: of the pictures, int (b,).
            rng: of the captions.
        """
        features = np.asarray(self.features[rows], "float32")
        with memory_told("train.self_critical.pictures", len(rows)):
            sampled = self.sampler.sample(features, rng)
            rewards = self.reward(rows, sampled.tokens)
            greedy = None if sampled.greedy is None else self.reward(rows, sampled.greedy)[:, 0]
            loss = self.learn(features, sampled.tokens, advantage(rewards, greedy))
        return Step(rewards, int((sampled.tokens != END).all(axis=-1).sum()), loss)

    def learn(self, features: np.ndarray, tokens: np.ndarray, advantages: np.ndarray) -> float:
        """Take one step of gradient ascent; return its loss, see `surrogate`.

        Args:
            features: of the pictures, float32 (b, ...).
            tokens: sampled captions, int (b, k, t).
            advantages: of each, (b, k).
        """
        groups = surrogate(tokens, advantages, self.groups, self.multiple)
        return float(self.policy.train_on_batch(*_batch(features, groups)))

    def slow_down(self) -> None:
        """Halve the learning rate, and forget the gradients that led astray, and the average."""
        optimizer = self.policy.optimizer
        rate = float(ops.convert_to_numpy(optimizer.learning_rate)) / 2
        for variable in optimizer.variables:
            variable.assign(ops.zeros(variable.shape, variable.dtype))
        optimizer.learning_rate = rate
        log.info(
            "self-critical: clearly below its start; best weights restored, learning rate %g", rate
        )

    def _trace(self, shape: tuple[int, ...]) -> None:
        """Compile a step for captions of any length, whichever come first: see `tracing`.

        The sampler needs none, as every epoch begins with as many pictures.
        """
        counts = set()
        for pictures in (2, 1):  # two samples of a single picture are fewer groups
            tokens = np.full((pictures, self.settings.samples, 2), END, "int32")
            groups = surrogate(tokens, np.zeros(tokens.shape[:2]), self.groups, self.multiple)
            if len(groups) in counts:
                continue
            counts.add(len(groups))
            batch = _batch(np.zeros((pictures, *shape), "float32"), groups)
            none = (0,) * len(groups)
            fixed = (len(shape), tuple((0, 0) for _ in groups)), none, none
            trace_with(self.policy, batch, fixed)

    def _order(self, epoch: int) -> Iterator[np.ndarray]:
        """Cut the pictures into steps; their order depends on seed and epoch alone."""
        # The last number is no step's: without it, it is 0 to NumPy, and the first step's.
        rows = np.random.default_rng([self.seed, epoch, 2**32 - 1]).permutation(self.pictures)
        for first in range(0, len(rows), self.settings.pictures):
            yield rows[first : first + self.settings.pictures]


def _adam(settings: SelfCriticalSettings) -> keras.optimizers.Optimizer:
    """Make the optimizer; its average begins with the decoder as it came, but for one step.

    That is Keras's own average, and not the one of cross-entropy (`updates.Averaging`), which
    leaves the beginning out: here the beginning is a decoder that is trained.
    """
    return BoundedAdam(
        settings.learning_rate,
        settings.clip_norm,
        use_ema=settings.ema > 0,
        ema_momentum=settings.ema,
    )


class Group(NamedTuple):
    """Captions of nearly one length, as what a weighted cross-entropy, summed, is told.

    tokens      [7 9 2 0]      one caption; 1 starts, 2 ends, 0 pads
    inputs      [1 7 9]
    targets     [7 9 2]
    weights     [a a a]        a: its advantage / number of captions; the padding's are 0

    Attributes:
        pictures: the place of each caption's picture among the features, int32 (n,).
        inputs, targets: token ids, int32 (n, t); t is the longest caption's, or a multiple.
        weights: float32 (n, t).
    """

    pictures: np.ndarray
    inputs: np.ndarray
    targets: np.ndarray
    weights: np.ndarray


def _batch(features: np.ndarray, groups: Sequence[Group]) -> tuple[Any, Any, Any]:
    """Put together what `Policy` takes, the targets, and the weights."""
    inputs = tuple((group.pictures, group.inputs) for group in groups)
    targets = tuple(group.targets for group in groups)
    return (features, inputs), targets, tuple(group.weights for group in groups)


def surrogate(
    tokens: np.ndarray, advantages: np.ndarray, groups: int, multiple: int = 1
) -> list[Group]:
    """Turn captions and advantages into a loss whose gradient is the negative policy gradient.

    Args:
        tokens: int (b, k, t).
        advantages: (b, k).
        groups: into how many the captions are cut, by their length, so that less padding is
            computed: among hundreds of samples there is always a long one.
        multiple: words that a group's length is a multiple of, as far as t goes.
    """
    pictures, samples, _ = tokens.shape
    targets = tokens.reshape(pictures * samples, -1).astype("int32")
    lengths = (targets != PAD).sum(axis=1)
    inputs = np.insert(targets, 0, START, axis=1)[:, :-1]
    shares = advantages.reshape(-1, 1) / len(targets)
    weights = np.where(targets != PAD, shares, 0).astype("float32")
    picture = np.repeat(np.arange(pictures, dtype="int32"), samples)
    order = np.argsort(lengths, kind="stable") if groups > 1 else np.arange(len(targets))
    found = []
    for rows in np.array_split(order, min(groups, len(order))):
        longest = rounded_up(lengths[rows].max(), multiple)
        cut = inputs[rows, :longest], targets[rows, :longest], weights[rows, :longest]
        found.append(Group(picture[rows], *cut))
    return found
