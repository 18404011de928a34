"""A run as it stands in the work tree, or as a commit or an experiment recorded it.

A commit has params.yaml and metrics.json in Git; predictions.jsonl is an output of DVC's, of which
the commit's dvc.lock knows the hash. DVC's file system over a revision reads both kinds: from Git,
from DVC's cache, or, where one is set up, from a remote.
"""

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from dvc.api import DVCFileSystem
from dvc.exceptions import DvcException, NotDvcRepoError
from dvc.scm import SCM, SCMError, map_scm_exception, resolve_rev
from dvc.utils.strictyaml import YAMLSyntaxError, YAMLValidationError

from pipeline.dvc_files import is_whole
from pipeline.errors import InputError
from pipeline.evaluation.predictions import Prediction, parse_predictions
from pipeline.params import NO_YAML, parse_yaml

WORK_TREE = "workspace"  # DVC's own name for it
SHORT = 7  # letters of a commit's hash that are shown


@dataclass(frozen=True)
class Paths:
    """Where a run's files lie, relative to the repository."""

    params: str
    metrics: str
    predictions: str
    lock: str = "dvc.lock"  # where DVC writes down what it ran with
    images: str = "data/ingest/images.parquet"


@dataclass(frozen=True)
class Run:
    """What is compared of a run."""

    name: str  # as it was asked for
    commit: str | None  # its hash; None is the work tree
    params: Mapping[str, Any]
    metrics: Mapping[str, Any]
    predictions: tuple[Prediction, ...]
    not_run: tuple[str, ...] = ()  # settings that have changed since, by dvc.lock
    behind: tuple[str, ...] = ()  # of the stages that its captions are from: who waits for whom
    # SHA-256 of each picture, by its id: none where images.parquet is not at hand any more
    pictures: Mapping[str, str] = field(default_factory=dict)

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

    def text(path: str) -> str:
        return _text(read(path), f"{where}{path}")

    params = _mapping(text(paths.params), f"{where}{paths.params}", parse_yaml)
    stages = _stages(text, paths)
    return Run(
        name=revision,
        commit=commit,
        params=params,
        metrics=_mapping(text(paths.metrics), f"{where}{paths.metrics}", json.loads),
        predictions=tuple(
            parse_predictions(text(paths.predictions), f"{where}{paths.predictions}")
        ),
        not_run=_not_run(stages, paths, params),
        behind=_behind(stages, paths.predictions),
        pictures=_pictures(read, paths),
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
        _check_root(Path(scm.root_dir), repository)
        with map_scm_exception():
            if not revision.strip():  # which Git takes for HEAD
                raise SCMError("an empty name")
            found = resolve_rev(scm, revision)
            return resolve_rev(scm, f"{found}^{{commit}}")  # not a file or a folder of one
    except SCMError as error:
        raise InputError(
            f"{revision!r}: expected a commit, branch, tag or experiment of this repository. "
            "Received: none of that name. See `git log --oneline --all` and `dvc exp show`"
        ) from error
    finally:
        scm.close()


def _check_root(git: Path, repository: Path) -> None:
    """Refuse a project in a folder of a larger Git repository, whose commits DVC cannot open."""
    root = _root(repository)
    if (root / ".dvc").is_dir() and git.resolve() != root:
        raise InputError(
            f"{root}: expected the top of a Git repository. Received: a folder of {git.resolve()}, "
            "of which past commits cannot be read. Give the project a repository of its own"
        )


def _from_work_tree(repository: Path) -> Callable[[str], bytes]:
    def read(path: str) -> bytes:
        try:
            return (repository / path).read_bytes()
        except (FileNotFoundError, NotADirectoryError) as error:
            raise InputError(
                f"{path}: no such file in the work tree. {_where_to_run(repository)}"
            ) from error
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {_one_line(error)}") from error

    return read


def _text(content: bytes, where: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise InputError(f"{where}: cannot be read: {_one_line(error)}") from error


def _pictures(read: Callable[[str], bytes], paths: Paths) -> Mapping[str, str]:
    """Read the SHA-256 of each picture; nothing where the table is not at hand."""
    try:
        table = pq.ParquetFile(io.BytesIO(read(paths.images))).read(["image_id", "sha256"])
        columns = [table[name].to_pylist() for name in ("image_id", "sha256")]
    except (InputError, OSError, KeyError, pa.ArrowException):  # it is no more than a help
        return {}
    return dict(zip(*columns, strict=True))


def _where_to_run(repository: Path) -> str:
    """Say what to do where a file is not there: the folder may be one inside the repository."""
    root = _root(repository)
    if root != repository.resolve():
        return f"Run from the repository's own folder: cd {root}"
    return "Run `dvc repro`, or `dvc checkout` where the pipeline has run before"


def _root(repository: Path) -> Path:
    """Find the folder of DVC's repository, or take this one where there is none."""
    here = repository.resolve()
    return next((one for one in (here, *here.parents) if (one / ".dvc").is_dir()), here)


def _from_commit(repository: Path, commit: str, revision: str) -> Callable[[str], bytes]:
    try:
        files = DVCFileSystem(str(repository), rev=commit)
        files.exists("params.yaml")  # opens the repository
    except NotDvcRepoError as error:
        raise InputError(
            f"{revision}: expected a repository of DVC's. Received: one without .dvc"
        ) from error

    def read(path: str) -> bytes:
        try:
            content: bytes = files.read_bytes(path)
            return content
        except (YAMLSyntaxError, YAMLValidationError) as error:
            raise InputError(
                f"{revision}: expected dvc.yaml and dvc.lock that DVC can read, in that revision. "
                f"Received: {_one_line(error)}. Choose another revision"
            ) from error
        except (OSError, DvcException) as error:
            if not files.exists(path):
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


def _stages(read: Callable[[str], str], paths: Paths) -> dict[str, Mapping[str, Any]]:
    """Read what the stages were run with, by their names; nothing without a whole dvc.lock."""
    try:
        content = read(paths.lock)
        lock = _mapping(content, paths.lock, parse_yaml)
    except InputError:  # a run without DVC is compared all the same
        return {}
    if not is_whole(content.encode()):  # DVC was killed while it wrote it
        return {}
    return dict(lock.get("stages") or {})


def _not_run(
    stages: Mapping[str, Mapping[str, Any]], paths: Paths, params: Mapping[str, Any]
) -> tuple[str, ...]:
    """List settings whose values are not those that the predictions were made with."""
    used: dict[str, Any] = {}
    for name in _leading(stages, paths.predictions) or stages:
        used.update((stages[name].get("params") or {}).get(paths.params) or {})
    return tuple(sorted(name for name, value in used.items() if _setting(params, name) != value))


def _behind(stages: Mapping[str, Mapping[str, Any]], predictions: str) -> tuple[str, ...]:
    """List the stages that have not run since one ran that they depend on.

    By dvc.lock, which has the hash of a file once as what a stage made and once as what another
    read. Only stages whose outputs lead to the predictions count.
    """
    makers = _makers(stages)
    found: set[str] = set()
    for name in _leading(stages, predictions):
        for dep in stages[name].get("deps") or ():
            maker, made = makers.get(dep["path"], (name, dep.get("md5")))
            if dep.get("md5") != made:
                found.add(f"`{name}` has not run since `{maker}`")
    return tuple(sorted(found))


def _leading(stages: Mapping[str, Mapping[str, Any]], predictions: str) -> list[str]:
    """List the stages that lead to the predictions; none where no stage makes them."""
    makers = _makers(stages)
    found = [makers[predictions][0]] if predictions in makers else []
    for name in found:  # it grows meanwhile
        makes = (makers.get(dep["path"]) for dep in stages[name].get("deps") or ())
        found += dict.fromkeys(one[0] for one in makes if one and one[0] not in found)
    return found


def _makers(stages: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[str, Any]]:
    """Tell of each output the stage that made it, and its hash then."""
    return {
        out["path"]: (name, out.get("md5"))
        for name, stage in stages.items()
        for out in stage.get("outs") or ()
    }


def _setting(params: Mapping[str, Any], name: str) -> Any:
    """Look up a setting by its name, such as train.seed; None where there is none."""
    value: Any = params
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _mapping(text: str, where: str, parse: Callable[[str], Any]) -> Mapping[str, Any]:
    try:
        content = parse(text)
    except NO_YAML as error:
        raise InputError(f"{where}: cannot be parsed: {_one_line(error)}") from error
    if not isinstance(content, dict):
        raise InputError(f"{where}: expected names with values. Received: {text[:60]!r}")
    return content


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
