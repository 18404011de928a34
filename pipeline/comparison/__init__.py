"""What changed between two runs: settings, metrics, and captions picture by picture."""
