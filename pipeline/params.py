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
NO_YAML = (
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
    """PyYAML's, which reads YAML 1.1, with the words and numbers of YAML 1.2 as DVC reads them.

    DVC writes params.yaml (`dvc exp run -S`) and dvc.lock in YAML 1.2: 5e-05 is a number, on, off,
    yes and no are words, which need no quotes, 010 is ten and 1:30 a text. A key that comes twice
    is refused: PyYAML would take the second one, and DVC, which reads params.yaml too, neither.
    """

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Compose a mapping, whose keys come once each.

        Raises:
            ValueError: one comes twice.
        """
        node = super().compose_mapping_node(anchor)
        lines: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            line = key.start_mark.line + 1
            if (key.tag, key.value) in lines:
                raise ValueError(
                    f"{key.value!r} twice, in lines {lines[key.tag, key.value]} and {line}. Change "
                    "the settings where they stand, and leave the second one out"
                )
            lines[key.tag, key.value] = line
        return node


_OURS = ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_Loader.yaml_implicit_resolvers = {
    first: [(tag, form) for tag, form in forms if tag not in _OURS]
    for first, forms in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"true$|True$|TRUE$|false$|False$|FALSE$"), list("tTfF")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int",
    re.compile(r"[-+]?\d[\d_]*$|0o[0-7]+$|0x[0-9a-fA-F]+$"),
    list("-+0123456789"),
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"[-+]?(\.\d+|\d+(\.\d*)?)[eE][-+]?\d+$|[-+]?(\.\d+|\d+\.\d*)$"
        r"|[-+]?\.(inf|Inf|INF)$|\.(nan|NaN|NAN)$"
    ),
    list("-+.0123456789"),
)


def _whole_number(loader: _Loader, node: yaml.ScalarNode) -> int:
    """Read a whole number; with 0o and 0x before it to the base of 8 and 16, and else of ten."""
    text = loader.construct_scalar(node)
    return int(text, 0 if text[:2] in ("0o", "0x") else 10)


_Loader.add_constructor("tag:yaml.org,2002:int", _whole_number)


def parse_yaml(text: str) -> Any:
    """Parse params.yaml or dvc.lock.

    Raises:
        Exception: one of `NO_YAML`: it is no YAML, or a value in it is impossible.
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
    except NO_YAML as error:
        reason = " ".join(str(error).split())[:MOST_TOLD] or type(error).__name__
        raise InputError(f"{path}: expected YAML. Received: {reason}") from error


def _one_line(error: ValidationError, section: str, cls: type[Settings]) -> str:
    """Tell all that is wrong with a section in one line."""
    problems = error.errors()
    told = [_tell(problem, section) for problem in problems[:MOST_PROBLEMS]]
    more = len(problems) - len(told)
    told += [f"and {more} more"] if more else []
    strangers = [problem["loc"] for problem in problems if problem["type"] == "extra_forbidden"]
    groups = dict.fromkeys(tuple(map(str, place[:-1])) for place in strangers)
    return ". ".join(["; ".join(told), *(_settings_of(section, group, cls) for group in groups)])


def _settings_of(section: str, groups: tuple[str, ...], cls: type[Settings]) -> str:
    """Tell which settings there are, where one is named that is none."""
    for group in groups:
        cls = cls.model_fields[group].annotation  # type: ignore[assignment]
    known = ", ".join(sorted(cls.model_fields))
    return f"The settings of {'.'.join([section, *groups])!r} are: {known}"


def _tell(problem: Any, section: str) -> str:
    name, given = ".".join([section, *map(str, problem["loc"])]), problem["input"]
    received = f"Received: {_REPR.repr(given)}"
    match problem["type"]:
        case "missing":
            return f"{name} is missing"
        case "extra_forbidden" if isinstance(given, dict):
            return f"{name} is not a setting: if it is a section, it is indented too far"
        case "extra_forbidden":
            return f"{name} is not a setting"
        case "value_error":  # ours, which say what they received where it is of use
            told = str(problem["ctx"]["error"])
            enough = isinstance(given, dict) or "Received:" in told
            return f"{name}: {told}" if enough else f"{name}: {told}. {received}"
        case "model_type" | "dict_type":
            return f"{name}: expected settings of its own, on lines below it. {received}"
        case "list_type" if given is None:
            return f"{name}: expected a list, which is [] where there is nothing in it"
        case "list_type" if isinstance(given, str | int | float):
            return f"{name}: expected a list, such as [{given}]. {received}"
        case "list_type":
            return f"{name}: expected a list. {received}"
        case "string_type" if isinstance(given, bool | int | float):
            return (
                f"{name}: expected a word. {received}: YAML takes true and false for what they say,"
                ' and digits for a number. Write it in quotes, such as "true"'
            )
        case "string_pattern_mismatch":
            return f"{name}: expected one word, without blanks. {received}"
    message = problem["msg"][0].lower() + problem["msg"][1:]
    return f"{name}: {message}. {received}"
