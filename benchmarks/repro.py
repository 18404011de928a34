"""A second `dvc repro`, with nothing changed.

dvc repro && python -m benchmarks.repro
"""

import json
import subprocess
from typing import Any

from benchmarks.timing import seconds, spread

ROUNDS = 5


def measure() -> dict[str, Any]:
    """Time `dvc repro` where nothing has changed.

    Raises:
        RuntimeError: something has changed, so that it would run.
    """
    told = subprocess.run(["dvc", "status", "--json"], capture_output=True, text=True, check=True)
    if changed := ", ".join(json.loads(told.stdout)):
        raise RuntimeError(f"expected nothing to run: call `dvc repro` first. Received: {changed}")
    return {"seconds": spread([seconds(_repro) for _ in range(ROUNDS)])}


def _repro() -> None:
    subprocess.run(["dvc", "repro"], capture_output=True, text=True, check=True)


if __name__ == "__main__":
    from benchmarks.run import tell

    tell({"repro": measure()})
