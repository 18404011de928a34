"""Pictures to features: decoding, the encoder, extraction, shards."""
