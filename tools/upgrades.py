"""Run the quick tests with the oldest and the newest dependencies that pyproject.toml allows.

    python -m tools.upgrades                        # both, every quick test: half an hour
    python -m tools.upgrades lowest tests/pipeline  # one of them, some of the tests

Each is resolved by uv, installed into a virtual environment outside the repository that is removed
afterwards, and tested there. docs/upgrades.md is written with the versions and what came of it;
what is not run this time stays as it is there.
"""

import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "upgrades.md"
LOCK = ROOT / "requirements.lock"
FRAMEWORKS = ("tensorflow", "keras")
WAYS = {"lowest": "lowest-direct", "newest": "highest"}  # name -> uv's --resolution
QUICK = ("tests",)
HEAD = """# Oldest and newest dependencies

What `pyproject.toml` allows at least is tried, and so is what its packages have become since the
lock was written. `python -m tools.upgrades` writes this page: it resolves both with uv, installs
each into a virtual environment of its own, and runs the quick tests there.

`lowest` has the lowest version that is allowed of every direct dependency, and the newest of those
that these need; `newest` has the newest of all, TensorFlow and Keras not
older than the lock's.
"""


class Tried(NamedTuple):
    """What came of one environment."""

    python: str
    when: str  # a day
    tests: str  # which
    result: str  # pytest's last line
    passed: bool  # whether all of them did
    versions: dict[str, str]  # of direct dependencies


def main() -> None:
    """Try what is asked for, both by default, and write the page."""
    arguments = sys.argv[1:]
    wanted = [name for name in arguments if name in WAYS] or list(WAYS)
    tests = [name for name in arguments if name not in WAYS] or list(QUICK)
    sections = read_page(PAGE.read_text(encoding="utf-8")) if PAGE.exists() else {}
    failed = False
    for name in wanted:
        tried = try_out(name, tests)
        failed |= not tried.passed
        sections[name] = section(name, tried)
        PAGE.write_text(page(sections), encoding="utf-8")
    sys.exit(failed)


def try_out(name: str, tests: list[str]) -> Tried:
    """Resolve, install and test; what uv and pytest print is seen on the way."""
    with TemporaryDirectory(prefix="upgrades-") as folder:
        pinned, python = Path(folder, "pinned.txt"), Path(folder, "venv", "bin", "python")
        own = f"{sys.version_info[0]}.{sys.version_info[1]}"
        bounds = Path(folder, "bounds.txt")
        bounds.write_text(at_least(LOCK.read_text(encoding="utf-8")) if name == "newest" else "")
        run("uv", "pip", "compile", "-q", "--resolution", WAYS[name], "--python-version", own,
            "--no-emit-index-url", "--no-header", "--no-annotate", "--extra", "dev",
            "-c", str(bounds), "pyproject.toml", "-o", str(pinned))  # fmt: skip
        run("uv", "venv", "-q", "--python", sys.executable, str(python.parents[1]))
        run("uv", "pip", "install", "-q", "--python", str(python), "-r", str(pinned))
        run("uv", "pip", "install", "-q", "--python", str(python), "--no-deps", "-e", str(ROOT))
        result, passed = test(python, tests)
        versions = direct(pinned.read_text(encoding="utf-8"))
    day = datetime.now(UTC).date().isoformat()
    return Tried(own, day, " ".join(tests), result, passed, versions)


def at_least(lock: str) -> str:
    """Bound the frameworks by the lock: a newer h5py must not bring an older TensorFlow."""
    found = dict(re.findall(r"(?m)^([\w.-]+)==(\S+)", lock))
    return "".join(f"{name}>={found[name]}\n" for name in FRAMEWORKS)


def test(python: Path, tests: list[str]) -> tuple[str, bool]:
    """Run the tests in an environment; return pytest's last line, and whether all passed."""
    at_once = ("-n", "auto", "--maxprocesses", "4", "--dist", "loadfile")  # as `make test` does
    command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *at_once, *tests]
    with subprocess.Popen(
        [*map(str, command)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as running:
        last = ""
        assert running.stdout is not None
        for line in running.stdout:
            sys.stdout.write(line)
            sys.stdout.flush()
            last = line.strip() or last
    return re.sub(r" in [\d.]+s.*", "", last.strip("= ")), running.returncode == 0


def direct(pinned: str) -> dict[str, str]:
    """Take the versions of the packages that pyproject.toml names from uv's list of all."""
    found = dict(re.findall(r"(?m)^([\w.-]+)(?:\[[^]]*\])?==(\S+)", pinned))
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    names = {name.lower() for name in re.findall(r'(?m)^  "([\w-]+)(?:\[\w+\])?>=', text)}
    return {name: found[name] for name in sorted(names) if name in found}


def section(name: str, tried: Tried) -> str:
    """Write what came of one environment."""
    rows = [f"| {package} | {version} |" for package, version in tried.versions.items()]
    told = f"Python {tried.python}, {tried.when}, `pytest {tried.tests}`: {tried.result}"
    return "\n".join([f"## {name}", "", told, "", "| package | version |", "|---|---|", *rows])


def page(sections: dict[str, str]) -> str:
    """Put the page together."""
    return "\n".join([HEAD, *(f"{sections[name]}\n" for name in WAYS if name in sections)])


def read_page(text: str) -> dict[str, str]:
    """Take the page apart again."""
    parts = re.split(r"(?m)^(?=## )", text)[1:]
    return {part.split()[1]: part.strip() for part in parts}


def run(*command: str) -> None:
    """Run a program that has to succeed."""
    subprocess.run(command, cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
