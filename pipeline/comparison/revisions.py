"""A run as it stands in the work tree, or as a commit or an experiment recorded it.

A commit has params.yaml and metrics.json in Git; predictions.jsonl is an output of DVC's, of which
the commit's dvc.lock knows the hash. DVC's file system over a revision reads both kinds: from Git,
from DVC's cache, or, where one is set up, from a remote.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from dvc.api import DVCFileSystem
from dvc.exceptions import DvcException, NotDvcRepoError
from dvc.scm import SCM, RevError, SCMError, resolve_rev

from pipeline.errors import InputError
from pipeline.errors import InputError
from pipeline.params import parse_yaml
from pipeline.reporting.predictions import Prediction, parse_predictions

WORK_TREE = "workspace"  # DVC's own name for it
SHORT = 7  # letters of a commit's hash that are shown


@dataclass(frozen=True)
class Paths:
    """Where a run's files lie, relative to the repository."""

    params: str
    metrics: str
    predictions: str
    lock: str = "dvc.lock"  # where DVC writes down what it ran with


@dataclass(frozen=True)
class Run:
    """What is compared of a run."""

    name: str  # as it was asked for
    commit: str | None  # its hash; None is the work tree
    params: Mapping[str, Any]
    metrics: Mapping[str, Any]
    predictions: tuple[Prediction, ...]
    not_run: tuple[str, ...] = ()  # settings that have changed since, by dvc.lock

    @property
    def title(self) -> str:
        """Its name and the commit that this is."""
        if self.commit is None:
            return "work tree"
        short = self.commit[:SHORT]
        return short if self.commit.startswith(self.name) else f"{self.name} ({short})"


def read_run(repository: Path, revision: str, paths: Paths) -> Run:
    """Read a run.

    Args:
        repository: its folder, in which dvc.yaml is.
        revision: what Git or DVC resolves: a branch, tag, hash, HEAD~1, the name of an experiment,
            or "workspace" for the files as they are.
        paths: of the run's files.

    Raises:
        InputError: no such revision, no repository, a file that the revision lacks, or predictions
            that are recorded but are not at hand.
    """
    commit = None if revision == WORK_TREE else _resolve(repository, revision)
    if commit is None:
        read, where = _from_work_tree(repository), ""
    else:
        read, where = _from_commit(repository, commit, revision), f"{revision}:"
    params = _mapping(read(paths.params), f"{where}{paths.params}", parse_yaml)
    return Run(
        name=revision,
        commit=commit,
        params=params,
        metrics=_mapping(read(paths.metrics), f"{where}{paths.metrics}", json.loads),
        predictions=tuple(
            parse_predictions(read(paths.predictions), f"{where}{paths.predictions}")
        ),
        not_run=_not_run(read, paths, params),
    )


def _resolve(repository: Path, revision: str) -> str:
    try:
        scm = SCM(str(repository), search_parent_directories=True)
    except SCMError as error:
        raise InputError(
            f"{repository.resolve()}: expected a Git repository, to read revision {revision!r} "
            "from. Received: none. Run from the repository"
        ) from error
    try:
        return resolve_rev(scm, revision)
    except RevError as error:
        raise InputError(
            f"{revision!r}: expected a commit, branch, tag or experiment of this repository. "
            "Received: none of that name. See `git log --oneline --all` and `dvc exp show`"
        ) from error
    finally:
        scm.close()


def _from_work_tree(repository: Path) -> Callable[[str], str]:
    def read(path: str) -> str:
        try:
            return (repository / path).read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError) as error:
            raise InputError(
                f"{path}: no such file in the work tree. Run `dvc repro`, or `dvc checkout` where "
                "the pipeline has run before"
            ) from error
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: cannot be read: {_one_line(error)}") from error

    return read


def _from_commit(repository: Path, commit: str, revision: str) -> Callable[[str], str]:
    try:
        files = DVCFileSystem(str(repository), rev=commit)
        files.exists("params.yaml")  # opens the repository
    except NotDvcRepoError as error:
        raise InputError(
            f"{revision}: expected a repository of DVC's. Received: one without .dvc"
        ) from error

    def read(path: str) -> str:
        try:
            return files.read_text(path, encoding="utf-8")
        except (OSError, DvcException, UnicodeDecodeError) as error:
            if isinstance(error, UnicodeDecodeError) or not files.exists(path):
                raise InputError(
                    f"{revision}: expected {path} in that revision. Received: none that can be "
                    "read. Choose a revision that was committed after `dvc repro`"
                ) from error
            raise InputError(
                f"{revision}: {path} is recorded there, but is neither in DVC's cache nor in a "
                f"remote that can be reached. Get it by `dvc fetch --all-commits` where a remote "
                f"has it, or make it again: git checkout {commit[:SHORT]} && dvc repro"
            ) from error

    return read


def _not_run(
    read: Callable[[str], str], paths: Paths, params: Mapping[str, Any]
) -> tuple[str, ...]:
    """List settings whose values are not those that the stages were run with."""
    try:
        lock = _mapping(read(paths.lock), paths.lock, parse_yaml)
    except InputError:  # a run without DVC is compared all the same
        return ()
    stages = lock.get("stages")
    used: dict[str, Any] = {}
    for stage in stages.values() if isinstance(stages, dict) else ():
        used.update((stage.get("params") or {}).get(paths.params) or {})
    return tuple(sorted(name for name, value in used.items() if _setting(params, name) != value))


def _setting(params: Mapping[str, Any], name: str) -> Any:
    """Look up a setting by its name, such as train.seed; None where there is none."""
    value: Any = params
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _mapping(text: str, where: str, parse: Callable[[str], Any]) -> Mapping[str, Any]:
    try:
        content = parse(text)
    except (ValueError, yaml.YAMLError) as error:
        raise InputError(f"{where}: cannot be parsed: {_one_line(error)}") from error
    if not isinstance(content, dict):
        raise InputError(f"{where}: expected names with values. Received: {text[:60]!r}")
    return content


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
