"""Splits by hash: stable, even, and each picture on its own."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.datasets.splits import fraction, split_of


def test_golden_values_stay() -> None:
    # Written down once: if these move, every user's test pictures move into training.
    assert fraction("a") == 0xCA978112CA1BB / 16**13  # sha256("a") is ca978112ca1bbdca...
    golden = ["test", "val", "test", "test", "val", "test", "train", "val"]
    assert [split_of(f"photos/{n}", 0.2, 0.2) for n in range(8)] == golden


def test_shares_are_met() -> None:
    counts = Counter(split_of(f"photos/{n:06}", 0.1, 0.2) for n in range(20_000))
    assert counts["test"] / 20_000 == pytest.approx(0.2, abs=0.01)
    assert counts["val"] / 20_000 == pytest.approx(0.1, abs=0.01)


def test_shares_of_nothing() -> None:
    assert {split_of(str(n), 0.0, 0.0) for n in range(100)} == {"train"}
    assert {split_of(str(n), 0.0, 0.999999) for n in range(100)} == {"test"}


@given(st.text(st.characters(exclude_categories=["Cs"])), st.floats(0, 0.4), st.floats(0, 0.4))
def test_another_val_share_moves_no_test_picture(name: str, share: float, other: float) -> None:
    assert 0 <= fraction(name) < 1
    before, after = split_of(name, share, 0.2), split_of(name, other, 0.2)
    assert (before == "test") == (after == "test")
