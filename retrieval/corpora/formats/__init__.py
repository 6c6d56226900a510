"""One file per format; each opens a path as a corpus, checked but not yet read."""
