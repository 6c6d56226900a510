"""Search of many vectors: exact scans beside accelerators."""
