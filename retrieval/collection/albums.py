"""Albums: searches that are kept under a name in the catalogue, and asked again whenever they are shown.

An album holds what was asked and no picture: texts, keys, items and places of files, and the parameters of the search.
Its column is canonical JSON; whatever else stands there, a stranger's or a newer version's, is refused.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

from retrieval.collection.filters.parse import parse_where
from retrieval.collection.migrations import ALBUMS_SINCE
from retrieval.collection.moved import Move
from retrieval.collection.statement import VERSION, ReadConnection, Select
from retrieval.collection.stored_values import NUMBER_LIMIT, WrongValue
from retrieval.errors import UsageError
from retrieval.expressions import with_paths
from retrieval.texts import is_unicode
from retrieval.types import KINDS, Request
from retrieval.uris import split_file_uri

MOST_PARTS = 32  # as many as HTTP takes
LONGEST_NAME = 200  # characters
LONGEST_TEXT = 10_000  # characters of a part
LONGEST_REQUEST = 2**17  # characters of the column

DEFAULT_REQUEST = Request()

Crop = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class AlbumPart:
    """A part of the query of an album: one of ``text``, ``key``, ``uri`` and ``picture``.

    Attributes:
        text: words.
        key: of an item.
        uri: of an item, as it was when the album was saved.
        item: id of that item, which outlives that it is renamed.
        picture: uri of a file, or of a place in one, that is read whenever the album is shown.
        weight: finite and other than 0.
        crop: the part of ``picture`` that counts: left, top, width and height, as ``vlsearch query --crop`` takes them.

    Raises:
        UsageError: it is none or several of these, or a value is not what it should be.
    """

    text: str | None = None
    key: str | None = None
    uri: str | None = None
    item: int | None = None
    picture: str | None = None
    weight: float = 1.0
    crop: Crop | None = None

    def __post_init__(self) -> None:
        fault = _part_fault(self)
        if fault is not None:
            raise UsageError(f"a part of an album {fault}")


@dataclass(frozen=True, slots=True)
class Album:
    """A search under a name.

    Attributes:
        name: up to 200 printable characters, without blanks at its ends.
        parts: of the query, 1 to 32.
        request: all other parameters.
        literal: take texts as they are, and do not read what they exclude.

    Raises:
        UsageError: the name or the number of parts is not as it should be, or a condition is too long to be kept.
    """

    name: str
    parts: tuple[AlbumPart, ...]
    request: Request = DEFAULT_REQUEST
    literal: bool = False

    def __post_init__(self) -> None:
        check_name(self.name)
        if not 1 <= len(self.parts) <= MOST_PARTS:
            raise UsageError(f"an album asks with 1 to {MOST_PARTS} parts, not {len(self.parts)}")

    def to_json(self) -> str:
        """Write what is asked, without the name: canonical, and without what is as it always is.

        Raises:
            UsageError: the condition cannot be read back, for it is too long.
        """
        asked: dict[str, object] = {"parts": [_given(part, AlbumPart(text="-")) for part in self.parts]}
        asked |= _given(replace(self.request, where=None, after=None), DEFAULT_REQUEST)
        if self.request.where is not None:
            asked["where"] = str(self.request.where)
            parse_where(str(self.request.where))  # what cannot be read back is not kept
        if self.literal:
            asked["literal"] = True
        return json.dumps(asked, sort_keys=True, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, name: str, text: str) -> Album:
        """Read what :meth:`to_json` wrote.

        Raises:
            WrongValue: it is something else, or of a newer version.
        """
        if len(text) > LONGEST_REQUEST:
            raise WrongValue(f"the album {name!a} has more than {LONGEST_REQUEST:,} characters")
        try:
            return _album(name, json.loads(text))
        except (ValueError, TypeError, OverflowError, RecursionError) as error:
            raise WrongValue(f"the album {name!a} is not a search in JSON ({error})") from error
        except UsageError as error:
            raise WrongValue(f"the album {name!a} cannot be asked: {error}") from error

    def moved(self, move: Move) -> Album:
        """Give the album after files were moved: its places, and the folders of its condition."""
        parts = tuple(
            replace(
                part, uri=part.uri and move.uri(part.uri), picture=part.picture and move.uri(part.picture)
            )
            for part in self.parts
        )
        where = self.request.where
        request = replace(self.request, where=None if where is None else with_paths(where, move.path))
        return replace(self, parts=parts, request=request)


def check_name(name: str) -> None:
    """Refuse a name that no album can have.

    Raises:
        UsageError: it says why.
    """
    if not isinstance(name, str) or not name.strip():
        raise UsageError("the name of an album is empty; name it")
    if len(name) > LONGEST_NAME or name != name.strip() or not name.isprintable():
        raise UsageError(
            f"{name[:LONGEST_NAME]!a} is not a name of an album; give up to {LONGEST_NAME} printable characters, "
            "without blanks at the ends"
        )


def check_new_name(name: str) -> None:
    """Refuse a name that no album can have, or that is given to none: addresses end at ``.`` and ``..``.

    Raises:
        UsageError: it says why.
    """
    check_name(name)
    if name in (".", ".."):  # browsers and programs take them out of an address, however they are quoted
        raise UsageError(
            f"{name!r} is not a name that an album can get, because no address can hold it; take another name"
        )


def read_albums(connection: ReadConnection, move: Move | None, name: str | None = None) -> list[Album]:
    """Read the albums of a catalogue, or the one of a name, by name; none where the schema is older than albums.

    Raises:
        WrongValue: one of them is not what this module writes.
    """
    # of the schema now: a migration makes no generation
    if VERSION.rows(connection)[0].number < ALBUMS_SINCE or not is_unicode(name or ""):
        return []
    rows = _ALL.rows(connection) if name is None else _NAMED.rows(connection, name)
    albums = [album_in(row.name, row.request) for row in rows]
    return albums if move is None else [album.moved(move) for album in albums]


def album_in(name: str, request: str) -> Album:
    """Read a row of the table.

    Raises:
        WrongValue: it is not what this module writes.
    """
    try:
        check_name(name)
    except UsageError as error:
        raise WrongValue(f"the catalogue holds an album whose name is none: {error}") from error
    return Album.from_json(name, request)


def _given(value: AlbumPart | Request, default: AlbumPart | Request) -> dict[str, object]:
    """Give the fields of a value that differ from a default's."""
    named = {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, AlbumPart):
        return {
            name: one for name, one in named.items() if one is not None and (name, one) != ("weight", 1.0)
        }
    return {name: one for name, one in named.items() if one != getattr(default, name)}


