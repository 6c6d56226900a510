"""A decoder of captions on a two-tower encoder's image features, in numpy: what comes with vlsearch."""
