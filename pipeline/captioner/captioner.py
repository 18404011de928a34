"""A decoder with its vocabulary: features in, captions in words out."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from pipeline.backend import jit
from pipeline.captioner.batches import PictureFeatures, pad
from pipeline.captioner.consensus import Consensus
from pipeline.captioner.decoders.base import Decoder, State, Tensor
from pipeline.captioner.looks import Looks
from pipeline.captioner.search.base import EMPTY
from pipeline.captioner.search.plan import Plan, plan, search
from pipeline.captioner.search.sampling import uniforms_of

# The settings are those of this module's callers, too.
from pipeline.captioner.search.settings import SearchSettings as SearchSettings
from pipeline.errors import InputError
from pipeline.text.marks import START
from pipeline.text.vocabulary import Vocabulary

PICTURES_AT_ONCE = 256  # searched together; fills the cores
CAPTIONS_AT_ONCE = 20 * PICTURES_AT_ONCE  # of wider searches fewer pictures; bounds the memory
LOOKS_AT_ONCE = 32  # captions whose every word is compared with every place together


@dataclass(frozen=True)
class Caption:
    """One caption of a picture, with what the search thinks of it.

    Attributes:
        words: without marks.
        score: log-probability / (words + 1) ** length_penalty; of greedy search without it. A guide
            adds what the words are worth to the log-probability; with consensus, its weight times
            the CIDEr to be expected is added.
        log_prob: of all words and the end mark, under the model itself, however it was searched.
    """

    words: tuple[str, ...]
    score: float
    log_prob: float

    @property
    def text(self) -> str:
        """The words, with spaces between."""
        return " ".join(self.words)


class Captioner:
    """Captions pictures from their features.

    Args:
        decoder: with its weights.
        vocabulary: of the decoder.
        consensus: what people said of the training pictures, if it is known.
    """

    def __init__(
        self, decoder: Decoder, vocabulary: Vocabulary, consensus: Consensus | None = None
    ) -> None:
        self.decoder = decoder
        self.vocabulary = vocabulary
        self.consensus = consensus
        self._searches: dict[str, _Search] = {}  # by their settings; each is compiled once

    @property
    def attends(self) -> bool:
        """Whether the decoder looks at places of a grid, and `looks` can tell where."""
        return self.decoder.attends

    def caption(self, features: PictureFeatures, settings: SearchSettings) -> list[list[Caption]]:
        """Search captions.

        Args:
            features: (n, f) or (n, h, w, f), as in training; an array, or what reads them.
            settings: of the search.

        Returns:
            For each picture the n best, best first, no caption twice; at least one.

        Raises:
            InputError: the features have not the shape of those in training, a required word is
                unknown, no caption of a picture is as the settings want it, what the decoder says
                of one is no number, or consensus or a guide is asked for and it is not known what
                people said.
        """
        self._check(features)
        self.check_consensus(max(settings.consensus, settings.guide))
        searched = self._search(settings)
        found = []
        for values, count in _batches(features, _at_once(settings)):
            parts = searched.batch(values, self._worth(values, settings.guide))
            found += [
                self._read(*one) for one in zip(*(part[:count] for part in parts), strict=True)
            ]
        if not all(found):
            raise self._without_caption(features, found, settings)
        return self.by_consensus(features, found, [settings.consensus])[0]

    def _without_caption(
        self, features: PictureFeatures, found: list[list[Caption]], settings: SearchSettings
    ) -> InputError:
        """The error of pictures for which no caption was found: it tells what may have kept it."""
        # Once each: who searches a few pictures fills them up with copies.
        without = {
            values.tobytes(): values
            for row, captions in enumerate(found)
            if not captions
            for values in [np.asarray(features[row : row + 1], "float32")]
        }
        broken = sum(not np.isfinite(values).all() for values in without.values())
        if broken:
            return InputError(
                "search: expected features that are numbers. Received: NaN or infinity, for as "
                f"many pictures: {broken}. Make them again; where they are too large for float16, "
                "with features.dtype: float32"
            )
        if not self._gives_numbers(next(iter(without.values()))):
            return InputError(
                "search: expected log-probabilities of words. Received: what is no number, from a "
                "decoder whose weights are NaN or infinite, or too large. Train it again; lower "
                "train.learning_rate if they come out so"
            )
        wider = "sampling.samples" if settings.method == "sample" else "beam_width"
        return InputError(
            f"search: expected a caption of at most {settings.max_words} words for every "
            f"picture. Received: none of {len(without)} pictures. Lower min_words, raise "
            f"{wider}, or forbid and block fewer words"
        )

    def _gives_numbers(self, features: np.ndarray) -> bool:
        """Whether the decoder gives each first word of a picture's caption a log-probability."""
        start = keras.ops.full((1,), START, "int32")
        state, memory = self.decoder.start(features), self.decoder.memory(features)
        log_probs, _ = self.decoder.step(start, state, memory)
        return bool(np.isfinite(keras.ops.convert_to_numpy(log_probs)).all())

    def by_consensus(
        self, features: PictureFeatures, found: list[list[Caption]], weights: Sequence[float]
    ) -> list[list[list[Caption]]]:
        """Order captions anew: those first that agree with what people said of pictures alike.

        Args:
            features: as for `caption`.
            found: the captions of each picture, searched without consensus.
            weights: what one of CIDEr counts, beside the score; 0: nothing is changed.

        Returns:
            For each weight, the captions of each picture.

        Raises:
            InputError: it is not known what people said.
        """
        if self.consensus is None or not any(weights):
            self.check_consensus(max(weights))
            return [found] * len(weights)
        words = [[caption.words for caption in captions] for captions in found]
        expected = self.consensus.expect(features, words)
        return [
            [_ordered(*picture, weight) for picture in zip(found, expected, strict=True)]
            for weight in weights
        ]

    def _worth(self, features: np.ndarray, weight: float) -> np.ndarray | None:
        """What each word is worth for pictures, float32 (b, v); none without a weight."""
        if self.consensus is None or not weight:
            return None
        return weight * self.consensus.words(features, self.vocabulary.words)

    def check_consensus(self, weight: float) -> None:
        """Check that it is known what people said, where that is to have a weight.

        Raises:
            InputError: it is not.
        """
        if weight and self.consensus is None:
            raise InputError(
                f"consensus, guide: expected a bundle that knows what people said of the training "
                f"pictures, for a weight of {weight:g}. Received: one that does not. Set "
                "train.consensus.pictures, such as 10000, and run dvc repro; or set the weight to 0"
            )

    def search_model(self, settings: SearchSettings) -> keras.Model:
        """The search of these settings as one model, to be exported; see `_Search.call`.

        Raises:
            InputError: a required word is unknown.
        """
        return self._search(settings)

    def _search(self, settings: SearchSettings) -> "_Search":
        """The search of these settings, made when it is first asked for."""
        # Their weights come after the search and with what it is given.
        settings = settings.model_copy(
            update={"consensus": 0.0, "guide": float(settings.guide > 0)}
        )
        key = settings.model_dump_json()
        if key not in self._searches:
            self._searches[key] = _Search(self.decoder, plan(settings, self.vocabulary))
        return self._searches[key]

    def looks(self, features: PictureFeatures, captions: Sequence[Sequence[str]]) -> list[Looks]:
        """Tell where the decoder looks for each word of finished captions.

        Args:
            features: of n pictures, (n, h, w, f).
            captions: the words of one caption a picture, n.

        Raises:
            InputError: the decoder attends to no grid, or the features have another shape.
        """
        if not self.attends:
            raise InputError(
                f"attention: expected a decoder that attends to a grid. Received: "
                f"{self.decoder.settings.decoder}. Train one, such as train.decoder: adaptive"
            )
        self._check(features)
        found: list[Looks] = []
        for first in range(0, len(captions), LOOKS_AT_ONCE):
            some = slice(first, first + LOOKS_AT_ONCE)
            found += self._looks(features[some], captions[some])
        return found

    def _looks(self, features: np.ndarray, captions: Sequence[Sequence[str]]) -> list[Looks]:
        """Tell it for one caption of each of some pictures, (b, h, w, f)."""
        _, height, width, _ = features.shape
        places = height * width
        tokens = pad([self.vocabulary.encode(words) for words in captions])[:, :-1]
        # What is read at an end mark, and after it, is of no word.
        _, weights = self.decoder.attend_all((np.asarray(features, "float32"), tokens))
        rows = np.asarray(keras.ops.convert_to_numpy(weights), "float32")  # (b, t, places + 0 or 1)
        return [
            Looks(
                row[: len(words), :places].reshape(len(words), height, width),
                row[: len(words), places:].sum(axis=1),
            )
            for row, words in zip(rows, captions, strict=True)
        ]

    def _check(self, features: PictureFeatures) -> None:
        expected, received = self.decoder.feature_shape, tuple(features.shape[1:])
        if received != expected:
            raise InputError(
                f"captions: expected features of shape {expected} a picture, as in training. "
                f"Received: {received}. Use those that the model was trained with: dvc repro"
            )

    def _read(self, tokens: np.ndarray, scores: Iterable[Any], log_probs: Iterable[Any]) -> Any:
        """Turn what was found for one picture into captions; places left empty are left out."""
        return [
            Caption(tuple(self.vocabulary.decode(ids)), float(score), float(log_prob))
            for ids, score, log_prob in zip(tokens.tolist(), scores, log_probs, strict=True)
            if score > EMPTY
        ]


