"""One Typer command a file: parse, load, call, save."""

import os

# TensorFlow reads this when it is imported: its C++ part is to tell errors, not remarks.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
