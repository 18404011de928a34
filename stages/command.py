"""What every command shares: how it starts, and how it ends when the input is wrong."""

import errno
import logging
import os
import sys
from collections.abc import Callable
from typing import Any

import typer

from pipeline.errors import InputError

EXIT_BAD_INPUT = 2
REFUSED = (
    (
        (errno.ENOSPC, errno.EDQUOT, errno.EFBIG),
        ("room on the disk", "Make room, and run again: nothing half-written was left"),
    ),
    (
        (errno.EROFS, errno.EACCES, errno.EPERM),
        ("permission", "Change its permissions, or name another place"),
    ),
    (
        (errno.ENOENT, errno.ENOTDIR, errno.ESTALE),
        ("it to be there", "If it was removed meanwhile, bring it back, or run `dvc repro`"),
    ),
)


def run(function: Callable[..., Any]) -> None:
    """Run `function` as a Typer command on the process's arguments.

    An `InputError`, and what the system refuses (a full disk, no permission, a file that is gone),
    is printed as one line, without a traceback, and the exit code is 2; with CAPTION_DEBUG=1 in the
    environment the traceback is printed as well.
    """
    logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stderr)
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(function)
    try:
        app()
    except (InputError, OSError) as error:
        told = _refused(error) if isinstance(error, OSError) else str(error)
        if told is None or os.environ.get("CAPTION_DEBUG"):
            raise
        typer.echo(f"error: {told}", err=True)
        raise SystemExit(EXIT_BAD_INPUT) from None


def _refused(error: OSError) -> str | None:
    """Say what the system refuses, and what to do; None for errors that are not the system's."""
    if error.errno is None:
        return None
    place = str(error.filename) if error.filename is not None else "a file"
    expected, advice = next(
        (told for numbers, told in REFUSED if error.errno in numbers),
        ("it to work", "Mend that, and run again; CAPTION_DEBUG=1 tells more"),
    )
    return f"{place}: expected {expected}. Received: {os.strerror(error.errno)}. {advice}"
