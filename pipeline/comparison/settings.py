"""Names whose values differ between two runs: settings, and figures of metrics.json."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Change:
    """A setting of two runs, written as JSON would; None where a run does not have it."""

    name: str  # with its section: train.dropout
    a: str | None
    b: str | None


@dataclass(frozen=True)
class Figure:
    """A number of metrics.json; None where a run does not have it."""

    name: str  # with its groups: curves.loss
    a: float | None
    b: float | None

    @property
    def delta(self) -> float | None:
        """The difference b - a, where both runs have the number."""
        return None if self.a is None or self.b is None else self.b - self.a


def changed(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[Change]:
    """List the settings whose values differ, by name; one that only one run has differs, too."""
    first, second = dict(_flat(a)), dict(_flat(b))
    both = sorted(first.keys() | second.keys())
    found = [Change(name, _written(first, name), _written(second, name)) for name in both]
    return [one for one in found if one.a != one.b and not _same(first, second, one.name)]


def figures(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[Figure]:
    """List every number that either run has, by name, whether or not it differs."""
    first, second = _numbers(a), _numbers(b)
    return [
        Figure(name, first.get(name), second.get(name))
        for name in sorted(first.keys() | second.keys())
    ]


def remarks(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[Change]:
    """List what is no number in metrics.json and differs, such as why a score is missing."""
    return changed(_without_numbers(a), _without_numbers(b))


def _same(a: Mapping[str, Any], b: Mapping[str, Any], name: str) -> bool:
    """Whether both have numbers that are equal, or lists of them, however they are written."""
    if name not in a or name not in b:
        return False
    first, second = a[name], b[name]
    if not isinstance(first, list) or not isinstance(second, list):
        first, second = [first], [second]
    return bool(first == second and all(map(_is_number, [*first, *second])))


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _written(values: Mapping[str, Any], name: str) -> str | None:
    """Write a value as YAML's flow style does."""
    if name not in values:
        return None
    value = values[name]
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(str(one) for one in value)}]"
    return str(value)


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    return {name: value for name, value in _flat(values) if _is_number(value)}


def _without_numbers(values: Mapping[str, Any]) -> dict[str, Any]:
    # Nothing missing is written as {}: that is no remark.
    return {name: value for name, value in _flat(values) if not _is_number(value) and value != {}}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
