"""Exports: models that run without this library, and the card that goes with them."""
