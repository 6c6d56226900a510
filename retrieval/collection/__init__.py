"""A collection as a reader sees it; knows vectors, not encoders."""

from retrieval.collection.known_corpora import KnownCorpus
from retrieval.collection.reader import Collection
from retrieval.collection.totals import CollectionInfo
from retrieval.collection.view import View

__all__ = ["Collection", "CollectionInfo", "KnownCorpus", "View"]
