"""The collections of a server, each with its engine and its pictures, by name."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self

from retrieval.errors import UsageError, VlsearchError
from retrieval.places import CollectionPlace, ServerAddress
from retrieval.query.engine import SearchEngine, open_engine
from retrieval.query.pictures import Pictures, default_cache
from retrieval.query.thumbnail_cache import ThumbnailCache
from retrieval.types import Limits

log = logging.getLogger("retrieval.server")
DEFAULT_LIMITS = Limits()


class Served:
    """A collection under the name that clients use for it."""

    def __init__(self, name: str, engine: SearchEngine, pictures: Pictures) -> None:
        self.name, self.engine, self.pictures = name, engine, pictures

    def usual_facets(self) -> list[str]:
        """See :meth:`retrieval.View.usual_facets`."""
        with self.engine.collection.reading() as view:
            return view.usual_facets()


class Collections:
    """Opened collections, the first of which answers where a request names none; close them together.

    Raises:
        UsageError: there is none.
        CollectionError: as :func:`retrieval.open`.
    """

    def __init__(
        self,
        paths: Sequence[CollectionPlace],
        limits: Limits = DEFAULT_LIMITS,
        cache: ThumbnailCache | None = None,
        encoder: object = None,
    ) -> None:
        if not paths:
            raise UsageError("name a collection to serve")
        self._by_name: dict[str, Served] = {}
        kept = cache if cache is not None else default_cache()
        try:
            for name, path in zip(distinct_names(paths), paths, strict=True):
                engine = open_engine(path, encoder=encoder, limits=limits)  # type: ignore[arg-type]
                self._by_name[name] = Served(name, engine, Pictures(engine.collection, limits, kept))
        except BaseException:
            self.close()
            raise

    def __iter__(self) -> Iterator[Served]:
        return iter(self._by_name.values())

    def find(self, name: str | None) -> Served | None:
        """Give the collection of a name, or the first; None if there is none of that name."""
        return next(iter(self)) if name is None else self._by_name.get(name)

    def load_encoders(self) -> None:
        """Begin to load the encoders, in a thread, so that the first search does not wait for all of it."""
        threading.Thread(target=self._load, name="vlsearch-load", daemon=True).start()

    def close(self) -> None:
        """Close all collections."""
        for served in self:
            served.pictures.close()
            served.engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _load(self) -> None:
        for served in self:
            try:
                _ = served.engine.encoder
            except VlsearchError as error:  # said again to whoever searches
                log.warning("%s: %s", served.name, error)


def distinct_names(paths: Sequence[CollectionPlace]) -> list[str]:
    """Name collections by the last part of their paths; a name that was given already gets a number."""
    names: list[str] = []
    for path in paths:
        last = path.schema if isinstance(path, ServerAddress) else path.resolve().name
        plain = last.encode(errors="replace").decode() or "collection"
        name, number = plain, 1
        while name in names:
            number += 1
            name = f"{plain}-{number}"
        names.append(name)
    return names
