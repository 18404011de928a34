"""Put right what DVC leaves half-written where it is killed.

Two files are written in place, and DVC refuses to run with a part of one:

    dvc.lock          after every stage, for some tenths of a second. Nothing is lost with it:
                      outputs are under `data/`, and DVC's run cache knows the stages that finished
    .dvc/tmp/rwlock   which files running processes of DVC read and write; before and after every
                      stage

Both are written by who holds DVC's lock of the repository, which a killed process loses. So what is
half-written while the lock can be had is nobody's work in progress.
"""

import json
import subprocess
from pathlib import Path
from typing import Any

import yaml

from pipeline.files import write_text

LOCK = "dvc.lock"
TMP = Path(".dvc", "tmp")
RWLOCK = str(TMP / "rwlock")
ASIDE = TMP / "dvc.lock.half-written"
CONFLICTS = (
    "has both sides of a merge. Choose one: `git checkout --ours dvc.lock`, or `--theirs`; then"
    " `dvc repro` brings it up to date"
)
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def mend(root: Path) -> list[str]:
    """Put both files right, unless this is no repository of DVC's, or DVC is at work in it.

    Args:
        root: of the repository.

    Returns:
        What was done, or is left to its owner to do.
    """
    from dvc.lock import Lock, LockError

    if not (root / ".dvc").is_dir():
        return []
    (root / TMP).mkdir(exist_ok=True)
    try:
        with Lock(str(root / TMP / "lock")):  # after some seconds it gives up
            return [MENDED[name](root) for name in broken(root)]
    except LockError:
        return []


def broken(root: Path) -> list[str]:
    """Name those of the two that DVC would refuse to read."""
    checks = {LOCK: is_whole, RWLOCK: _is_rwlock}
    files = {name: root / name for name in checks}
    return [
        name
        for name, path in files.items()
        if path.is_file() and not checks[name](path.read_bytes())
    ]


def has_conflicts(path: Path) -> bool:
    """Whether Git left both sides of a merge in a file, for its owner to choose from."""
    return path.is_file() and b"\n<<<<<<< " in b"\n" + path.read_bytes()


def is_whole(text: bytes) -> bool:
    """Whether DVC would read this as a dvc.lock."""
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA  # takes half a second

    return _fits(COMPILED_LOCKFILE_SCHEMA, lambda: yaml.load(text, LOADER))


def _is_rwlock(text: bytes) -> bool:
    from dvc.rwlock import SCHEMA

    return _fits(SCHEMA, lambda: json.loads(text))


def _fits(schema: Any, read: Any) -> bool:
    from voluptuous import Invalid

    try:
        schema(read())
    except (yaml.YAMLError, ValueError, Invalid):
        return False
    return True


def _mend_lock(root: Path) -> str:
    """Put the committed dvc.lock in the place of one that is half-written, or none."""
    path = root / LOCK
    if has_conflicts(path):
        return f"{path}: {CONFLICTS}"
    committed, aside = _committed(root), root / ASIDE
    path.replace(aside)
    if committed is not None:
        write_text(path, committed.decode("utf-8"))
    now = "that of the last commit is in its place" if committed else "DVC will write a new one"
    return (
        f"{path}: DVC was stopped while it wrote this; {now}. It restores the stages that finished "
        f"since then from its run cache. What there was: {aside}"
    )


def _committed(root: Path) -> bytes | None:
    """The dvc.lock of the last commit, if there is one and it is whole."""
    asked = subprocess.run(
        ["git", "-C", str(root), "show", f"HEAD:./{LOCK}"], capture_output=True, check=False
    )
    return asked.stdout if asked.returncode == 0 and is_whole(asked.stdout) else None


def _mend_rwlock(root: Path) -> str:
    """Remove a half-written rwlock: the processes that it was of are over."""
    path = root / RWLOCK
    path.unlink()
    return f"{path}: DVC was stopped while it wrote this; removed, as DVC makes a new one"


MENDED = {LOCK: _mend_lock, RWLOCK: _mend_rwlock}
