"""Times of repeated runs, with their spread."""

import os
import platform
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pipeline.machine import cpu_flags, cpu_name

# Of what a CPU may have, that on which the speed of a product of matrices depends most.
VECTORS = "avx2", "avx512f", "avx512_bf16", "amx_bf16"
PACKAGES = "tensorflow", "jax", "keras", "numpy", "dvc"


def seconds(function: Callable[[], Any]) -> float:
    """Time one call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def in_turn(functions: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Time functions one after another, in rounds, so that a slow spell hits all of them alike."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            times[name].append(seconds(function))
    return times


def spread(values: list[float]) -> dict[str, float]:
    """Median, least and greatest of the runs, to three digits that mean something."""
    ordered = sorted(values)
    return {
        "median": _short(ordered[len(ordered) // 2]),
        "least": _short(ordered[0]),
        "greatest": _short(ordered[-1]),
        "runs": len(ordered),
    }


def ratios(above: list[float], below: list[float]) -> dict[str, float]:
    """Spread of the ratio of two times, round by round."""
    return spread([a / b for a, b in zip(above, below, strict=True)])


def photographs() -> Path:
    """The real photographs, in Flickr8k's layout.

    Raises:
        RuntimeError: CAPTION_FLICKR8K is not set.
    """
    return _folder("CAPTION_FLICKR8K")


def weights() -> Path:
    """The folder of real ImageNet weights.

    Raises:
        RuntimeError: CAPTION_WEIGHTS is not set.
    """
    return _folder("CAPTION_WEIGHTS")


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    import keras  # for which those wait that do not ask

    flags = cpu_flags()
    return {
        "cpu": cpu_name(),
        "vectors": [name for name in VECTORS if name in flags],
        "cores": os.cpu_count(),
        "processor": platform.machine(),
        "python": platform.python_version(),
        "backend": keras.backend.backend(),
        "devices": keras.distribution.list_devices(),
        **{name: version(name) for name in PACKAGES if find_spec(name)},
    }


def _folder(variable: str) -> Path:
    if not os.environ.get(variable):
        raise RuntimeError(f"{variable} is not set")
    return Path(os.environ[variable])


def _short(value: float) -> float:
    return float(f"{value:.3g}")
