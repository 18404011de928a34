"""Settle `features.precision: auto`: the fastest arithmetic whose features are as good.

The choice depends on the machine (bfloat16 is fast on CPUs with AVX512-BF16 or AMX and on GPUs, and
slow elsewhere), so features made with `auto` are the same bytes only on machines of one kind.
It is kept beside the features that were made with it: asked again, a machine that is busy might
choose otherwise, and all features would have to be made again.

    <folder of the cache>/precision.json    {what it was chosen for: "float32", ...}
"""

import json
import logging
import time
from pathlib import Path
from typing import Any, NamedTuple, get_args

import keras
import numpy as np

from pipeline import backend
from pipeline.files import write_json
from pipeline.images import computing
from pipeline.images.encoder import Encoder
from pipeline.images.spec import Arithmetic, Pooling

log = logging.getLogger(__name__)

MIN_COSINE = 0.999  # with float32, of each picture of the probe
MIN_GAIN = 1.1  # times as fast: less could be chance, and would change from run to run
TRIES = 3  # timed calls; the least counts
PROBE = 16  # pictures of the probe batch on a CPU; a GPU is busy with a whole batch alone
CHOICES = "precision.json"


class Probe(NamedTuple):
    """How one precision did."""

    precision: Arithmetic
    seconds: float  # for the probe batch
    cosine: float  # with float32, the least of the batch; nan where it cannot be run


def probe_size(batch_size: int) -> int:
    """Tell of how many pictures the probe is, where features are made in batches of so many."""
    return batch_size if backend.has_gpu() else PROBE


def chosen_for(fingerprint: str, pooling: Pooling, size: int) -> str:
    """Name all that a choice depends on: the encoder, how it is run and on what, and the probe."""
    device = computing.kind_of_device()
    return " | ".join([fingerprint, pooling, keras.backend.backend(), device, f"{size} pictures"])


def known_choice(folder: Path, name: str) -> Arithmetic | None:
    """Look up what was chosen before, in a folder of cached features; None if it is not known."""
    choice = _choices(folder).get(name)
    if choice not in get_args(Arithmetic):
        return None
    log.info("features: precision %s, as was chosen before (%s)", choice, folder / CHOICES)
    return choice


def keep_choice(folder: Path, name: str, choice: Arithmetic) -> None:
    """Keep what was chosen, if the folder can be written: a cache may be there only to be read."""
    try:
        write_json(folder / CHOICES, {**_choices(folder), name: choice})
    except OSError as error:
        log.warning("%s could not be written, so it is chosen anew next time: %s", CHOICES, error)


def _choices(folder: Path) -> dict[str, Any]:
    """Read all choices; none where the file is absent or is not one."""
    try:
        found = json.loads((folder / CHOICES).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def fastest(encoder: Encoder, pictures: np.ndarray) -> Encoder:
    """Choose among the precisions by a batch of real pictures, uint8 (b, side, side, 3)."""
    reference = encoder.at("float32")
    expected = reference.encode(pictures)
    exact = Probe("float32", _seconds(reference, pictures, np.inf), 1.0)
    others = [name for name in get_args(Arithmetic) if name != "float32"]
    probes = [exact, *(_probe(encoder.at(name), pictures, expected, exact) for name in others)]
    chosen = choose(probes)
    told = ", ".join(
        f"{one.precision} {1000 * one.seconds / len(pictures):.3g} ms, cosine {one.cosine:.6f}"
        for one in probes
    )
    log.info("features: precision %s, by %d pictures (each: %s)", chosen, len(pictures), told)
    return encoder.at(chosen)


def choose(probes: list[Probe]) -> Arithmetic:
    """Choose the fastest that is good enough; the first, float32, unless another gains enough."""
    good = [one for one in probes[1:] if one.cosine >= MIN_COSINE]
    best = min(good, key=lambda one: one.seconds, default=probes[0])
    return best.precision if best.seconds * MIN_GAIN <= probes[0].seconds else probes[0].precision


def least_cosine(one: np.ndarray, other: np.ndarray) -> float:
    """Give the least cosine of a picture's features in two sets, (b, ...)."""
    a, b = (values.reshape(len(values), -1).astype("float64") for values in (one, other))
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(np.min((a * b).sum(axis=1) / norms))  # nan where something is not finite


def _probe(encoder: Encoder, pictures: np.ndarray, expected: np.ndarray, exact: Probe) -> Probe:
    try:
        cosine = least_cosine(encoder.encode(pictures), expected)
        return Probe(encoder.precision, _seconds(encoder, pictures, exact.seconds), cosine)
    except Exception as error:  # noqa: BLE001 - each backend has its own for what it cannot do
        log.info("features: %s cannot be had: %s", encoder.precision, str(error)[:200])
        return Probe(encoder.precision, np.inf, np.nan)


def _seconds(encoder: Encoder, pictures: np.ndarray, known: float) -> float:
    """Time the encoder, which has run once; no longer than it takes to see that it is slower."""
    best = np.inf
    for _ in range(TRIES):
        start = time.perf_counter()
        encoder.encode(pictures)
        best = min(best, time.perf_counter() - start)
        if best > 2 * known:
            break
    return float(best)
