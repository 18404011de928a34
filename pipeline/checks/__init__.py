"""Is the data fit to be trained on? Rules over what `ingest` wrote, told before anything costly."""
