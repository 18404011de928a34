"""Train an encoder on the words of the captions.

So that the pipeline runs anywhere, without downloads, an encoder has to be learned from the data
set itself. After Fang et al., "From Captions to Visual Concepts and Back" (CVPR 2015), section 3,
the network learns which words occur in a picture's captions; our labels also have pairs of
neighbouring words ("red house"), as from single words a network cannot learn which of two things
is the red one.
"""

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
from keras import layers
from pydantic import Field, model_validator

from pipeline.backend import jit
from pipeline.params import Settings
from pipeline.progress import Progress

MIN_PICTURES = 10  # that a label must be in: fewer teach nothing
MIN_AGREEMENT = 3.0  # times likelier than chance
MUON_STEPS = 3  # that make an update orthogonal; Keras's 5 cost a fifth of a step more, to no gain
REACH = 1 / 24  # of the side, by which a picture is moved


class Growth(Settings):
    """An item of `encoder.compact.growth`: how large pictures are seen, and how often."""

    side: float = Field(gt=0, le=1)  # share of the side that features are made at
    epochs: int = Field(ge=1)


class CompactSettings(Settings):
    """Section `encoder.compact` of params.yaml: how `compact` is trained."""

    labels: int = Field(ge=1)  # words and pairs of words that it learns to predict, at most
    growth: list[Growth] = Field(min_length=1)  # small pictures first: see `fit`
    batch_size: int = Field(ge=1)  # pictures a step
    learning_rate: float = Field(gt=0)  # Muon, at its highest; warmed up, then cosine to 0
    seed: int = Field(ge=0)

    @model_validator(mode="after")
    def _check_growth(self) -> "CompactSettings":
        if self.growth[-1].side != 1:
            raise ValueError(
                "growth must end with side: 1, the size that features are made at. Received: "
                f"{self.growth[-1].side}"
            )
        return self


@dataclass(frozen=True)
class Lesson:
    """Pictures of one size, and the encoder as it sees them.

    Attributes:
        encoder: RGB in [0, 255], (b, side, side, 3) -> (b, f); all lessons share the weights.
        pictures: uint8 (n, side, side, 3).
        epochs: how often they are seen.
    """

    encoder: keras.Model
    pictures: np.ndarray
    epochs: int


def words_and_pairs(captions: Sequence[Sequence[str]]) -> set[str]:
    """Gather the words and the pairs of neighbouring words in a picture's captions."""
    found: set[str] = set()
    for tokens in captions:
        found.update(tokens)
        found.update(f"{first} {second}" for first, second in itertools.pairwise(tokens))
    return found


def choose_labels(captions: Sequence[Sequence[Sequence[str]]], number: int) -> list[str]:
    """Choose what the network learns: labels on which the captions of a picture agree.

    If one of a picture's captions has "house", the others are far likelier than chance to have it
    too; if one has "there", they are not: that word says how somebody writes, and would be noise
    to a network. How many times likelier is the label's agreement. Taken are the labels with the
    largest count times logarithm of agreement, ties by spelling.

    Args:
        captions: of each picture, its captions' tokens.
        number: at most so many labels.
    """
    pictures: Counter[str] = Counter()  # that have the label in any caption
    having: Counter[str] = Counter()  # captions that have it
    chances: Counter[str] = Counter()  # pairs of a caption that has it and another of its picture
    both: Counter[str] = Counter()  # pairs of which the other has it too
    for texts in captions:
        counts = Counter(label for tokens in texts for label in words_and_pairs([tokens]))
        for label, count in counts.items():
            pictures[label] += 1
            having[label] += count
            chances[label] += count * (len(texts) - 1)
            both[label] += count * (count - 1)
    total = sum(len(texts) for texts in captions)
    weight = {}
    for label, count in pictures.items():
        if count >= MIN_PICTURES:
            # Where pictures have one caption each, all that is known is how rare a label is.
            again = both[label] / chances[label] if chances[label] else 1.0
            agreement = again * total / having[label]
            if agreement >= MIN_AGREEMENT:
                weight[label] = count * math.log(agreement)
    return sorted(weight, key=lambda label: (-weight[label], label))[:number]


