"""Values of the catalogue that are not what they stand for.

SQLite stores any value in any column, and a catalogue may come from a stranger or a broken disk: a blob in place of a
uri would come up as a TypeError far from its cause.
"""

from __future__ import annotations

import json
import sqlite3
from typing import Any

NUMBER_LIMIT = 2**63


class WrongValue(sqlite3.DatabaseError):
    """A value in the catalogue is not of its column's type; a DatabaseError, as what SQLite itself finds is."""


def number_of(value: object, name: str) -> int:
    """Parse the number that a setting holds as text.

    Raises:
        WrongValue: it is not a decimal number from 0 to 2**63 - 1.
    """
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        number = int(value)
        if number < NUMBER_LIMIT:
            return number
    raise WrongValue(f"the setting {name} is not a number")


def count_of(value: object, what: str, limit: int = NUMBER_LIMIT) -> int:
    """Check a number that SQLite has computed, which is not of a column's type.

    Raises:
        WrongValue: it is not a number from 0 to below ``limit``.
    """
    if isinstance(value, int) and 0 <= value < limit:
        return value
    raise WrongValue(f"the catalogue holds something else where {what} belongs")


def parse_attributes(stored: str) -> dict[str, Any]:
    """Parse an item's attributes.

    Raises:
        WrongValue: they are not a JSON object.
    """
    if stored == "{}":
        return {}
    try:
        found = json.loads(stored)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise WrongValue("attributes of an item are not a JSON object")
    return found
