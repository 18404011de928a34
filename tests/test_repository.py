"""What is committed: every dependency with its hash, and no secret, host or path of a machine."""

import re
import shutil
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pipeline.params import parse_yaml
from tests.test_graph import flat
from tools import licences

ROOT = Path(__file__).parents[1]
LOCKS = ("requirements.lock", "requirements-gpu.lock")
# Spelt so that this file does not find itself.
FORBIDDEN = {
    "a path of a machine": r"/(?:home|Users)/(?!somebody)[\w.-]+/|/root/|[A-Z]:\\\\Users",
    "a package index": r"(?:index-url|find-links|trusted-host)\s*[= ]\s*\S*[/.]|/simple/\b",
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE" + " KEY",
    "a token": r"\b(?:gh[pousr]_|github_pat_|glpat-|xox[abprs]-|hf_|AKIA)[A-Za-z0-9_-]{16,}",
    "a place left to fill in": r"\bOUTPUT_[A-Z]+\b|\bTO" + r"DO\b|\bFIX" + r"ME\b",
    "a password in an address": r"\w+://[^\s/:@{}$<]+:[^\s/@{}$<]+@",
}


def committed() -> list[Path]:
    """The files that Git knows, or would take."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a Git repository")
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def texts() -> dict[str, str]:
    found = {}
    for path in committed():
        try:
            found[path.relative_to(ROOT).as_posix()] = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # a picture, or weights
    return found


@pytest.mark.parametrize("what", FORBIDDEN)
def test_nothing_committed_has(what):
    own = Path(__file__).relative_to(ROOT).as_posix()
    for name, text in texts().items():
        found = re.search(FORBIDDEN[what], text)
        assert name == own or found is None, f"{name} has {what}: {found and found[0]}"


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("a path of a machine", "see /home/" + "ann/data"),
        ("a package index", "--index-url " + "packages.example.org"),
        ("a private key", "-----BEGIN RSA PRIVATE" + " KEY-----"),
        ("a place left to fill in", "OUTPUT_" + "TABLE"),
        ("a token", "ghp_" + "a" * 30),
        ("a password in an address", "https://ann:" + "secret@example.org"),
    ],
)
def test_what_is_looked_for_is_found(what, text):
    assert re.search(FORBIDDEN[what], text)


def blocks(lock: str) -> dict[str, list[str]]:
    """Each locked package with its hashes."""
    found: dict[str, list[str]] = {}
    name = ""
    for line in (ROOT / lock).read_text().splitlines():
        if line.startswith("    --hash="):
            found[name].append(line.split("=", 1)[1].rstrip(" \\"))
        elif line.strip() and not line.startswith("#"):
            assert "==" in line, f"{lock}: {line!r} is no pinned package"
            name = canonicalize_name(re.split(r"[ =\[;]", line, maxsplit=1)[0])
            found.setdefault(name, [])
    return found


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_package_has_its_hashes(lock):
    found = blocks(lock)
    assert len(found) > 50
    for name, hashes in found.items():
        assert hashes, f"{lock}: {name} has no hash"
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", one) for one in hashes), name


def declared(*extras: str) -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    listed = [*project["dependencies"]]
    for extra in extras:
        listed += project["optional-dependencies"][extra]
    return [Requirement(line) for line in listed]


@pytest.mark.parametrize(("lock", "extras"), [(LOCKS[0], ["dev"]), (LOCKS[1], ["dev", "gpu"])])
def test_the_lock_has_all_that_is_declared(lock, extras):
    locked = blocks(lock)
    for requirement in declared(*extras):
        assert canonicalize_name(requirement.name) in locked, requirement


def test_every_dependency_has_its_reason_and_its_licence_in_the_docs():
    reasons = (ROOT / "docs" / "decisions.md").read_text().lower()
    licences = (ROOT / "docs" / "licences.md").read_text().lower()
    for requirement in declared("dev", "ray", "serve"):
        name = requirement.name.lower()
        assert name in reasons, f"docs/decisions.md does not say why {name}"
        assert f"| {name} |" in licences, f"docs/licences.md lacks {name}"


def version_of(package: str) -> str | None:
    """Of what is installed here."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def test_licences_are_those_that_the_packages_tell():
    """Of every package that is locked and installed here; others' are for their own systems."""
    listed = {}
    for line in (ROOT / "docs" / "licences.md").read_text().splitlines():
        if line.startswith("| ") and not line.startswith(("| package", "| ---")):
            name, licence = (part.strip() for part in line.strip("|").split("|")[:2])
            listed[canonicalize_name(name)] = licence
    locked = licences.locked(*(ROOT / lock for lock in LOCKS))
    assert sorted(listed) == sorted(locked), "docs/licences.md: run `python -m tools.licences`"
    texts = "\n".join((ROOT / lock).read_text() for lock in LOCKS[::-1])
    versions = re.findall(r"(?m)^([\w.-]+)==(\S+)", texts)
    pinned = {canonicalize_name(name): version for name, version in versions}
    for name in locked:
        if version_of(name) not in (None, pinned[canonicalize_name(name)]):
            continue  # of another version, as when old ones are tried: it may have another text
        if listed[name] == licences.ELSEWHERE:
            continue  # nothing that is locked needs it here, but what is tried instead does
        told = licences.licence(name)
        assert told != "unknown", name
        assert told in (listed[name], licences.ELSEWHERE), name


@pytest.mark.parametrize(
    ("had", "extras", "installs"),
    [
        ((), "", "requirements.lock"),
        ((".ready",), "", None),
        ((".ready",), "gpu", "requirements-gpu.lock"),
        ((".ready", ".ready-gpu"), "gpu", None),
        ((".ready", ".ready-gpu"), "", None),
    ],
)
def test_make_installs_what_the_environment_lacks(tmp_path, had, extras, installs):
    for name in ("Makefile", "pyproject.toml", *LOCKS):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / ".venv").mkdir()
    for name in had:
        (tmp_path / ".venv" / name).touch()
    command = ["make", "-n", "repro", *([f"EXTRAS={extras}"] if extras else [])]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert re.findall(r"--require-hashes -r (\S+)", told) == [installs] * bool(installs)
    if installs:  # with extras it has all that it has without them
        assert f"touch .venv/.ready .venv/.ready{extras and '-'}{extras}\n" in told


def test_every_setting_is_described_in_the_docs():
    """By its whole name on the page of settings, or on the page that this one names for it."""
    page = (ROOT / "docs" / "settings.md").read_text()
    first = page.partition("## ")[0]
    elsewhere = [line for line in first.splitlines() if line.startswith("| `")]
    settings = parse_yaml((ROOT / "params.yaml").read_text())
    for name in (one for section, below in settings.items() for one in flat(below, section)):
        if f"`{name}`" in page.replace(first, ""):
            continue
        section = name.partition(".")[0]
        group = name.rpartition(".")[0]
        names = [f"`{one}`" for one in (f"{section}.*", f"{group}.*", name)]
        rows = [row for row in elsewhere if any(one in row for one in names)]
        pages = [page for row in rows for page in re.findall(r"\((\w[\w-]*\.md)\)", row)]
        last = re.compile(rf"\b{name.rpartition('.')[2]}\b")
        assert any(last.search((ROOT / "docs" / p).read_text()) for p in pages), name
