"""What a run over a corpus is asked for: the keywords of callers, and the frozen value that a run takes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from indexer.pipeline.pace import INDEX_PACE, CommitPace
from retrieval.corpora import CorpusOptions
from retrieval.keywords import checked_keywords
from retrieval.types import Limits

if TYPE_CHECKING:
    from retrieval.encoders.base import Encoder


@dataclass(frozen=True, slots=True)
class IndexRequest:
    """How a corpus is indexed.

    Attributes:
        model: name, alias or folder of the encoder, or an encoder; ``auto`` keeps the collection's own.
        options: how to read a corpus that is named.
        limits: bytes, pixels and seconds that an image may take, and memory that all may take that are decoded.
        prune: drop items of this corpus that have vanished from it, unless another corpus lists them too.
        retry_failed: try images again that failed before, even where neither they nor what may be the cause has
            changed since.
        reread: read every image again, and download it again, even if nothing suggests that it has changed; only
            one whose bytes have changed is encoded.
        relative: keep the paths below the folder that holds the collection relative to it, so that both can be moved
            together (to another mount point, another computer) and are found there.
        regions: give each of the collection's images vectors of its regions too, so that small things are found: those
            that are there, and from then on those that come. False drops them. None: as the collection has it.
        workers: processes that decode; None: one a core, fewer where memory is short.
        timeout: seconds to wait for another process that writes to the collection; by default none.
        pace: how much work a commit takes.
    """

    model: str | Path | Encoder = "auto"
    options: CorpusOptions = field(default_factory=CorpusOptions)
    limits: Limits = field(default_factory=Limits)
    prune: bool = False
    retry_failed: bool = False
    reread: bool = False
    relative: bool = False
    regions: bool | None = None
    workers: int | None = None
    timeout: float = 0.0
    pace: CommitPace = INDEX_PACE


class UpdateOptions(TypedDict, total=False):
    """Keywords of :func:`indexer.update`; :class:`IndexRequest` explains them."""

    model: str | Path | Encoder
    limits: Limits | None
    prune: bool
    retry_failed: bool
    reread: bool
    relative: bool
    regions: bool | None
    workers: int | None
    timeout: float


class IndexOptions(UpdateOptions, total=False):
    """Keywords of :func:`indexer.build`; :class:`IndexRequest` explains them."""

    options: CorpusOptions | None
    pace: CommitPace


OF_INDEX = IndexOptions.__optional_keys__
OF_UPDATE = UpdateOptions.__optional_keys__


def index_request(options: IndexOptions | UpdateOptions, known: frozenset[str] = OF_INDEX) -> IndexRequest:
    """Make the request of the keywords of a run; None stands for the default.

    Args:
        options: the keywords.
        known: which of them this function takes.

    Raises:
        TypeError: it does not take one of them.
    """
    return IndexRequest(**checked_keywords(options, known))
