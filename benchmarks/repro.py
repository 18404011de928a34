"""A second `dvc repro`, with nothing changed.

dvc repro && python -m benchmarks.repro
"""

import subprocess
from typing import Any

from benchmarks.timing import seconds, spread

ROUNDS = 5


def measure() -> dict[str, Any]:
    """Time `dvc repro` where nothing has changed.

    Raises:
        RuntimeError: something had changed, so it ran.
    """
    return {"seconds": spread([seconds(_repro) for _ in range(ROUNDS)])}


def _repro() -> None:
    done = subprocess.run(["dvc", "repro"], capture_output=True, text=True, check=True)
    if "Running stage" in done.stdout:
        raise RuntimeError("expected nothing to run: call `dvc repro` first")


if __name__ == "__main__":
    from benchmarks.run import tell

    tell({"repro": measure()})
