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

import keras
import numpy as np
from keras import layers
from pydantic import Field

from pipeline.backend import jit, memory_told
from pipeline.params import Settings
from pipeline.progress import Progress

MIN_PICTURES = 10  # that a label must be in: fewer teach nothing
MIN_AGREEMENT = 3.0  # times likelier than chance
MUON_STEPS = 3  # that make an update orthogonal; with Keras's 5 a step takes a tenth longer
REACH = 4  # pixels by which a picture is moved


class CompactSettings(Settings):
    """Section `encoder.compact` of params.yaml: how `compact` is trained."""

    labels: int = Field(ge=1)  # words and pairs of words that it learns to predict, at most
    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=1)  # pictures a step
    learning_rate: float = Field(gt=0)  # Muon, at its highest; warmed up, then cosine to 0
    seed: int = Field(ge=0, lt=2**32)


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


def shares(captions: Sequence[Sequence[Sequence[str]]], labels: Sequence[str]) -> np.ndarray:
    """Tell what share of each picture's captions has each label: float32 (n, labels), 0 to 1."""
    column = {label: number for number, label in enumerate(labels)}
    values = np.zeros((len(captions), len(labels)), "float32")
    for row, texts in zip(values, captions, strict=True):
        for tokens in texts:
            for label in words_and_pairs([tokens]):
                if label in column:
                    row[column[label]] += 1 / len(texts)
    return values


def targets(captions: Sequence[Sequence[Sequence[str]]], labels: Sequence[str]) -> np.ndarray:
    """Tell for each picture which labels its captions have: float32 (n, labels), 0 or 1."""
    return (shares(captions, labels) > 0).astype("float32")


def fit(
    encoder: keras.Model, pictures: np.ndarray, wanted: np.ndarray, settings: CompactSettings
) -> None:
    """Train `encoder` in place to predict labels, with a head that is thrown away.

    Args:
        encoder: RGB in [0, 255], (b, side, side, 3) -> (b, f).
        pictures: uint8 (n, side, side, 3).
        wanted: float32 (n, labels), 0 or 1.
        settings: the training.
    """
    head = keras.layers.Dense(wanted.shape[1], name="labels")
    model = keras.Sequential([encoder, layers.Dropout(0.1), head])
    model(pictures[:1])
    start_at_frequencies(head, wanted)
    steps = settings.epochs * -(-len(pictures) // settings.batch_size)
    rate = keras.optimizers.schedules.CosineDecay(
        0.1 * settings.learning_rate,
        steps,
        warmup_target=settings.learning_rate,
        warmup_steps=max(1, steps // 20),
    )
    # Jordan et al., "Muon" (2024): far fewer steps than Adam. The head is no hidden layer.
    model.compile(
        keras.optimizers.Muon(rate, exclude_layers=[head.name], ns_steps=MUON_STEPS),
        keras.losses.BinaryCrossentropy(from_logits=True),
        jit_compile=jit(),
    )
    with Progress("encoder", settings.epochs * len(pictures), "pictures") as progress:
        for epoch in range(settings.epochs):
            rng = np.random.default_rng([settings.seed, epoch])
            model.reset_metrics()
            for rows in _batches(len(pictures), settings.batch_size, rng):
                moves = moved(pictures[rows], rng, REACH)
                with memory_told("encoder.compact.batch_size", settings.batch_size):
                    logs = model.train_on_batch(moves, wanted[rows], return_dict=True)
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