def targets(captions: Sequence[Sequence[Sequence[str]]], labels: Sequence[str]) -> np.ndarray:
    """Tell for each picture which labels its captions have: float32 (n, labels), 0 or 1."""
    column = {label: number for number, label in enumerate(labels)}
    values = np.zeros((len(captions), len(labels)), "float32")
    for row, texts in zip(values, captions, strict=True):
        for label in words_and_pairs(texts):
            if label in column:
                row[column[label]] = 1.0
    return values


def fit(lessons: Sequence[Lesson], wanted: np.ndarray, settings: CompactSettings) -> None:
    """Train an encoder in place to predict labels, with a head that is thrown away.

    Small pictures first: what a thing looks like is learned from few pixels, in a fraction of the
    time, and the full size is left to refine it (Howard, "Training Imagenet in 3 hours for USD 25"
    (2018); Tan and Le, "EfficientNetV2" (2021), section 4).

    Args:
        lessons: the same pictures in each size, in the order in which they are learned from.
        wanted: float32 (n, labels), 0 or 1.
        settings: the training.
    """
    head = layers.Dense(wanted.shape[1], name="labels")
    models = [keras.Sequential([one.encoder, layers.Dropout(0.1), head]) for one in lessons]
    models[0](lessons[0].pictures[:1])
    start_at_frequencies(head, wanted)
    epochs = sum(lesson.epochs for lesson in lessons)
    steps = epochs * -(-len(wanted) // settings.batch_size)
    optimizer = _optimizer(settings, steps, head.name)
    first = 0  # epoch of the lesson, of all lessons' epochs
    with Progress("encoder", epochs * len(wanted), "pictures") as progress:
        for lesson, model in zip(lessons, models, strict=True):
            loss = keras.losses.BinaryCrossentropy(from_logits=True)
            model.compile(optimizer, loss, jit_compile=jit())
            for epoch in range(first, first + lesson.epochs):
                rng = np.random.default_rng([settings.seed, epoch])
                _epoch(model, lesson.pictures, wanted, settings.batch_size, rng, progress)
            first += lesson.epochs


def _optimizer(settings: CompactSettings, steps: int, head: str) -> keras.optimizers.Optimizer:
    """Muon (Jordan et al., 2024), which takes far fewer steps than Adam; but for the head."""
    rate = keras.optimizers.schedules.CosineDecay(
        0.1 * settings.learning_rate,
        steps,
        warmup_target=settings.learning_rate,
        warmup_steps=max(1, steps // 20),
    )
    return keras.optimizers.Muon(rate, exclude_layers=[head], ns_steps=MUON_STEPS)


def _epoch(
    model: keras.Model,
    pictures: np.ndarray,
    wanted: np.ndarray,
    batch_size: int,
    rng: np.random.Generator,
    progress: Progress,
) -> None:
    """See every picture once, moved a little."""
    reach = max(1, round(REACH * pictures.shape[1]))
    model.reset_metrics()
    for rows in _batches(len(pictures), batch_size, rng):
        logs = model.train_on_batch(
            moved(pictures[rows], rng, reach), wanted[rows], return_dict=True
        )
        progress.advance(len(rows), f"loss {logs['loss']:.4f}")


def start_at_frequencies(head: keras.layers.Dense, wanted: np.ndarray) -> None:
    """Have a head begin with each label's own frequency in `wanted`, float (n, labels)."""
    share = np.clip(wanted.mean(axis=0), 1e-4, 1 - 1e-4)
    head.bias.assign(np.log(share / (1 - share)))


def _batches(number: int, size: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Shuffle the rows 0 to `number` and cut them into batches."""
    return np.split(rng.permutation(number), range(size, number, size))


def moved(pictures: np.ndarray, rng: np.random.Generator, reach: int) -> np.ndarray:
    """Move each picture (b, h, w, c) by up to `reach` pixels: none is then learned by heart."""
    moves = rng.integers(-reach, reach + 1, (len(pictures), 2)).tolist()
    return np.stack([_shift(picture, *move) for picture, move in zip(pictures, moves, strict=True)])


def _shift(picture: np.ndarray, down: int, right: int) -> np.ndarray:
    """Move a picture (h, w, c), repeating its edge."""
    height, width = picture.shape[:2]
    rows = np.clip(np.arange(height) - down, 0, height - 1)
    columns = np.clip(np.arange(width) - right, 0, width - 1)
    return picture[rows[:, None], columns]
