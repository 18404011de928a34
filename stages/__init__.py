"""One Typer command a file: parse, load, call, save."""

import os

import pipeline  # noqa: F401 - before numpy and TensorFlow: see pipeline/machine.py

# TensorFlow reads this when it is imported: its C++ part is to tell errors, not remarks.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
