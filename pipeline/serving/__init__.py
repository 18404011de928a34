"""A page and an interface over HTTP where people try a trained captioner."""
