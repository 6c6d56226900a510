"""One file a format: each opens a source as a corpus, checked but not yet read."""
