"""Where vectors lie and candidates come from: the seam, and the segments of a folder as its first implementation.

FAISS and row numbers are known here and in :mod:`retrieval.collection.accelerators`, and nowhere else.
"""

from __future__ import annotations

from retrieval.collection.stores.protocols import KindStore as KindStore
from retrieval.collection.stores.protocols import Proposals as Proposals
from retrieval.collection.stores.protocols import VectorStore as VectorStore
from retrieval.collection.stores.protocols import VectorWriter as VectorWriter
from retrieval.collection.stores.protocols import WrittenVectors as WrittenVectors
from retrieval.collection.stores.segment_store import SegmentStore as SegmentStore
from retrieval.collection.stores.segment_store import open_stores as open_stores
from retrieval.collection.stores.segment_store import search_threads as search_threads
from retrieval.collection.stores.segment_writer import SegmentWriter as SegmentWriter
