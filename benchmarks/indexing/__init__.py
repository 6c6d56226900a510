"""Memory and speed of indexing."""