def _ordered(captions: list[Caption], expected: np.ndarray, weight: float) -> list[Caption]:
    """Add what captions of a picture may expect to their scores, and sort by these."""
    scored = (
        replace(caption, score=caption.score + weight * float(value))
        for caption, value in zip(captions, expected, strict=True)
    )
    return sorted(scored, key=lambda caption: -caption.score)


def _at_once(settings: SearchSettings) -> int:
    """How many pictures are searched together."""
    return max(1, min(PICTURES_AT_ONCE, CAPTIONS_AT_ONCE // settings.captions_kept))


def _batches(features: PictureFeatures, at_once: int) -> Iterator[tuple[np.ndarray, int]]:
    """Cut into even batches for one search each, and tell how many pictures of a batch count.

    The last one is filled up with its first picture: for one shape, the search is compiled once.
    They are even, so that it lacks fewer pictures than there are batches.

    Args:
        features: of n pictures.
        at_once: pictures a batch, at most.

    Yields:
        float32 (b, ...), and how many of these are not to fill up.
    """
    batches = math.ceil(len(features) / at_once)
    size = math.ceil(len(features) / max(1, batches))
    for first in range(0, len(features), max(1, size)):
        values = np.asarray(features[first : first + size], "float32")
        count = len(values)
        yield np.concatenate([values, np.repeat(values[:1], size - count, axis=0)]), count


class _Search(keras.Model):
    """Search as a model, so that Keras compiles it whole, under every backend."""

    def __init__(self, decoder: Decoder, plan: Plan) -> None:
        super().__init__(name="search")
        self.decoder = decoder
        self.plan = plan
        self.built = True  # the decoder has its weights already
        self.compile(jit_compile=jit())

    def batch(self, features: np.ndarray, worth: np.ndarray | None) -> tuple[np.ndarray, ...]:
        """Search captions of pictures, as `call` does, with the random numbers they need."""
        settings = self.plan.settings
        inputs = [features]
        if settings.method == "sample":
            chance = settings.sampling
            inputs.append(uniforms_of(features, chance.seed, chance.samples, settings.max_words))
        if worth is not None:
            inputs.append(worth)
        return self.predict_on_batch(tuple(inputs) if inputs[1:] else features)

    def call(self, inputs: Any) -> tuple[Tensor, ...]:
        """Features (b, *shape) -> tokens (b, n, t), scores (b, n), log-probabilities (b, n).

        For sampling, random numbers (b, n, t) follow on the features, and with a guide what the
        words are worth (b, v).
        """
        features, *more = inputs if isinstance(inputs, tuple | list) else (inputs,)
        worth = more.pop() if self.plan.settings.guide else None
        uniforms = more.pop() if self.plan.settings.method == "sample" else None
        memory = self.decoder.memory(features)
        state = self.decoder.start(features)

        def step(tokens: Tensor, state: State) -> tuple[Tensor, State]:
            return self.decoder.step(tokens, state, memory)

        return tuple(search(step, state, self.plan, uniforms, worth))
