"""What the speed claims rest on: ratios, each measured in one run."""

import pipeline  # noqa: F401 - before numpy and TensorFlow: see pipeline/machine.py
