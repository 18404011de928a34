"""Run every benchmark, one after another, and write benchmarks/results.json.

    CAPTION_FLICKR8K=... CAPTION_WEIGHTS=... python -m benchmarks.run

Nothing else may run on the machine meanwhile. One that needs what is not there is left out, and
the reason is written down. Beside the figures of each stands the machine that it ran on, as several
may have a part in the file; beside a figure that is printed, what is aimed at.
"""

import importlib
import json
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from benchmarks.timing import machine
from pipeline.files import write_json

NAMES = (
    *("tables", "features", "training", "search", "cider", "scores", "caption", "serve", "repro"),
)
MACHINE = "machine"  # beside the figures of each
RESULTS = Path(__file__).with_name("results.json")


class Aim(NamedTuple):
    """What a figure is to be: at least a value, or at most."""

    value: float
    at_most: bool = False

    def verdict(self, value: float) -> str:
        """Tell whether a value reaches it, or by how much it is short of it."""
        short = value - self.value if self.at_most else self.value - value
        sign = "<=" if self.at_most else ">="
        told = "reached" if short <= 0 else f"short by {short:.3g}"
        return f"aim {sign} {self.value:g}: {told}"


AIMS: dict[str, dict[str, Aim]] = {  # of each benchmark; a figure's median is held against it
    "features": {
        "MobileNetV2_times_one_by_one": Aim(5),
        **{
            f"{network}_{figure}": aim
            for network in ("MobileNetV2", "ResNet50")
            for figure, aim in (
                ("share_of_bare", Aim(0.95)),
                ("cold_to_warm", Aim(100)),
                ("one_percent_new_to_cold", Aim(0.03, at_most=True)),
            )
        },
    },
    "training": {
        "times_padded": Aim(1.6),
        "times_expanded": Aim(20),
        "share_of_peak": Aim(0.7),
        "share_of_peak_bfloat16": Aim(0.7),
    },
    "search": {
        "beam_3_seconds": Aim(5, at_most=True),
        "beam_3_times_greedy_predict_loop": Aim(200),
    },
}


def main(names: Annotated[list[str] | None, typer.Argument(help="Which; all.")] = None) -> None:
    """Measure, print, and write after each; figures of benchmarks not named stay as they are."""
    results: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    here = machine()
    for name in names or NAMES:
        try:
            figures = importlib.import_module(f"benchmarks.{name}").measure()
        except RuntimeError as error:
            figures = {"left_out": str(error)}
        results[name] = {**figures, MACHINE: here}
        tell({name: results[name]})
        write_json(RESULTS, results)


def tell(results: dict[str, dict[str, Any]]) -> None:
    """Print one line a figure, with what is aimed at, where anything is."""
    for name, figures in results.items():
        for figure, value in figures.items():
            if figure != MACHINE:
                typer.echo(f"{name}: {figure} {_told(value, AIMS.get(name, {}).get(figure))}")


def _told(value: Any, aim: Aim | None) -> str:
    """Write a figure: a number or a text, or the spread of several runs."""
    spread = isinstance(value, dict)
    told = (
        "{median:g} ({least:g} to {greatest:g}, {runs} runs)".format(**value) if spread else value
    )
    if aim is None:
        return str(told)
    return f"{told}; {aim.verdict(value['median'] if spread else value)}"


if __name__ == "__main__":
    typer.run(main)
