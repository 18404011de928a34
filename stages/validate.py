"""Stage `validate`: ask the rules of what `ingest` wrote; a broken one stops the run here."""

import logging
import shutil
from pathlib import Path
from typing import Annotated

import typer

from pipeline.checks.frames import read_tables
from pipeline.checks.settings import ValidateSettings
from pipeline.errors import InputError
from pipeline.files import folder_written_whole, write_json
from pipeline.params import load
from stages.command import run

log = logging.getLogger(__name__)


def validate(
    ingested: Annotated[Path, typer.Argument(help="Folder of ingest's tables.")],
    out: Annotated[Path, typer.Argument(help="Folder for summary.json and docs, created here.")],
    params: Annotated[Path, typer.Option(help="The settings file.")] = Path("params.yaml"),
) -> None:
    """Check the tables in INGESTED; write docs, and summary.json if no error is found, to OUT."""
    settings = load(ValidateSettings, "validate", params)
    (out / "summary.json").unlink(missing_ok=True)  # of an earlier run
    shutil.rmtree(out / "docs", ignore_errors=True)
    tables = read_tables(ingested)
    # Great Expectations takes seconds to import: what is wrong above is told at once.
    from pipeline.checks import docs
    from pipeline.checks import run as checking

    done = checking.validate(tables, settings)
    with folder_written_whole(out / "docs") as folder:
        docs.write_docs(folder, done)
    index = out / "docs" / "index.html"
    warnings = checking.broken(done, "warning")
    for warning in warnings:
        log.warning("warning: %s", warning.tell())
    if errors := checking.broken(done, "error"):
        bounds = [f"validate.{error.rule.setting}" for error in errors if error.rule.setting]
        move = f", or change {' and '.join(dict.fromkeys(bounds))} in {params}" if bounds else ""
        raise InputError(
            f"{ingested}: {'. '.join(error.tell() for error in errors)}. Mend the data{move}."
            f" All rules: {index}"
        )
    write_json(out / "summary.json", checking.summary(done))
    rules = sum(len(suite.outcomes) for suite in done)
    log.info(
        "validate: %d rules, %d kept, %d %s; docs: %s",
        rules,
        rules - len(warnings),
        len(warnings),
        "warning" if len(warnings) == 1 else "warnings",
        index,
    )


if __name__ == "__main__":
    run(validate)
