"""One Typer command a file: parse, load, call, save."""

import os

from pipeline.machine import hush_tensorflow  # before numpy and TensorFlow: see there

# TensorFlow's C++ part is to tell errors, not remarks; who sets another level sees them all.
if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") == "3":
    hush_tensorflow()
