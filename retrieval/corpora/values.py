"""Values out of untrusted records: objects, captions, attributes. A bad one is a Failure, no exception."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Iterator, Mapping
from urllib.parse import quote

from retrieval.corpora.corpus import TEXTS_LIMIT
from retrieval.corpora.options import CaptionColumn
from retrieval.texts import is_unicode
from retrieval.types import Attribute, CorpusText, Failure
from retrieval.uris import hide_passwords

NESTING_LIMIT = 100
"""Levels of lists and objects in one JSON value."""

_TEXT_LIMIT = 2**16  # characters of a caption; encoders see some hundred of them
# possessive, and a string need not end: else each mark of a long one is tried against the rest of the text
_BRACKETS = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)
_ID_LIMIT = 200  # characters of an id
_INT64 = 2**63
# one for all: json.loads would make one, a reference cycle, for each line
_DECODER = json.JSONDecoder(parse_constant=lambda _: None)


def parse_object(raw: str | bytes, uri: str) -> dict[str, object] | Failure:
    """Parse the JSON object in a text; NaN and infinities, which JSON does not have, become null."""
    value = parse_value(raw)
    if isinstance(value, Failure):
        return Failure(uri, value.reason)
    return (
        value
        if isinstance(value, dict)
        else Failure(uri, f"is JSON, but {kind_of(value)} instead of an object")
    )


def parse_value(raw: str | bytes) -> object | Failure:
    """Parse the JSON value in a text; where it is not JSON, a failure without a uri says why."""
    try:
        text = raw if isinstance(raw, str) else raw.decode()
        if _is_deep(text):
            return Failure("", f"the JSON is nested too deeply, in more than {NESTING_LIMIT} levels")
        value: object = _DECODER.decode(text)
    except RecursionError:
        return Failure("", "the JSON is nested too deeply")
    except UnicodeDecodeError as error:
        return Failure("", f"byte {error.start + 1} of the JSON is not UTF-8")
    except ValueError as error:  # its own faults, and integers of more than 4,300 digits
        return Failure("", f"is not JSON ({' '.join(str(error).split())})")
    return value


def _is_deep(text: str) -> bool:
    if text.count("[") + text.count("{") <= NESTING_LIMIT:
        return False
    depth = 0
    for bracket in _BRACKETS.findall(text):
        if bracket[0] in "[{":
            depth += 1
            if depth > NESTING_LIMIT:
                return True
        elif bracket[0] in "]}":
            depth -= 1
    return False


def texts_in(value: object, place: str, column: str, lang: str | None) -> Iterator[CorpusText | Failure]:
    """Make the captions of a column of a row, or of a key of an object: a text, or a list of texts.

    They are named ``place/column/0``, ``place/column/1``, ... even where there is one column or one text: a
    further column, or a further text at a list's end, must not rename what is indexed already.

    Args:
        value: what stands there; nothing, blank texts and None in lists are neither captions nor faults.
        place: uri of the row or object.
        column: name of the column or key.
        lang: of all of them.
    """
    name = f"{place}/{quote(column, safe='', errors='backslashreplace')}"
    for ordinal, one in enumerate(value if isinstance(value, list | tuple) else (value,)):
        if ordinal >= TEXTS_LIMIT:
            yield Failure(f"{name}/{ordinal}", f"there are more than {TEXTS_LIMIT:,} captions")
            return
        yield from text_at(one, f"{name}/{ordinal}", lang)


def text_at(value: object, uri: str, lang: str | None) -> Iterator[CorpusText | Failure]:
    """Make the caption with a uri, if there is one; None and blank texts are neither captions nor faults."""
    if value is None:
        return
    if not isinstance(value, str):
        yield Failure(uri, f"a caption is {kind_of(value)} instead of a text")
    elif fault := text_fault(value):
        yield Failure(uri, fault)
    elif not value.isspace() and value:
        yield CorpusText(uri, value, lang=lang)


def text_fault(text: str) -> str | None:
    """Say in a clause why a text cannot be taken; None where it can."""
    if len(text) > _TEXT_LIMIT:
        return f"a caption is longer than {_TEXT_LIMIT:,} characters"
    return None if is_unicode(text) else "a caption holds half of a surrogate pair, which is not a character"


def attributes_of(record: Mapping[str, object], without: Collection[str]) -> dict[str, Attribute]:
    """Convert the fields of a record, except some, to attributes.

    Plain values and lists of texts stay as they are, other nested values become JSON text. Left out are fields
    without a name, without a value, and with one that JSON has no place for (bytes, numbers that are not finite).
    Integers beyond 64 bits become texts, halves of surrogate pairs ``?``, and URLs lose their user names
    and passwords.
    """
    scalars = ((name, _scalar(value)) for name, value in record.items() if name and name not in without)
    return {_clean(name): scalar for name, scalar in scalars if scalar is not None and scalar != ""}


def missing_columns(columns: Collection[CaptionColumn], seen: Collection[str]) -> list[str]:
    """List the names of caption columns that were asked for and not seen."""
    return [column.name for column in columns if column.name not in seen]


def id_of(value: object) -> str | None:
    """Normalise an id of a data set, a number or a name: ``1`` and ``"1"`` are one id; None where it is not one."""
    if isinstance(value, float) and value.is_integer() and abs(value) < _INT64:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    text = _digits(value) if isinstance(value, int) else value
    return text if text and len(text) <= _ID_LIMIT and is_unicode(text) else None


def kind_of(value: object) -> str:
    """Name the JSON type of a value, with its article."""
    if value is None:
        return "null"
    kinds = {
        bool: "a boolean",
        int: "a number",
        float: "a number",
        str: "a text",
        list: "a list",
        dict: "an object",
    }
    return kinds.get(type(value), f"a {type(value).__name__}")


def _scalar(value: object) -> Attribute:
    if isinstance(value, str):
        return _clean(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if -_INT64 <= value < _INT64 else _digits(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list | tuple) and all(isinstance(part, str) for part in value):
        return [_clean(part) for part in value]
    if isinstance(value, dict | list | tuple):
        return _clean(json.dumps(value, ensure_ascii=False, default=str))
    return None if isinstance(value, bytes) else _clean(str(value))  # dates and decimals of Parquet


def _digits(number: int) -> str | None:
    try:
        return str(number)
    except ValueError:  # more than 4,300 digits
        return None


def _clean(text: str) -> str:
    text = text if is_unicode(text) else text.encode(errors="replace").decode()
    return hide_passwords(text) if "@" in text and "://" in text else text
