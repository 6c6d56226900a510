"""Full text: which items hold some words, in their captions, titles, keywords and file names.

SQLite's FTS5 keeps the words, one document for each item, in the table ``words`` of a folder's catalogue; a server
keeps the tokens that FTS5 cuts (:mod:`retrieval.collection.postgres.server_words`), and gives the same answers. Texts
are folded as in conditions, and a blank is put around every CJK character, so that each is a token and a phrase of them
is found wherever it stands. (Of 420,000 Chinese captions, a segmentation into words loses nine in ten of those with 雪,
which hides in 雪地.)
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from retrieval.collection.filters.fields import place_of
from retrieval.collection.statement import Number, ReadConnection, Select, SelectIds, id_list
from retrieval.collection.word_index import TOKENIZER, Joined, WordIndex
from retrieval.errors import CollectionError, FilterError
from retrieval.shell import shell_command
from retrieval.texts import fold
from retrieval.types import Attribute, Kind

TABLE = "words"
CREATE = f"CREATE VIRTUAL TABLE words USING fts5(text, tokenize = '{TOKENIZER}')"

MOST_RANKED = 10_000
"""Matches that are ranked by their words; more would take longer than the search for vectors. Others come after."""

MOST_ANY = 2000
"""Matches of a search for any word, each of which takes ten times as long; rare words come first, then "a" and "in"."""

MOST_WORDS = 64  # of a query that any of its words answers
LONGEST = 1000  # characters of words asked for

_CJK = re.compile(
    "([\u1100-\u11ff\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3041-\u30ff\u3105-\u312f\u3131-\u318e\u31a0-\u31bf"
    "\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff])"
)
_TERM = re.compile(r'"([^"]*)"|([^\s"]+)')
_WORD = re.compile(r"[^\W_]+")
_QUOTED = {ord('"'): " ", 0: " "}  # what would end a phrase

DESCRIBING = ("title", "description", "keywords", "people", "label", "creator", "city", "region", "country")
"""Attributes of an image whose words it is found by, beside its file's name and the texts that are linked to it."""


def spaced(text: str) -> str:
    """Fold a text, and put blanks around each CJK character."""
    return _CJK.sub(r" \1 ", fold(text))


def document_of(
    kind: Kind, uri: str, text: str | None, attributes: Mapping[str, Attribute], texts: str | None = None
) -> str:
    """Give what the words of an item are taken from.

    That is a text itself; of an image, its name, the attributes that describe it, and ``texts``, which are no captions.
    """
    if kind == "text":
        return spaced(text or "")
    place = place_of(uri)
    parts = [] if place is None else [place[1]]
    for name in DESCRIBING:
        value = attributes.get(name)
        parts += [value] if isinstance(value, str) else value if isinstance(value, (list, tuple)) else []
    parts += [texts] if texts else []
    return spaced("\n".join(part for part in parts if isinstance(part, str)))


def has_fts5(connection: ReadConnection) -> bool:
    """Whether this SQLite can search for words; on a server it cuts them."""
    if not isinstance(connection, sqlite3.Connection):
        with closing(sqlite3.connect(":memory:")) as memory:
            return has_fts5(memory)
    try:
        connection.execute("SELECT fts5_source_id()")
    except sqlite3.OperationalError:
        return False
    return True


def has_words(connection: ReadConnection) -> bool:
    """Whether a collection holds the words of its items."""
    if isinstance(connection, sqlite3.Connection):
        return bool(_HAS.rows(connection, TABLE)[0].number)
    from retrieval.collection.postgres.server_words import (
        ServerWords,
    )  # late: for collections on a server alone

    return ServerWords.on(connection).are_there()


@cache
def objects_of_words() -> frozenset[tuple[str, str, str, str | None]]:
    """List what the table is in ``sqlite_master``: itself, and the tables that FTS5 keeps it in."""
    tables = {
        "data": "(id INTEGER PRIMARY KEY, block BLOB)",
        "idx": "(segid, term, pgno, PRIMARY KEY(segid, term)) WITHOUT ROWID",
        "content": "(id INTEGER PRIMARY KEY, c0)",
        "docsize": "(id INTEGER PRIMARY KEY, sz BLOB)",
        "config": "(k PRIMARY KEY, v) WITHOUT ROWID",
    }
    made = {f"{TABLE}_{name}": f"CREATE TABLE '{TABLE}_{name}'{columns}" for name, columns in tables.items()}
    return frozenset(("table", name, name, sql) for name, sql in {TABLE: CREATE, **made}.items())


def match_all(words: str) -> str:
    """Write the FTS5 query for all of some words, as :func:`all_phrases`."""
    return " AND ".join(all_phrases(words))


