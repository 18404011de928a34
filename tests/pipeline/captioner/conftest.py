"""A tiny world in which the picture decides the caption."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.captioner.batches import Captions, Split
from pipeline.captioner.training import TrainSettings
from pipeline.text.vocabulary import Vocabulary

TEXTS = (
    "a red dog runs",
    "two cats sleep near the old tree",
    "the boat is blue",
    "a bird sings in the snow",
)
SETTINGS = {
    "decoder": "inject",
    "units": 8,
    "embedding": 6,
    "dropout": 0.3,
    "epochs": 3,
    "patience": 10,
    "batch_size": 8,
    "learning_rate": 0.05,
    "warmup": 0.05,
    "clip_norm": 5.0,
    "max_words": 9,
    "seed": 1,
    "word_vectors": "random",
    "tie_weights": False,
    "layer_norm": False,
    "variational_dropout": False,
    "attention_width": None,
    "accumulate": 1,
    "schedule": "cosine",
    "plateau": 1,
    "label_smoothing": 0.0,
    "scheduled_sampling": 0.0,
    "attention_penalty": 0.0,
    "ema": 0.0,
    "precision": "float32",
}


@pytest.fixture(scope="session")
def vocabulary() -> Vocabulary:
    return Vocabulary.build([text.split() for text in TEXTS], min_count=1)


@pytest.fixture(scope="session")
def split_of(vocabulary: Vocabulary) -> Callable[[int, int], Split]:
    """Make a split of pictures: (how many, seed) -> their features and captions."""

    def make(pictures: int, seed: int) -> Split:
        kinds = np.arange(pictures) % len(TEXTS)
        noise = np.random.default_rng(seed).normal(0, 0.1, (pictures, 5))
        features = np.eye(len(TEXTS), 5)[kinds] + noise
        tokens = [TEXTS[kind].split() for kind in kinds]
        captions = Captions(np.arange(pictures), [vocabulary.encode(words) for words in tokens])
        return Split(features.astype("float32"), captions, [[words] for words in tokens])

    return make


@pytest.fixture(scope="session")
def grid_split_of(split_of: Callable[[int, int], Split]) -> Callable[[int, int], Split]:
    """Make a split of grids, 2 x 3 x 5: one place, anywhere, has what decides; others noise."""

    def make(pictures: int, seed: int) -> Split:
        pooled, captions, references = split_of(pictures, seed).__dict__.values()
        rng = np.random.default_rng(seed)
        grids = rng.normal(0, 0.1, (pictures, 6, 5))
        grids[np.arange(pictures), rng.integers(0, 6, pictures)] += pooled
        return Split(grids.reshape(-1, 2, 3, 5).astype("float32"), captions, references)

    return make


@pytest.fixture(scope="session")
def train_settings() -> Callable[..., TrainSettings]:
    """Make settings of a tiny training: the changes, by name."""
    return lambda **changes: TrainSettings(**{**SETTINGS, **changes})


def change(folder: Path, name: str, column: str, values: Sequence[Any]) -> None:
    """Put other values into a column of a table."""
    table = pq.read_table(folder / name)
    place = table.schema.get_field_index(column)
    field = table.schema.field(place)
    pq.write_table(table.set_column(place, field, pa.array(values, field.type)), folder / name)
