"""The rules for texts: which are texts of characters at all, and how the catalogue keeps them."""

from __future__ import annotations

import unicodedata


def normalise_text(text: str) -> str:
    """Bring a text to the form that the catalogue keeps: NFC, outer white space stripped, case kept."""
    return unicodedata.normalize("NFC", text).strip()


def fold(text: str) -> str:
    """Bring texts that differ in case, or in how an accent is encoded, to one form, to compare them."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def is_unicode(text: str) -> bool:
    r"""Whether a text has only characters, and no half of a surrogate pair.

    JSON can spell such halves (``"\ud800"``), and Python puts them into file names that are not valid UTF-8; UTF-8
    and SQLite have no place for them.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