def all_phrases(words: str) -> list[str]:
    """Cut words into FTS5 phrases of which all must be held; words in double quotes are one.

    Raises:
        FilterError: there is no word, or too much of them.
    """
    if len(words) > LONGEST:
        raise FilterError(
            f"the words asked for have {len(words):,} characters; at most {LONGEST:,} are looked for"
        )
    terms = [_phrase(quoted or plain) for quoted, plain in _TERM.findall(words)]
    if not any(terms):
        raise FilterError(f"{words!r} has no word to look for")
    return list(filter(None, terms))


def texts_hold_all(texts: Iterable[str], words: str) -> bool:
    """Whether one of some texts holds all words, as :func:`holds_all` says of items.

    SQLite cuts them here too, in memory: which characters make a word, and which accents it drops, only it knows.

    Raises:
        FilterError: there is no word, or too much of them.
    """
    match = match_all(words)
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(CREATE)
        connection.executemany(f"INSERT INTO {TABLE} (text) VALUES (?)", [(spaced(text),) for text in texts])
        return bool(len(_MATCHING.array(connection, match)))


def _phrase(term: str) -> str:
    """Quote a term for FTS5, which cuts it into tokens itself; empty where there is nothing to cut."""
    text = spaced(term).translate(_QUOTED)
    return f'"{text}"' if any(character.isalnum() for character in text) else ""


def phrases_of(text: str) -> list[str]:
    """Cut a text into FTS5 phrases of which any may answer: words, and of CJK characters each two that follow."""
    phrases: dict[str, None] = {}
    before = ""
    for token in _WORD.findall(spaced(text)[:LONGEST]):
        is_cjk = bool(_CJK.fullmatch(token))
        if not is_cjk:
            phrases[f'"{token}"'] = None
        elif before:
            phrases[f'"{before} {token}"'] = None
        before = token if is_cjk else ""
    if not phrases and before:
        phrases[f'"{before}"'] = None
    return list(phrases)[:MOST_WORDS]


class Matches(NamedTuple):
    """Items that hold words.

    Attributes:
        ids: ascending int64; images by their own words alone.
        scores: (n,) float64, higher is better; 0 for those that were too many to rank.
    """

    ids: NDArray[np.int64]
    scores: NDArray[np.float64]


def ids_with_all(connection: ReadConnection, words: str) -> NDArray[np.int64]:
    """Find the items that hold all words, with the images that such a text is linked to; ids, ascending int64.

    Raises:
        FilterError: there is no word among them.
        CollectionError: the catalogue, or this SQLite, has no full text.
    """
    own = check_words(connection).matching(all_phrases(words), "AND")
    return np.union1d(own, _IMAGES_OF.array(connection, id_list(own.tolist())))


def holds_all(connection: ReadConnection, ids: Iterable[int], words: str) -> bool:
    """Whether one of some items holds all words by its own text.

    Raises:
        FilterError, CollectionError: as :func:`ids_with_all`.
    """
    return check_words(connection).any_holds(all_phrases(words), ids)


def find_all(connection: ReadConnection, words: str) -> Matches:
    """Find the items that hold all words, ranked by BM25.

    Raises:
        FilterError, CollectionError: as :func:`ids_with_all`.
    """
    return _ranked(check_words(connection), all_phrases(words), "AND")


def find_any(connection: ReadConnection, text: str) -> Matches:
    """Find items that hold any word of a text as :func:`find_rare`; the rarest word counts in any case.

    Raises:
        CollectionError: the catalogue, or this SQLite, has no full text.
    """
    check_words(connection)
    return find_rare(connection, text, at_least_one=True)


def find_rare(connection: ReadConnection, text: str, at_least_one: bool = False) -> Matches:
    """Find items that hold any rare word of a text, ranked by BM25, in a collection that has words.

    Words that more than half of the texts hold tell nothing of any and are passed over, and so are words that too many
    items hold.

    Args:
        connection: to a collection with :func:`has_words`.
        text: whose words count.
        at_least_one: take the rarest word even so.
    """
    index, phrases = _index(connection), phrases_of(text)
    counted = sorted(zip(index.counts(phrases, MOST_ANY), phrases, strict=True))
    chosen: list[str] = []
    left, bound = MOST_ANY, _more_than_half(connection)
    for count, phrase in counted:
        if count and (count < min(left, bound) or (at_least_one and not chosen)):
            chosen.append(phrase)
            left -= count
    if not chosen:
        return Matches(np.empty(0, np.int64), np.empty(0))
    return _ranked(index, chosen, "OR")


