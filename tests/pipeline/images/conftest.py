"""A handful of drawn pictures, as `ingest` would list them."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.images.decode import Span
from pipeline.images.reading import Picture


def draw(path: Path, seed: int, size: tuple[int, int] = (40, 30)) -> Picture:
    """Draw a picture like no other and describe it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC).save(path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return Picture(path.stem, path.name, Span(0, path.stat().st_size), sha256, size[0] * size[1])


@pytest.fixture
def drawn(tmp_path: Path) -> Callable[..., list[Picture]]:
    """Draw pictures into tmp_path / "raw": (how many, first number) -> what they are."""

    def make(number: int, first: int = 0) -> list[Picture]:
        numbers = range(first, first + number)
        return [draw(tmp_path / "raw" / f"p{seed:03d}.png", seed) for seed in numbers]

    return make


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return tmp_path / "raw"
