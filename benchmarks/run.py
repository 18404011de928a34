"""Run every benchmark, one after another, and write benchmarks/results.json.

    CAPTION_FLICKR8K=... CAPTION_WEIGHTS=... python -m benchmarks.run

Nothing else may run on the machine meanwhile. One that needs what is not there is left out, and
the reason is written down.
"""

import importlib
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.timing import machine
from pipeline.files import write_json

NAMES = (
    *("tables", "features", "training", "search", "cider", "scores", "caption", "serve", "repro"),
)
RESULTS = Path(__file__).with_name("results.json")


def main(names: Annotated[list[str] | None, typer.Argument(help="Which; all.")] = None) -> None:
    """Measure, print, and write after each; figures of benchmarks not named stay as they are."""
    results: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results["machine"] = machine()
    for name in names or NAMES:
        try:
            results[name] = importlib.import_module(f"benchmarks.{name}").measure()
        except RuntimeError as error:
            results[name] = {"left_out": str(error)}
        tell({name: results[name]})
        write_json(RESULTS, results)


def tell(results: dict[str, dict[str, Any]]) -> None:
    """Print one line a figure."""
    for name, figures in results.items():
        for figure, value in figures.items():
            if isinstance(value, dict):
                value = "{median:g} ({least:g} to {greatest:g}, {runs} runs)".format(**value)
            typer.echo(f"{name}: {figure} {value}")


if __name__ == "__main__":
    typer.run(main)
