"""A copy of the repository with tiny *scenes*, for tests that run the whole graph."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
STAGES = (
    *("sample", "ingest", "validate", "clean", "explore", "vocabulary"),
    *("encoder", "features", "train", "sweep", "evaluate", "report"),
)
PARTS = [
    "pipeline",
    "stages",
    "params.yaml",
    "dvc.yaml",
    ".dvc/config",
    ".dvc/plots",
    ".dvcignore",
    "data/raw/embeddings/README.md",
    "data/raw/weights/README.md",
]
RAW = "data/raw/mine"
WEIGHTS = "mine.weights.h5"
TINY: dict[str, dict[str, Any]] = {
    "sample": {"train": 24, "val": 6, "test": 6, "size": 64},
    "ingest": {"folder": RAW},
    "validate": {"min_pictures": {"train": 1, "val": 1, "test": 1}},
    "vocabulary": {"min_count": 2},
    "encoder": {"weights": WEIGHTS, "side": 32},
    "features": {"batch_size": 8, "rows_per_shard": 16},
    "train": {"units": 8, "embedding": 8, "epochs": 1, "batch_size": 16},
    "evaluate": {"beam_width": 2},
    "sweep": {"beam_widths": [1, 2], "length_penalties": [0.5]},
}
COMMIT = ("git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-q")
MAKE_WEIGHTS = """
import sys
from pipeline.images.networks import NETWORKS
NETWORKS["compact"].body(None, 32).save_weights(sys.argv[1])
"""


class Copy:
    """A copy of the repository, and what one can do in it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def run(self, *command: str) -> str:
        done = subprocess.run(command, cwd=self.root, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def repro(self) -> tuple[set[str], str]:
        """Run the pipeline; return the stages that ran, and all that was printed."""
        told = self.run(sys.executable, "-m", "dvc", "repro")
        return set(re.findall(r"Running stage '(\w+)'", told)), told

    def set(self, section: str, **values: object) -> dict[str, object]:
        """Change settings; return the earlier values."""
        path = self.root / "params.yaml"
        params = yaml.safe_load(path.read_text())
        before = {name: params[section][name] for name in values}
        params[section].update(values)
        path.write_text(yaml.safe_dump(params))
        return before


def copy_to(root: Path) -> Copy:
    """Copy what a clone has, with tiny data and an encoder; nothing has run yet."""
    for part in PARTS:
        source, target = ROOT / part, root / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    made = Copy(root)
    made.run("git", "init", "-q")
    made.run(*COMMIT, "--allow-empty", "-m", "begin")  # as a clone has one, and DVCLive needs one
    for section, values in TINY.items():
        made.set(section, **values)
    made.run(sys.executable, "-m", "stages.sample", RAW)
    made.run(sys.executable, "-c", MAKE_WEIGHTS, f"data/raw/weights/{WEIGHTS}")
    return made
