"""Stage `sample`: draw the built-in data set, *scenes*, so that the pipeline runs anywhere."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.datasets.scenes.sample import SampleSettings, write_sample
from pipeline.params import load
from stages.command import run


def sample(
    out: Annotated[Path, typer.Argument(help="The data set's folder, replaced if it exists.")],
    params: Annotated[Path, typer.Option(help="File with the section `sample`.")] = Path(
        "params.yaml"
    ),
) -> None:
    """Draw pictures with captions and facts; write them to OUT in Flickr8k's layout."""
    write_sample(out, load(SampleSettings, "sample", params))


if __name__ == "__main__":
    run(sample)
