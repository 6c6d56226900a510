"""Approximate indexes over a collection's vectors: always optional, always measured, never the judge of a score."""
