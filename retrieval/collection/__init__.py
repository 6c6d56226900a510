"""A collection as a reader sees it; knows vectors, not encoders."""

from retrieval.collection.reader import Collection, CollectionInfo
from retrieval.collection.view import View

__all__ = ["Collection", "CollectionInfo", "View"]
