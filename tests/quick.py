"""Which cases of a test run with the quick tests, and which with the slow ones."""

from collections.abc import Collection, Iterable
from typing import Any

import pytest


def some_quick(values: Iterable[Any], quick: Collection[Any]) -> list[Any]:
    """Take all values as parameters, tuples as several; those not in `quick` are slow."""
    return [
        pytest.param(
            *(value if isinstance(value, tuple) else (value,)),
            marks=() if value in quick else pytest.mark.slow,
        )
        for value in values
    ]


def looks(narrow: int) -> list[Any]:
    """How a page is looked at, as width in pixels and colour scheme; each of both comes quickly."""
    every = [(width, scheme) for width in (narrow, 1280) for scheme in ("light", "dark")]
    return some_quick(every, quick=[(narrow, "dark"), (1280, "light")])
