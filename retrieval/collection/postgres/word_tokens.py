"""Texts cut into the tokens that the full text of a folder has of them: by SQLite's own tokenizer."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing

from retrieval.collection.word_index import TOKENIZER


def cut(texts: Iterable[str]) -> list[list[str]]:
    """Cut texts into tokens, in their order: what FTS5 keeps of such a text, or looks for of such a phrase.

    FTS5 cuts them in memory: which characters make a word, how they are folded, and which accents go, only it knows.

    Args:
        texts: as :func:`~retrieval.collection.fulltext.document_of` gives them, or phrases.
    """
    rows = list(enumerate(texts))
    found: list[list[str]] = [[] for _ in rows]
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute(
            f"CREATE VIRTUAL TABLE texts USING fts5(text, content = '', columnsize = 0, tokenize = '{TOKENIZER}')"
        )
        connection.execute("CREATE VIRTUAL TABLE tokens USING fts5vocab(texts, instance)")
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO texts (rowid, text) VALUES (?, ?)", rows)
        for place, token in connection.execute("SELECT doc, term FROM tokens ORDER BY doc, offset"):
            found[place].append(token)
    return found
