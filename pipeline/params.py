"""Read one section of params.yaml into a closed, typed settings class.

A settings class sits beside the code that uses it and has no defaults: the values live in
params.yaml, so that DVC sees every one of them. Only the loader is here, and it hardly ever
changes, as every stage depends on it.
"""

import difflib
import re
import reprlib
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.errors import InputError

MOST_PROBLEMS = 20  # told at once
ALIKE = 0.8  # from which a section looks like a misspelt one; no two of ours come to more than 0.75
MOST_TOLD = 500  # characters of what YAML says, or of a value
# PyYAML's own constructors raise all of these for values that they did not expect.
_NO_YAML = (
    yaml.YAMLError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RecursionError,
    OSError,
)
# A value may be lists of lists of the same list, which a few lines of YAML can make without end.
_REPR = reprlib.Repr()
_REPR.maxlevel, _REPR.maxlist, _REPR.maxdict = 2, 8, 8
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = MOST_TOLD


class Settings(BaseModel):
    """Base of all settings classes: closed (a misspelt key is an error), strict and frozen."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class _Loader(yaml.SafeLoader):
    """PyYAML's, which reads YAML 1.1, with the numbers of YAML 1.2 besides: 5e-05.

    DVC writes them so, into params.yaml (`dvc exp run -S`) and into dvc.lock.
    """


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\.\d+|\d+(\.\d*)?)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)


def parse_yaml(text: str) -> Any:
    """Parse params.yaml or dvc.lock.

    Raises:
        yaml.YAMLError: it is no YAML; ValueError where a value in it is impossible.
    """
    return yaml.load(text, _Loader)


SettingsClass = TypeVar("SettingsClass", bound=Settings)


def load(cls: type[SettingsClass], section: str, path: Path) -> SettingsClass:
    """Read `section` of the YAML file at `path` as an instance of `cls`.

    Raises:
        InputError: the file is absent or not YAML, the section is absent or seems to be misspelt,
            or a setting is missing, unknown, misplaced, of the wrong type or out of range.
    """
    sections = _read_yaml(path)
    _look_beside(sections, section, path)
    if not isinstance(sections, dict) or not isinstance(sections.get(section), dict):
        raise InputError(f"{path}: expected a section {section!r} of settings. Received: none")
    try:
        return cls.model_validate(sections[section])
    except ValidationError as error:
        raise InputError(f"{path}: {_one_line(error, section, cls)}") from error


def _look_beside(sections: Any, section: str, path: Path) -> None:
    """Refuse what was meant as a setting of the section, and would be passed over."""
    for key in map(str, sections if isinstance(sections, dict) else ()):
        group, dot, setting = key.partition(".")
        if dot and group == section:
            raise InputError(
                f"{path}: {key} is not read, as settings stand below their section. Write"
                f" `{setting}:` into the section `{group}:`"
            )
        if key != section and difflib.SequenceMatcher(None, key, section).ratio() >= ALIKE:
            raise InputError(f"{path}: {key!r} is no section. Did you mean {section!r}?")


def _read_yaml(path: Path) -> Any:
    try:
        return parse_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(
            f"{path}: no such file. Run from the repository, or name the file with --params"
        ) from error
    except _NO_YAML as error:
        reason = " ".join(str(error).split())[:MOST_TOLD] or type(error).__name__
        raise InputError(f"{path}: expected YAML. Received: {reason}") from error


def _one_line(error: ValidationError, section: str, cls: type[Settings]) -> str:
    """Tell all that is wrong with a section in one line."""
    problems = error.errors()
    told = [_tell(problem, section, cls) for problem in problems[:MOST_PROBLEMS]]
    more = len(problems) - len(told)
    return "; ".join(told) + (f"; and {more} more" if more else "")


def _tell(problem: Any, section: str, cls: type[Settings]) -> str:
    name = ".".join([section, *(str(part) for part in problem["loc"])])
    if problem["type"] == "missing":
        return f"{name} is missing"
    if problem["type"] == "extra_forbidden":
        *groups, _ = problem["loc"]
        for group in groups:
            cls = cls.model_fields[group].annotation  # type: ignore[assignment]
        known = ", ".join(sorted(cls.model_fields))
        place = ".".join([section, *groups])
        return f"{name} is not a setting. The settings of {place!r} are: {known}"
    message = problem["msg"][0].lower() + problem["msg"][1:]
    return f"{name}: {message}. Received: {_REPR.repr(problem['input'])}"
