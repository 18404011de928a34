"""One Typer command a file: parse, load, call, save."""

import os

from pipeline.quiet import hush_tensorflow  # brings `pipeline` first: see pipeline/machine.py

# TensorFlow's C++ part is to tell errors, not remarks; who sets another level sees them all.
if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") == "3":
    hush_tensorflow()
