"""What the speed claims rest on: ratios, each measured in one run."""
