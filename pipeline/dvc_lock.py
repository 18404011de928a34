"""Put dvc.lock right where DVC was killed while it wrote it.

DVC writes dvc.lock in place, after every stage, for some tenths of a second. If it is killed then,
the file is empty or ends anywhere, and DVC refuses to run with it ("'./dvc.lock' validation
failed"). Nothing is lost with it: outputs are under `data/`, and DVC's run cache knows the stages
that finished.
"""

import subprocess
from pathlib import Path

import yaml

from pipeline.files import write_text

LOCK = "dvc.lock"
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
ASIDE = Path(".dvc", "tmp", "dvc.lock.half-written")


def is_whole(text: bytes) -> bool:
    """Whether DVC would read this as a dvc.lock."""
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA  # half a second, which the doctor need not wait
    from voluptuous import Invalid

    try:
        COMPILED_LOCKFILE_SCHEMA(yaml.load(text, LOADER))
    except (yaml.YAMLError, Invalid):
        return False
    return True


def mend(root: Path) -> str | None:
    """Put the committed dvc.lock in the place of one that is half-written, or none.

    Args:
        root: of the repository.

    Returns:
        What was done, if anything.
    """
    path = root / LOCK
    if not path.is_file() or is_whole(path.read_bytes()):
        return None
    committed = _committed(root)
    aside = root / ASIDE
    aside.parent.mkdir(parents=True, exist_ok=True)
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
