"""Readers of caption data sets, one layout a file, and the built-in data set."""
