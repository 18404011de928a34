"""What a decoder is trained for: the cross-entropy of the next word, and what may be added to it.

Nothing here is needed to caption pictures: a bundle knows nothing of it.

Letters as in `decoders/base`.
"""

from typing import Any

import keras
import numpy as np
from keras import ops
from pydantic import Field

from pipeline.captioner.crossentropy import nats_of
from pipeline.captioner.decoders.base import Decoder, Tensor
from pipeline.captioner.decoders.grid import GridDecoder
from pipeline.captioner.decoders.scores import NEVER
from pipeline.errors import InputError
from pipeline.params import Settings
from pipeline.text.marks import END, PAD


class ObjectiveSettings(Settings):
    """What is asked of a decoder beside the next word; each is off at 0."""

    label_smoothing: float = Field(ge=0, lt=1)  # of the probability, shared among all words
    scheduled_sampling: float = Field(ge=0, le=1)  # share of words read that are the model's own
    attention_penalty: float = Field(ge=0)  # weight of the penalty on places looked at unevenly


PLAIN = ObjectiveSettings(label_smoothing=0.0, scheduled_sampling=0.0, attention_penalty=0.0)


def check(decoder: Decoder, settings: ObjectiveSettings) -> None:
    """Check that a decoder can do what is asked of it.

    Raises:
        InputError: the penalty is asked for, and the decoder does not look at places.
    """
    if settings.attention_penalty and not isinstance(decoder, GridDecoder):
        raise InputError(
            "train.attention_penalty: expected 0 for a decoder that attends to no grid. "
            f"Received: {settings.attention_penalty} for {decoder.settings.decoder}. Set it to "
            "0, or train.decoder to attention, adaptive or top_down"
        )


class Objective(keras.Model):
    """A decoder as what is trained: the model whose loss is minimised.

    To be compiled with `crossentropy()`. That is what it tells, as `loss` or, where more is
    minimised than that, as `nats`; outside training it is all there is.

    Args:
        decoder: with its weights; it is trained in place.
        settings: what is asked of it.
        words_of_update: whether several batches make one update. The loss is then a sum, to be
            divided by the words of all of them, `update_words`, which are set before each batch.

    Raises:
        InputError: as for `check`.
    """

    def __init__(
        self, decoder: Decoder, settings: ObjectiveSettings, words_of_update: bool = False
    ) -> None:
        super().__init__(name="objective")
        check(decoder, settings)
        self.decoder = decoder
        self.label_smoothing = settings.label_smoothing
        self.attention_penalty = settings.attention_penalty
        self.samples = settings.scheduled_sampling > 0
        if self.samples:
            self.own_share = keras.Variable(0.0, trainable=False, name="own_share")
            self.random = keras.random.SeedGenerator(0)
        self.shared = words_of_update
        if self.shared:
            self.update_words = keras.Variable(1.0, trainable=False, name="update_words")
        self.is_plain = not (self.shared or self.label_smoothing or self.attention_penalty)
        if not self.is_plain:
            self.nats = keras.metrics.Mean(name="nats")
        possible = np.full(decoder.vocabulary_size, 1.0, "float32")
        possible[list(NEVER)] = 0.0
        self.even = possible / possible.sum()  # (v,)
        self.built = True  # the decoder has its weights already

    def call(self, inputs: tuple[Tensor, Tensor], training: bool = False) -> Any:
        """Score each next word, as `Decoder.call` does.

        In training with a penalty, the weights of the places come second.
        """
        features, tokens = inputs
        if training and self.samples:
            tokens = self.mixed(features, tokens)
        if training and self.attention_penalty:
            return self.decoder.score_and_look((features, tokens), training=training)
        return self.decoder((features, tokens), training=training)

    def compute_loss(
        self,
        x: Any = None,
        y: Tensor = None,
        y_pred: Any = None,
        sample_weight: Tensor = None,
        training: bool = True,
    ) -> Tensor:
        """See `keras.Model.compute_loss`: nats a word; in training, what is minimised."""
        if not training:
            return super().compute_loss(x, y, y_pred, sample_weight, training)
        logits, looks = y_pred if self.attention_penalty else (y_pred, None)
        nats, asked = nats_of(logits, y, self.label_smoothing, self.even)  # (b, t) each
        words = ops.sum(sample_weight)
        if not self.is_plain:
            self.nats.update_state(ops.sum(nats * sample_weight) / ops.maximum(words, 1.0))
        total = ops.sum(asked * sample_weight)
        if self.attention_penalty:
            total = total + self.attention_penalty * self.unevenness(x[1], looks)
        return total / (self.update_words if self.shared else ops.maximum(words, 1.0))

    def mixed(self, features: Tensor, tokens: Tensor) -> Tensor:
        """Replace a share of the words that are read by the model's own: (b, t) -> (b, t).

        Bengio, Vinyals, Jaitly and Shazeer, "Scheduled Sampling for Sequence Prediction with
        Recurrent Neural Networks" (2015), with the own words of all places drawn at once, each
        after the true words before it, and then read in a second pass: Mihaylova and Martins,
        "Scheduled Sampling for Transformers" (2019); Duckworth et al., "Parallel Scheduled
        Sampling" (2019). An end mark of its own is not read, as nothing is read after it.
        """
        logits = ops.stop_gradient(self.decoder((features, tokens), training=False))
        rows = ops.reshape(logits, (-1, logits.shape[-1]))  # (b * t, v)
        drawn = keras.random.categorical(rows, 1, dtype="int32", seed=self.random)
        drawn = ops.reshape(drawn, ops.shape(tokens))  # at each place, the word after it
        own = ops.concatenate([tokens[:, :1], ops.cast(drawn[:, :-1], tokens.dtype)], axis=1)
        chance = keras.random.uniform(ops.shape(tokens), seed=self.random)
        replaced = ops.logical_and(chance < self.own_share, own != END)
        return ops.where(replaced, own, tokens)

    def unevenness(self, tokens: Tensor, looks: Tensor) -> Tensor:
        """Sum over captions and places of (1 - weight of the place over all words) ** 2.

        "Doubly stochastic" attention: Xu et al., "Show, Attend and Tell" (2015), equation 14. There
        it is added to the loss of a whole caption, and so it is here: both are divided by words.

        Args:
            tokens: that were read, START to the last word, (b, t).
            looks: weights of the places at each word, (b, t, p), or one more with a sentinel,
                which is no place.
        """
        height, width, _ = self.decoder.feature_shape
        is_word = ops.logical_and(tokens != PAD, tokens != END)  # END is read in padding alone
        looked = ops.cast(looks[..., : height * width], "float32")
        looked = ops.sum(looked * ops.cast(is_word, "float32")[..., None], axis=1)  # (b, p)
        return ops.sum(ops.square(1.0 - looked))
