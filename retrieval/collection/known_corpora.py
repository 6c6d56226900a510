"""The corpora that a collection was made from, with what their last whole runs found."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from retrieval.collection.left_out import LEFT_OUT, counts_in
from retrieval.collection.moved import Move
from retrieval.collection.statement import Number, ReadConnection, Select, Setting

if TYPE_CHECKING:
    from retrieval.corpora.noted_objects import NotedObjects
    from retrieval.corpora.spec import CorpusSpec

CORPUS = "corpus:"
"""Prefix of the setting's name, followed by the corpus id; its value is JSON: when it was read last, and how."""

OBJECTS = "objects:"
"""Likewise, of the setting with the objects of a store that its last whole run noted; its value is JSON."""

_LIMIT = 2**17  # characters of a value: a collection may come from strangers


@dataclass(frozen=True, slots=True)
class KnownCorpus:
    """A corpus of a collection.

    Attributes:
        uri: its name.
        format: what it is read as.
        images: items that it lists, hidden ones too.
        texts: likewise.
        failures: items of it that could not be taken.
        read: when it was last read to its end, ISO 8601 in UTC; None where no version noted it.
        left_out: what that run passed over, by kind.
        spec: how it is opened again; None where no version noted it, and for items that no corpus lists.
    """

    uri: str
    format: str
    images: int
    texts: int
    failures: int
    read: str | None
    left_out: Mapping[str, int]
    spec: CorpusSpec | None


def note_of(spec: CorpusSpec, read: str) -> str:
    """Write the value of a corpus's setting."""
    return json.dumps({"read": read, "spec": spec.to_json()})


def read_corpora(connection: ReadConnection, move: Move | None) -> list[KnownCorpus]:
    """Read the corpora in the order in which they came; a setting that is not ours counts as absent.

    Specs are as after ``move``; the connection shows uris so already.
    """
    notes = _settings(connection, CORPUS)
    left_out = _settings(connection, LEFT_OUT)
    found = []
    for row in _CORPORA.rows(connection):
        read, spec = parse_note(notes.get(str(row.number), ""))
        if spec is not None and move is not None:
            spec = spec.moved(move.path)
        skipped = counts_in(left_out.get(str(row.number), ""))
        found.append(
            KnownCorpus(row.uri, row.format, row.images, row.texts, row.failures, read, skipped, spec)
        )
    return found


def was_read(connection: ReadConnection, uri: str) -> bool:
    """Whether a corpus, by uri, has been read to its end before."""
    return bool(_READ.rows(connection, CORPUS, uri)[0].number)


def read_noted_objects(connection: ReadConnection, spec: CorpusSpec) -> NotedObjects | None:
    """Read what the last whole run over a corpus, read as ``spec`` says, noted of its objects; None if nothing."""
    from retrieval.corpora.noted_objects import NotedObjects  # late: for runs alone

    for value in _settings(connection, OBJECTS).values():
        noted = NotedObjects.from_json(value)
        if noted is not None and noted.spec == spec.to_json():
            return noted
    return None


def _settings(connection: ReadConnection, prefix: str) -> dict[str, str]:
    rows = _SETTINGS.rows(connection, len(prefix), prefix)
    return {row.name.removeprefix(prefix): row.value for row in rows}


def parse_note(value: str) -> tuple[str | None, CorpusSpec | None]:
    """Read the value of a corpus's setting: when it was read, and how; two times None if it is not ours."""
    if not value or len(value) > _LIMIT:
        return None, None
    from retrieval.corpora.spec import CorpusSpec  # late: brings all formats of corpora, which no query needs

    try:
        note = json.loads(value)
        read, spec = note["read"], note["spec"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None, None
    is_ours = isinstance(read, str) and isinstance(spec, str)
    return (read, CorpusSpec.from_json(spec)) if is_ours else (None, None)


class _Corpus(NamedTuple):
    number: int
    uri: str
    format: str
    images: int
    texts: int
    failures: int


_CORPORA = Select(
    _Corpus,
    "WITH listed (source, kind) AS (SELECT source_id, kind FROM items UNION ALL "
    "SELECT listings.source_id, items.kind FROM listings JOIN items ON items.id = listings.item_id) "
    "SELECT id, uri, format, "
    "(SELECT count(*) FROM listed WHERE source = sources.id AND kind = 'image'), "
    "(SELECT count(*) FROM listed WHERE source = sources.id AND kind = 'text'), "
    "(SELECT count(*) FROM failures WHERE source_id = sources.id) FROM sources ORDER BY id",
)
_READ = Select(
    Number,
    "SELECT count(*) FROM sources JOIN settings ON settings.name = CAST(? AS TEXT) || CAST(sources.id AS TEXT) "
    "WHERE sources.uri = ?",
)
_SETTINGS = Select(Setting, "SELECT name, value FROM settings WHERE substr(name, 1, ?) = ?")
