"""The one kind of error that is the user's to mend."""


class InputError(ValueError):
    """Settings, data or files are not what the pipeline can work with.

    The message is one line that a person who has never seen the code can act on: what was
    expected, what came, in which file and line, and what to do. Commands print it without a
    traceback and exit with code 2 (`stages/command.py`).
    """
