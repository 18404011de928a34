"""The captioner that a run has left, and how it searched: for the commands that use either."""

from pathlib import Path
from typing import Any

from pydantic import ConfigDict, ValidationError

from pipeline.captioner.search.settings import SearchSettings
from pipeline.errors import InputError
from pipeline.params import load

LAST_TRAINED = Path("data/train/bundle")
REPOSITORY = Path(__file__).parents[1]


class _Evaluated(SearchSettings):
    """Section `evaluate` of params.yaml, as far as it is about the search."""

    model_config = ConfigDict(extra="ignore")

    ensemble: bool = True


def last_trained() -> Path:
    """Name the last bundle trained here, or else in the repository of this file."""
    elsewhere = REPOSITORY / LAST_TRAINED
    return elsewhere if not LAST_TRAINED.exists() and elsewhere.exists() else LAST_TRAINED


def evaluated_search(params: Path) -> SearchSettings:
    """Read how `evaluate` searches.

    Args:
        params: params.yaml.

    Raises:
        InputError: as for `pipeline.params.load`.
    """
    return SearchSettings(**load(_Evaluated, "evaluate", params).model_dump(exclude={"ensemble"}))


def evaluated_together(params: Path) -> bool:
    """Read whether `evaluate` scores all seeds together.

    Raises:
        InputError: as for `pipeline.params.load`.
    """
    return load(_Evaluated, "evaluate", params).ensemble


def given(**options: Any) -> dict[str, Any]:
    """Leave out the options that were not given: they win over `evaluated_search`, or its like."""
    return {name: value for name, value in options.items() if value is not None}


def searched_with(usual: SearchSettings, **options: Any) -> SearchSettings:
    """Put options in the place of what a search has.

    Raises:
        InputError: they contradict each other, or what it has.
    """
    try:
        return SearchSettings.model_validate({**usual.model_dump(), **options})
    except ValidationError as error:
        problem = error.errors()[0]
        name = str(problem["loc"][-1])
        option = f"--{name.replace('_', '-')}" if name in options else f"evaluate.{name} (--params)"
        told = problem["msg"].removeprefix("Value error, ")  # which pydantic says of our own
        raise InputError(f"{option}: {told}. Received: {problem['input']}") from error
