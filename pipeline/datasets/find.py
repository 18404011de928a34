"""Find out in which layout a data set lies, by looking at the names in its folder."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pipeline.datasets.coco import COCO
from pipeline.datasets.flickr8k import FLICKR8K
from pipeline.datasets.flickr8k_kaggle import FLICKR8K_KAGGLE
from pipeline.datasets.flickr30k import FLICKR30K
from pipeline.datasets.flickr30k_kaggle import FLICKR30K_KAGGLE
from pipeline.datasets.karpathy import KARPATHY
from pipeline.datasets.layout import Layout
from pipeline.datasets.table import TABLE
from pipeline.datasets.tfds_layout import TFDS
from pipeline.datasets.webdataset import WEBDATASET
from pipeline.errors import InputError

AUTO = "auto"
# From the most particular to the most general: the first that recognises the folder reads it.
LAYOUTS: tuple[Layout, ...] = (
    KARPATHY,  # before those whose pictures it lists: who adds its file wants its splits
    COCO,
    FLICKR8K,
    FLICKR30K,
    FLICKR30K_KAGGLE,  # before the next, which would take the numbers of its captions for words
    FLICKR8K_KAGGLE,
    TFDS,
    WEBDATASET,
    TABLE,
)
SCENES = "data/raw/scenes"  # a folder that the pipeline draws by itself, if it is asked for
NAMES_TOLD = 10
PACKED = (".zip", ".tar.gz", ".tgz", ".7z", ".rar")


def find_layout(raw: Path, wanted: str) -> Layout:
    """Choose the layout called `wanted`, or with "auto" the first that recognises the folder.

    Raises:
        InputError: the folder is absent or empty, or does not hold what the layout needs.
    """
    names = _names(raw)
    layouts = [layout for layout in LAYOUTS if wanted in (AUTO, layout.name)]
    for layout in layouts:
        if layout.recognises(raw):
            return layout
    looked_for = "; or ".join(f"{layout.name}: {layout.looks_for}" for layout in layouts)
    found = ", ".join(names[:NAMES_TOLD])
    more = f" and {len(names) - NAMES_TOLD:,} more" if len(names) > NAMES_TOLD else ""
    raise InputError(
        f"{raw}: the layout is not recognised (ingest.format: {wanted})."
        f" Expected {looked_for}. Received: {found}{more}{_hint(raw, names, layouts)}"
    )


def _hint(raw: Path, names: Sequence[str], layouts: Sequence[Layout]) -> str:
    """Say what a folder that is not recognised seems to lack."""
    for name in (name for name in names if name.endswith("/")):
        for layout in layouts:
            with suppress(OSError, InputError):  # a folder that may not be looked into
                if layout.recognises(raw / name):
                    return (
                        f". {raw / name} looks like {layout.name}: name that folder as"
                        " ingest.folder, or move what is in it one folder up"
                    )
    packed = [name for name in names if name.lower().endswith(PACKED)]
    return f". Unpack {packed[0]}, so that what is in it lies in {raw}" if packed else ""


def _names(raw: Path) -> list[str]:
    """List what lies in the folder, folders with a / at the end."""
    if not raw.is_dir():
        what = "expected a folder. Received: a file" if raw.exists() else "no such folder"
        raise InputError(
            f"{raw}: {what}. Put the data set there, or name its folder in params.yaml"
            " (ingest.folder)"
        )
    names = sorted(f"{path.name}/" if path.is_dir() else path.name for path in raw.iterdir())
    if not names:
        raise InputError(
            f"{raw}: the folder is empty. Put the data set there, or name its folder in"
            " params.yaml (ingest.folder)"
        )
    return names
