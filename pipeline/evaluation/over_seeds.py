"""Numbers of several trainings that differ in their seed alone, told together."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any


def over_seeds(
    rows: Sequence[Mapping[str, Any]], reduce: Callable[[Sequence[float]], float]
) -> dict[str, Any]:
    """Reduce each number over the seeds, such as to their mean.

    Args:
        rows: names and numbers of each seed, groups of them (in mappings) included; what is no
            number, or is not there for every seed, is left out.
        reduce: the numbers of all seeds to one.

    Returns:
        The same names, in the order of the first row.
    """
    reduced: dict[str, Any] = {}
    for name in rows[0]:
        values = [row.get(name) for row in rows]
        if all(isinstance(value, int | float) for value in values):
            reduced[name] = reduce([float(value) for value in values])  # type: ignore[arg-type]
        elif all(isinstance(value, Mapping) for value in values):
            reduced[name] = over_seeds(values, reduce)  # type: ignore[arg-type]
    return reduced
