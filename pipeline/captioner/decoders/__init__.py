"""The decoders: one file each, one interface (`base`)."""
