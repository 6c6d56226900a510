"""Where vectors lie and candidates come from: the seam, and the segments of a folder as its first implementation."""

from __future__ import annotations

from retrieval.collection.stores.base import Proposals as Proposals
from retrieval.collection.stores.base import VectorStore as VectorStore
from retrieval.collection.stores.segments import SegmentStore as SegmentStore