def _album(name: str, asked: Any) -> Album:
    if not isinstance(asked, dict) or not isinstance(asked.get("parts"), list):
        raise TypeError("it has no list of parts")
    given = {key: value for key, value in asked.items() if key not in ("parts", "literal")}
    for key, value in given.items():
        if key not in _BELONGS or not _BELONGS[key](value):
            raise TypeError(f"{key!a} is unknown, or not of its type")
    literal = asked.get("literal", False)
    if not isinstance(literal, bool):
        raise TypeError("'literal' is not of its type")
    if "where" in given:
        given["where"] = parse_where(given["where"])
    return Album(name, tuple(map(_part, asked["parts"])), Request(**given), literal)


def _part(asked: Any) -> AlbumPart:
    if not isinstance(asked, dict) or not set(asked) <= {field.name for field in fields(AlbumPart)}:
        raise TypeError("a part is unknown")
    crop = asked.get("crop")
    if crop is not None:
        if not isinstance(crop, list):
            raise TypeError("a crop is not a list")
        asked = asked | {"crop": tuple(crop)}
    return AlbumPart(**asked)


def _part_fault(part: AlbumPart) -> str | None:
    """Find what is wrong with a part, as a clause."""
    texts = (part.text, part.key, part.uri, part.picture)
    if sum(one is not None for one in texts) != 1:
        return "is one of a text, a key, an item and a picture"
    for text in texts:
        if text is not None and not _is_text(text):
            return f"is not a text of 1 to {LONGEST_TEXT:,} characters"
    if part.item is not None and (part.uri is None or not _is_count(part.item)):
        return "has an id that is not an item's"
    if not _is_number(part.weight) or part.weight == 0:
        return "has a weight that is not a finite number other than 0"
    if part.picture is not None and split_file_uri(part.picture) is None:
        return "is a picture that is not a file of this machine; index it, and ask with the item"
    if part.crop is not None and (
        part.picture is None or len(part.crop) != len(Crop.__args__) or not all(map(_is_number, part.crop))  # type: ignore[attr-defined]
    ):
        return "has a crop that is not four numbers of a picture"
    return None


def _is_text(value: object) -> bool:
    return (
        isinstance(value, str) and 0 < len(value) <= LONGEST_TEXT and is_unicode(value) and "\0" not in value
    )


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < NUMBER_LIMIT


def _is_flag(value: object) -> bool:
    return type(value) is bool


def _is_word(value: object) -> bool:
    return isinstance(value, str)


_BELONGS: Mapping[str, Callable[[object], bool]] = {
    "k": _is_count,
    "find": lambda value: value in KINDS,
    "distinct": lambda value: _is_flag(value) or value == "picture",
    "offset": _is_count,
    "exact": _is_flag,
    "where": _is_word,
    "sort": _is_word,
    "min_score": _is_number,
    "mode": _is_word,
    "only": _is_word,
    "regions": _is_flag,
}
"""Whether a value is of the type of a request's field; :class:`Request` itself looks at its range."""


class _Row(NamedTuple):
    name: str
    request: str


_ALL = Select(_Row, "SELECT name, request FROM albums ORDER BY name")
_NAMED = Select(_Row, "SELECT name, request FROM albums WHERE name = ?")
