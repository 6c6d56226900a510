"""A collection as a reader sees it; knows vectors, not encoders."""

from retrieval.collection.reader import Collection, CollectionInfo

__all__ = ["Collection", "CollectionInfo"]
