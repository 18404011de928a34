"""metrics.json of `evaluate`, for those who read it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import InputError

PTB = "ptb"  # the tokenisation of official scores
UNSCORED = "none"  # where nothing could be scored


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


def other_tokens(metrics: Mapping[str, Any]) -> str | None:
    """Say why scores are not on the official tokens; None where they are, or there are none."""
    found = metrics.get("tokenisation", PTB)
    if found in (PTB, UNSCORED):
        return None
    return f"Scores are on other tokens than the official ones, so others' do not compare: {found}"


def missing_of_seeds(metrics: Mapping[str, Any]) -> Mapping[str, str]:
    """Say why scores of single seeds are missing that those of all together are not."""
    missing: Mapping[str, str] = (metrics.get("seeds") or {}).get("missing") or {}
    return missing
