"""From a corpus into a collection: look up, read, prepare, encode, stage, commit."""
