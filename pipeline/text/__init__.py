"""Captions to tokens, tokens to a vocabulary."""
