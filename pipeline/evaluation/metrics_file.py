"""metrics.json of `evaluate`, as those read it who are given one by a person."""

import json
from pathlib import Path
from typing import Any

from pipeline.errors import InputError


def read_metrics(path: Path) -> dict[str, Any]:
    """Read a file of scores.

    Raises:
        InputError: it is none.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise TypeError(f"a {type(content).__name__}")
    except (OSError, ValueError, TypeError) as error:
        raise not_metrics(path, error) from error
    return content


def not_metrics(path: Path, error: Exception) -> InputError:
    """Say that a file does not hold what `evaluate` writes."""
    return InputError(
        f"{path}: expected the scores that `evaluate` writes (metrics.json). Received: "
        f"{' '.join(str(error).split())[:200]}. Run `evaluate` again, or name another file"
    )
