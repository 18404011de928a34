"""One Typer command a file: parse, load, call, save."""

import os

from pipeline.machine import hush_tensorflow  # before numpy and TensorFlow: see there

# TensorFlow reads this when it is imported: its C++ part is to tell errors, not remarks. Until it
# has read it, it remarks all the same.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
hush_tensorflow()
