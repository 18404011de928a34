"""Search: captions under a model that scores one word after another."""
