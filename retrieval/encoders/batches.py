"""Rows of every forward pass, which are part of what makes vectors reproducible to the last bit."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Batches:
    """Rows of every forward pass of the image tower and of the text tower."""

    images: int
    texts: int


INDEXING = Batches(32, 64)
"""As everything that writes to a collection encodes on the CPU."""

QUERYING = Batches(1, 1)
"""As a query encodes: one at a time."""
