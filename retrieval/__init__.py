"""Find pictures by text and texts by picture: the read side of vlsearch.

>>> import retrieval
>>> engine = retrieval.open()                                     # doctest: +SKIP
>>> for hit in engine.search("a dog in the snow", k=3):           # doctest: +SKIP
...     print(hit.rank, round(hit.score, 3), hit.uri)

Importing this package loads nothing heavy: every name is imported when it is first used (PEP 562).
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # typing's, without importing it: see retrieval/cli/start.py
if TYPE_CHECKING:
    from retrieval.analysis.clusters import Cluster as Cluster
    from retrieval.analysis.clusters import Clusters as Clusters
    from retrieval.analysis.collection_map import CollectionMap as CollectionMap
    from retrieval.client.engine import RemoteEngine as RemoteEngine
    from retrieval.client.engine import connect as connect
    from retrieval.collection import Collection as Collection
    from retrieval.collection import CollectionInfo as CollectionInfo
    from retrieval.collection import View as View
    from retrieval.collection.albums import Album as Album
    from retrieval.collection.albums import AlbumPart as AlbumPart
    from retrieval.collection.filters.parse import parse_where as parse_where
    from retrieval.corpora import Corpus as Corpus
    from retrieval.corpora import CorpusOptions as CorpusOptions
    from retrieval.corpora import open_corpus as open_corpus
    from retrieval.corpora import parse_caption_column as parse_caption_column
    from retrieval.duplicates.find import Duplicates as Duplicates
    from retrieval.duplicates.groups import DuplicateCopy as DuplicateCopy
    from retrieval.duplicates.groups import DuplicateGroup as DuplicateGroup
    from retrieval.encoders.base import Encoder as Encoder
    from retrieval.encoders.registry import load_encoder as load_encoder
    from retrieval.errors import CollectionDamaged as CollectionDamaged
    from retrieval.errors import CollectionError as CollectionError
    from retrieval.errors import CollectionLocked as CollectionLocked
    from retrieval.errors import CollectionNotFound as CollectionNotFound
    from retrieval.errors import CollectionTooNew as CollectionTooNew
    from retrieval.errors import CorpusFormatError as CorpusFormatError
    from retrieval.errors import CursorExpired as CursorExpired
    from retrieval.errors import EvaluationError as EvaluationError
    from retrieval.errors import FilterError as FilterError
    from retrieval.errors import IdentityMismatch as IdentityMismatch
    from retrieval.errors import ImageError as ImageError
    from retrieval.errors import MissingExtra as MissingExtra
    from retrieval.errors import ModelError as ModelError
    from retrieval.errors import NoSuchAlbum as NoSuchAlbum
    from retrieval.errors import QueryError as QueryError
    from retrieval.errors import ServerError as ServerError
    from retrieval.errors import TrainingError as TrainingError
    from retrieval.errors import UnknownModel as UnknownModel
    from retrieval.errors import UsageError as UsageError
    from retrieval.errors import VlsearchError as VlsearchError
    from retrieval.evaluation.answering.evaluate import evaluate_answers as evaluate_answers
    from retrieval.evaluation.captioning.evaluate import CaptionEvaluation as CaptionEvaluation
    from retrieval.evaluation.captioning.evaluate import evaluate_captions as evaluate_captions
    from retrieval.evaluation.evaluate import classify as classify
    from retrieval.evaluation.evaluate import evaluate as evaluate
    from retrieval.evaluation.request import EvaluateOptions as EvaluateOptions
    from retrieval.evaluation.reranking import evaluate_reranking as evaluate_reranking
    from retrieval.expressions import Expression as Expression
    from retrieval.expressions import field as field
    from retrieval.expressions import near as near
    from retrieval.expressions import under as under
    from retrieval.generators.base import Answer as Answer
    from retrieval.generators.base import Generator as Generator
    from retrieval.generators.base import GeneratorIdentity as GeneratorIdentity
    from retrieval.generators.base import WrittenCaption as WrittenCaption
    from retrieval.generators.pictures import CaptionedPicture as CaptionedPicture
    from retrieval.generators.pictures import caption_images as caption_images
    from retrieval.generators.registry import load_generator as load_generator
    from retrieval.identity import Identity as Identity
    from retrieval.query.asking import ask as ask
    from retrieval.query.engine import SearchEngine as SearchEngine
    from retrieval.query.engine import open_engine as open
    from retrieval.query.explanation import Explanation as Explanation
    from retrieval.query.explanation import Region as Region
    from retrieval.query.parse import parse_query as parse_query
    from retrieval.query.parts import ImagePart as ImagePart
    from retrieval.query.parts import ItemPart as ItemPart
    from retrieval.query.parts import KeyPart as KeyPart
    from retrieval.query.parts import Query as Query
    from retrieval.query.parts import Queryable as Queryable
    from retrieval.query.parts import TextPart as TextPart
    from retrieval.query.pictures import Picture as Picture
    from retrieval.query.pictures import Pictures as Pictures
    from retrieval.query.without import read_query as read_query
    from retrieval.rerankers.registry import load_reranker as load_reranker
    from retrieval.types import ORIGINS as ORIGINS
    from retrieval.types import Box as Box
    from retrieval.types import Failure as Failure
    from retrieval.types import Hit as Hit
    from retrieval.types import Hits as Hits
    from retrieval.types import ImageText as ImageText
    from retrieval.types import Item as Item
    from retrieval.types import Limits as Limits
    from retrieval.types import LinkedText as LinkedText
    from retrieval.types import Origin as Origin
    from retrieval.types import Progress as Progress
    from retrieval.types import Request as Request
    from retrieval.types.request import SearchOptions as SearchOptions
    from retrieval.types.request import SimilarOptions as SimilarOptions

_ERRORS = (
    "CollectionDamaged CollectionError CollectionLocked CollectionNotFound CollectionTooNew "
    "CorpusFormatError CursorExpired EvaluationError FilterError IdentityMismatch ImageError MissingExtra ModelError "
    "NoSuchAlbum QueryError ServerError TrainingError UnknownModel UsageError VlsearchError"
)
_EXPORTS = {
    "Album": "retrieval.collection.albums",
    "AlbumPart": "retrieval.collection.albums",
    "Answer": "retrieval.generators.base",
    "CaptionedPicture": "retrieval.generators.pictures",
    "Generator": "retrieval.generators.base",
    "GeneratorIdentity": "retrieval.generators.base",
    "WrittenCaption": "retrieval.generators.base",
    "ask": "retrieval.query.asking",
    "caption_images": "retrieval.generators.pictures",
    "load_generator": "retrieval.generators.registry",
    "load_reranker": "retrieval.rerankers.registry",
    "CaptionEvaluation": "retrieval.evaluation.captioning.evaluate",
    "Cluster": "retrieval.analysis.clusters",
    "Clusters": "retrieval.analysis.clusters",
    "Collection": "retrieval.collection",
    "CollectionInfo": "retrieval.collection",
    "CollectionMap": "retrieval.analysis.collection_map",
    "Corpus": "retrieval.corpora",
    "CorpusOptions": "retrieval.corpora",
    "EvaluateOptions": "retrieval.evaluation.request",
    "DuplicateCopy": "retrieval.duplicates.groups",
    "DuplicateGroup": "retrieval.duplicates.groups",
    "Duplicates": "retrieval.duplicates.find",
    "Encoder": "retrieval.encoders.base",
    "Explanation": "retrieval.query.explanation",
    "Expression": "retrieval.expressions",
    "Failure": "retrieval.types",
    "Hit": "retrieval.types",
    "Hits": "retrieval.types",
    "Identity": "retrieval.identity",
    "ImagePart": "retrieval.query.parts",
    "Item": "retrieval.types",
    "ItemPart": "retrieval.query.parts",
    "KeyPart": "retrieval.query.parts",
    "Limits": "retrieval.types",
    "Box": "retrieval.types",
    "ImageText": "retrieval.types",
    "LinkedText": "retrieval.types",
    "ORIGINS": "retrieval.types",
    "Origin": "retrieval.types",
    "Picture": "retrieval.query.pictures",
    "Pictures": "retrieval.query.pictures",
    "Progress": "retrieval.types",
    "Query": "retrieval.query.parts",
    "Queryable": "retrieval.query.parts",
    "Region": "retrieval.query.explanation",
    "RemoteEngine": "retrieval.client.engine",
    "Request": "retrieval.types",
    "SearchEngine": "retrieval.query.engine",
    "SearchOptions": "retrieval.types.request",
    "SimilarOptions": "retrieval.types.request",
    "TextPart": "retrieval.query.parts",
    "View": "retrieval.collection",
    "connect": "retrieval.client.engine",
    "classify": "retrieval.evaluation.evaluate",
    "evaluate": "retrieval.evaluation.evaluate",
    "evaluate_answers": "retrieval.evaluation.answering.evaluate",
    "evaluate_captions": "retrieval.evaluation.captioning.evaluate",
    "evaluate_reranking": "retrieval.evaluation.reranking",
    "field": "retrieval.expressions",
    "load_encoder": "retrieval.encoders.registry",
    "near": "retrieval.expressions",
    "open": "retrieval.query.engine:open_engine",
    "open_corpus": "retrieval.corpora",
    "parse_caption_column": "retrieval.corpora",
    "parse_query": "retrieval.query.parse",
    "parse_where": "retrieval.collection.filters.parse",
    "under": "retrieval.expressions",
    "read_query": "retrieval.query.without",
    **dict.fromkeys(_ERRORS.split(), "retrieval.errors"),
}

_RENAMED = {"PicturePart": "ImagePart"}
"""Public names of the last release by their new names; the old ones work for one more release, with a warning."""

__all__ = [
    "ORIGINS",
    "Album",
    "AlbumPart",
    "Answer",
    "Box",
    "CaptionEvaluation",
    "CaptionedPicture",
    "Cluster",
    "Clusters",
    "Collection",
    "CollectionDamaged",
    "CollectionError",
    "CollectionInfo",
    "CollectionLocked",
    "CollectionMap",
    "CollectionNotFound",
    "CollectionTooNew",
    "Corpus",
    "CorpusFormatError",
    "CorpusOptions",
    "CursorExpired",
    "DuplicateCopy",
    "DuplicateGroup",
    "Duplicates",
    "Encoder",
    "EvaluateOptions",
    "EvaluationError",
    "Explanation",
    "Expression",
    "Failure",
    "FilterError",
    "Generator",
    "GeneratorIdentity",
    "Hit",
    "Hits",
    "Identity",
    "IdentityMismatch",
    "ImageError",
    "ImagePart",
    "ImageText",
    "Item",
    "ItemPart",
    "KeyPart",
    "Limits",
    "LinkedText",
    "MissingExtra",
    "ModelError",
    "NoSuchAlbum",
    "Origin",
    "Picture",
    "Pictures",
    "Progress",
    "Query",
    "QueryError",
    "Queryable",
    "Region",
    "RemoteEngine",
    "Request",
    "SearchEngine",
    "SearchOptions",
    "ServerError",
    "SimilarOptions",
    "TextPart",
    "TrainingError",
    "UnknownModel",
    "UsageError",
    "View",
    "VlsearchError",
    "WrittenCaption",
    "ask",
    "caption_images",
    "classify",
    "connect",
    "evaluate",
    "evaluate_answers",
    "evaluate_captions",
    "evaluate_reranking",
    "field",
    "load_encoder",
    "load_generator",
    "load_reranker",
    "near",
    "open",
    "open_corpus",
    "parse_caption_column",
    "parse_query",
    "parse_where",
    "read_query",
    "under",
]


def __getattr__(name: str) -> object:
    """Import a public name when it is first used; a deprecated name gives the object of its new name."""
    if name in _RENAMED:
        import warnings  # late: a query that uses no deprecated name does not pay for it

        new = _RENAMED[name]
        warnings.warn(f"retrieval.{name} is retrieval.{new} now", DeprecationWarning, stacklevel=2)
        return __getattr__(new)
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _EXPORTS[name].partition(":")
    value: object = getattr(import_module(module), attribute or name)
    globals()[name] = value  # the next use finds it without asking
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
