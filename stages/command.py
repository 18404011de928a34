"""What every command shares: how it starts, and how it ends when the input is wrong."""

import logging
import os
import sys
from collections.abc import Callable
from typing import Any

import typer

from pipeline.errors import InputError

EXIT_BAD_INPUT = 2


def run(function: Callable[..., Any]) -> None:
    """Run `function` as a Typer command on the process's arguments.

    An `InputError` is printed as one line, without a traceback, and the exit code is 2; with
    CAPTION_DEBUG=1 in the environment the traceback is printed as well.
    """
    logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stderr)
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(function)
    try:
        app()
    except InputError as error:
        if os.environ.get("CAPTION_DEBUG"):
            raise
        typer.echo(f"error: {error}", err=True)
        raise SystemExit(EXIT_BAD_INPUT) from None
