"""What the report is made of, beside the tables: curves of training, and the sweep's table."""

import csv
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.errors import InputError

# Columns of the sweep's table; one that was written before there were the last two lacks them.
SETTINGS = BEAM, PENALTY, GUIDE, CONSENSUS = "beam_width", "length_penalty", "guide", "consensus"

BEST = "best.json"  # of the sweep, beside its table
FIRST = "first seed"  # the run of the training that has no folder of its own, where others have


@dataclass(frozen=True)
class Curve:
    """One figure by step of the training."""

    name: str  # loss, val_loss, val_cider_d, ...
    run: str  # of several trainings, such as one a seed; "" where there is one
    steps: tuple[float, ...]
    values: tuple[float, ...]


@dataclass(frozen=True)
class Trial:
    """One line of the sweep: decoding settings and what they reach on the validation split."""

    beam_width: int
    length_penalty: float
    scores: dict[str, float]  # by metric
    consensus: float = 0.0
    guide: float = 0.0


def read_curves(folder: Path) -> list[Curve]:
    """Read what DVCLive wrote: a .tsv file a figure, with the columns `step` and its name.

    Files that lie in folders of several trainings are curves of one name and several runs; those
    of the first training lie in none.

    Raises:
        InputError: there are no such files, or one is none of DVCLive's.
    """
    files = sorted(folder.rglob("*.tsv"))
    if not files:
        raise InputError(
            f"{folder}: expected the learning curves of `train` (.tsv). Received: none. "
            "Run `dvc repro`"
        )
    curves = [_curve(path, folder) for path in files]
    if not any(curve.run for curve in curves):
        return curves
    return [curve if curve.run else replace(curve, run=FIRST) for curve in curves]


def _curve(path: Path, folder: Path) -> Curve:
    rows = _rows(path, "\t")
    name = path.stem
    try:
        points = [(float(row["step"]), float(row[name])) for row in rows]
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(
            f"{path}: expected numbers in columns step and {name}. Received: {error}"
        ) from error
    finite = [point for point in points if math.isfinite(point[1])]
    run = "/".join(
        part
        for part in path.relative_to(folder).parts[:-1]
        if part not in ("plots", "metrics")  # DVCLive's own folders
    )
    # DVCLive counts from 0, metrics.json and the log of `train` from 1.
    return Curve(name, run, tuple(step + 1 for step, _ in finite), tuple(y for _, y in finite))


def read_sweep(path: Path) -> list[Trial]:
    """Read the sweep's table (CSV): a column a setting, and a column a score.

    Raises:
        InputError: it is absent, has no rows, or other columns.
    """
    rows = _rows(path, ",")
    try:
        trials = [
            Trial(
                int(row[BEAM]),
                float(row[PENALTY]),
                {name: float(row[name]) for name in row if name not in SETTINGS},
                float(row.get(CONSENSUS, 0.0)),
                float(row.get(GUIDE, 0.0)),
            )
            for row in rows
        ]
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(
            f"{path}: expected numbers in columns {BEAM}, {PENALTY} and scores. Received: {error}"
        ) from error
    if not trials:
        raise InputError(f"{path}: expected a row for each setting tried. Received: none")
    return trials


def chosen_by(sweep: Path) -> str | None:
    """Tell which score `sweep` chose by, from best.json beside its table; None where it is absent.

    Raises:
        InputError: it is not what `sweep` writes.
    """
    path = sweep.with_name(BEST)
    return read_best(path)["metric"] if path.exists() else None


def read_best(path: Path) -> dict[str, Any]:
    """Read the sweep's best.json: the settings that were best, their scores, and its `metric`.

    Raises:
        InputError: it is absent, or is not what `sweep` writes.
    """
    try:
        best = json.loads(path.read_text(encoding="utf-8"))
        return {**best, "metric": str(best["metric"])}
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise not_best(path, error) from error


def not_best(path: Path, error: Exception) -> InputError:
    """Say that a file is no best.json."""
    return InputError(f"{path}: expected what `sweep` writes. Received: {error}")


def _rows(path: Path, delimiter: str) -> Sequence[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            return list(csv.DictReader(stream, delimiter=delimiter))
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file. Run `dvc repro`") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as a table: {error}") from error
