"""The bundle that is taken where none is named: what `caption`, `serve` and `export` share."""

from pathlib import Path

LAST_TRAINED = Path("data/train/bundle")
REPOSITORY = Path(__file__).parents[1]


def last_trained() -> Path:
    """Name the last bundle trained here, or else in the repository of this file."""
    elsewhere = REPOSITORY / LAST_TRAINED
    return elsewhere if not LAST_TRAINED.exists() and elsewhere.exists() else LAST_TRAINED
