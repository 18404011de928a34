"""The captioner: batches, decoders, training, search and the bundle that is saved."""