def _more_than_half(connection: ReadConnection) -> int:
    """Give the least number of items that is more than half of the texts, and more than two; at most MOST_ANY."""
    texts = _COUNT_TEXTS.rows(connection, 2 * MOST_ANY)[0].number
    return min(MOST_ANY, max(texts // 2 + 1, 3))


def check_words(connection: ReadConnection) -> WordIndex:
    """Refuse to look for words where that cannot be done; give where they are looked up.

    Raises:
        CollectionError: the collection, or this SQLite, has no full text.
    """
    if not has_fts5(connection):
        raise CollectionError(
            "the SQLite of this Python cannot search for words (it lacks FTS5); use another Python"
        )
    if not has_words(connection):
        raise CollectionError(
            "the collection has no index of words yet, because an earlier version wrote it; bring it up to date with: "
            + shell_command("optimize")
        )
    return _index(connection)


def _index(connection: ReadConnection) -> WordIndex:
    if isinstance(connection, sqlite3.Connection):
        return FolderWords(connection)
    from retrieval.collection.postgres.server_words import (
        ServerWords,
    )  # late: for collections on a server alone

    return ServerWords.on(connection)


class FolderWords:
    """The words of a folder's catalogue, as FTS5 keeps them; see :class:`retrieval.collection.word_index.WordIndex`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def matching(self, phrases: Sequence[str], joined: Joined) -> NDArray[np.int64]:
        """Find the items that hold all or any of some phrases."""
        return _MATCHING.array(self._connection, f" {joined} ".join(phrases))

    def scores(self, phrases: Sequence[str], joined: Joined, ids: NDArray[np.int64]) -> list[float]:
        """Score the first items that match."""
        match = f" {joined} ".join(phrases)
        rows = self._connection.execute(_SCORED, (match, int(ids[-1]))).fetchall()
        return [-score if type(score) is float else 0.0 for _, score in rows]

    def counts(self, phrases: Sequence[str], most: int) -> list[int]:
        """Count the items that hold each phrase, up to so many."""
        return [_COUNT.rows(self._connection, phrase, most)[0].number for phrase in phrases]

    def any_holds(self, phrases: Sequence[str], ids: Iterable[int]) -> bool:
        """Whether one of some items holds all phrases."""
        return bool(_ANY_HOLDS.rows(self._connection, " AND ".join(phrases), id_list(ids))[0].number)


def _ranked(index: WordIndex, phrases: Sequence[str], joined: Joined) -> Matches:
    ids = index.matching(phrases, joined)
    scores = np.zeros(len(ids))
    if len(ids):
        ranked = ids[:MOST_RANKED]
        scores[: len(ranked)] = index.scores(phrases, joined, ranked)
    return Matches(ids, scores)


def of_kind(connection: ReadConnection, found: Matches, kind: Kind) -> dict[int, float]:
    """Give items of a kind with their scores: an image has the best of its own and of the texts linked to it."""
    ids = id_list(found.ids.tolist())
    score_of = dict(zip(found.ids.tolist(), found.scores.tolist(), strict=True))
    own = _OF_KIND.array(connection, kind, ids).tolist()
    scores = {item: score_of[item] for item in own}
    if kind == "image":
        for image, score in images_of_texts(connection, found).items():
            scores[image] = max(scores.get(image, 0.0), score)
    return scores


def images_of_texts(connection: ReadConnection, found: Matches) -> dict[int, float]:
    """Give the images that texts are linked to; each has the score of the best of these."""
    score_of = dict(zip(found.ids.tolist(), found.scores.tolist(), strict=True))
    scores: dict[int, float] = {}
    for link in _LINKS.rows(connection, id_list(found.ids.tolist())):
        scores[link.image] = max(scores.get(link.image, 0.0), score_of[link.text])
    return scores


class _Link(NamedTuple):
    image: int
    text: int


_HAS = Select(Number, "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?")
_OF_KIND = SelectIds("SELECT id FROM items WHERE kind = ? AND id IN (SELECT value FROM json_each(?))")
_LINKS = Select(
    _Link, "SELECT image_item, text_item FROM links WHERE text_item IN (SELECT value FROM json_each(?))"
)
_IMAGES_OF = SelectIds(
    "SELECT DISTINCT image_item FROM links WHERE text_item IN (SELECT value FROM json_each(?))"
)
_MATCH = "FROM words WHERE words MATCH ?"
_MATCHING = SelectIds(f"SELECT rowid {_MATCH} ORDER BY rowid")
_ANY_HOLDS = Select(
    Number, f"SELECT EXISTS (SELECT 1 {_MATCH} AND rowid IN (SELECT value FROM json_each(?)))"
)
_COUNT = Select(Number, f"SELECT count(*) FROM (SELECT 1 {_MATCH} LIMIT ?)")
_COUNT_TEXTS = Select(Number, "SELECT count(*) FROM (SELECT 1 FROM items WHERE kind = 'text' LIMIT ?)")
_SCORED = f"SELECT rowid, bm25(words) {_MATCH} AND rowid <= ? ORDER BY rowid"
