"""One Typer command a file: parse, load, call, save."""
