"""Write docs/reproducibility.md: which outputs have the same bytes, and what changes them.

    python -m tools.same_bytes        # the whole graph on small scenes, six times: 13 minutes

Each condition runs in a copy of the repository of its own; what their dvc.lock say is compared.
"""

import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import yaml

from tests.copies import ROOT, Copy, copy_to

PAGE = ROOT / "docs" / "reproducibility.md"
BEGIN = "<!-- python -m tools.same_bytes writes what follows -->\n"
# An encoder that is trained, and as many pictures as that takes.
SMALL: dict[str, dict[str, Any]] = {
    "sample": {"train": 120, "val": 12, "test": 12},
    "encoder": {"weights": "train"},
}
COMPACT = {"labels": 20, "epochs": 1}


class Condition(NamedTuple):
    """What is different from an ordinary run."""

    told: str
    environment: Mapping[str, str] = {}
    one_core: bool = False


CONDITIONS = (
    Condition("in another folder, once more"),
    Condition(
        "other hash seed, language, time zone",
        {"PYTHONHASHSEED": "7", "LC_ALL": "C", "TZ": "Asia/Tokyo"},
    ),
    Condition("one core", one_core=True),
    Condition(
        "kernels of a CPU without AVX",
        {
            "ONEDNN_MAX_CPU_ISA": "SSE41",
            "NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3",
            "OPENBLAS_CORETYPE": "Nehalem",
        },
    ),
    Condition("TensorFlow's own kernels", {"TF_ENABLE_ONEDNN_OPTS": "0"}),
)


def main() -> None:
    """Run all conditions and write the page's table."""
    first, found = run(Condition("as it is")), {}
    head, _, _ = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    for condition in CONDITIONS:
        found[condition.told] = run(condition)
        PAGE.write_text(f"{head}{BEGIN}\n{table(first, found)}", encoding="utf-8")


def run(condition: Condition) -> dict[str, str]:
    """Run the whole graph; return the hash of every output, by its path."""
    with TemporaryDirectory(prefix="same-bytes-") as folder:
        copy = copy_to(Path(folder))
        for section, values in SMALL.items():
            copy.set(section, **values)
        before = copy.set("encoder", compact={})["compact"]
        assert isinstance(before, dict)
        copy.set("encoder", compact={**before, **COMPACT})
        under(condition, copy)
        return hashes(yaml.safe_load((copy.root / "dvc.lock").read_text(encoding="utf-8")))


def under(condition: Condition, copy: Copy) -> None:
    """Draw the pictures and run DVC under a condition, told on standard error."""
    sys.stderr.write(f"{condition.told} ...\n")
    cores, environment = os.sched_getaffinity(0), dict(os.environ)
    try:
        os.environ.update(condition.environment)
        if condition.one_core:
            os.sched_setaffinity(0, {min(cores)})
        copy.run(sys.executable, "-m", "stages.sample", "data/raw/mine")
        copy.repro()
    finally:
        os.sched_setaffinity(0, cores)
        os.environ.clear()
        os.environ.update(environment)


def hashes(lock: Mapping[str, Mapping[str, Mapping[str, list[dict[str, str]]]]]) -> dict[str, str]:
    """Take the hashes of all outputs from dvc.lock."""
    outs = (out for stage in lock["stages"].values() for out in stage.get("outs", []))
    return {out["path"]: out["md5"] for out in outs}


def table(first: Mapping[str, str], found: Mapping[str, Mapping[str, str]]) -> str:
    """Compare every output of every condition with the first run's."""
    rows = [
        f"| `{path}` | " + " | ".join(word(mine, theirs[path]) for theirs in found.values()) + " |"
        for path, mine in first.items()
    ]
    head = f"| output | {' | '.join(found)} |\n|---|{'---|' * len(found)}"
    day = datetime.now(UTC).date().isoformat()
    return "\n".join([f"{day}, Python {sys.version.split()[0]}:", "", head, *rows, ""])


def word(mine: str, theirs: str) -> str:
    """Tell whether two hashes are the same."""
    return "same" if mine == theirs else "**differs**"


if __name__ == "__main__":
    main()
