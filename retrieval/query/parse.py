"""Parse the command line's notation for queries: which argument is a text, which an image, and their weights.

    argument = ["-"] [weight ":"] ("text:" words | "image:" image | "key:" key | image | words)

A weight is a decimal number below 100 (``2``, ``0.5``, ``.5``) whose colon is directly followed by something
other than a blank or a digit, so ``3:30 pm``, ``16:9`` and ``2: the sequel`` are texts. After ``text:``
nothing is parsed. After ``key:``, directly followed by something other than a blank, stands the key of an item
of the collection. What an argument means depends on how it is written (unless the caller judges otherwise): an
argument is an image if it is an http(s) or file uri, ends like an image's name (``.jpg``), is a tar
member (``ARCHIVE.tar#MEMBER``), or begins like a path (``./``, ``../``, ``/``, ``~/``). Pure: reads no
file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from retrieval.errors import PlacedQueryError, QueryError
from retrieval.file_kinds import is_part_of
from retrieval.query.parts import ImagePart, KeyPart, Part, Query, TextPart
from retrieval.shell import shell_word
from retrieval.suffixes import is_image_name
from retrieval.uris import expand_home, file_uri

_PART = re.compile(
    r"(?P<sign>-(?=\S))?"
    r"(?:(?P<weight>[0-9]{1,2}(?:\.[0-9]+)?|\.[0-9]+):(?=[^\s0-9]))?"
    r"(?P<kind>text:|image:|key:(?=\S))?"
    r"(?P<content>.*)",
    re.DOTALL,
)
_URL = re.compile(r"https?://\S+\Z", re.IGNORECASE)
_PATH_START = re.compile(r"/|~/|\.{1,2}[/\\]|[A-Za-z]:[/\\]|\\\\")
_TAR_MEMBER = re.compile(r"(?P<archive>.+\.tar)#(?P<member>.+)", re.DOTALL | re.IGNORECASE)


def parse_query(
    arguments: Iterable[str],
    subtract: Iterable[str] = (),
    is_picture: Callable[[str], bool] | None = None,
) -> Query:
    """Parse the arguments of a command line into a query; the weights of those in ``subtract`` are negated.

    ``is_picture`` judges contents without a mark; by default :func:`looks_like_picture`.

    Raises:
        QueryError: there is no argument, or one of them is empty or contradicts itself.
    """
    is_picture = is_picture or looks_like_picture
    parts = [parse_part(argument, is_picture) for argument in arguments]
    parts += [
        replace(part, weight=-part.weight) for part in (parse_part(one, is_picture) for one in subtract)
    ]
    return Query(tuple(parts))


def parse_part(argument: str, is_picture: Callable[[str], bool] | None = None) -> Part:
    """Parse one argument into a weighted part; this module's docstring gives the grammar.

    ``is_picture`` judges a content without a mark; by default :func:`looks_like_picture`.

    Raises:
        QueryError: the argument is empty, or its sign stands in the wrong place.
    """
    match = _PART.fullmatch(argument)
    assert match is not None  # every group may be empty, and the last takes anything
    sign, weight, kind, content = match.group("sign", "weight", "kind", "content")
    if kind is None and (sign or weight) and content.startswith("-"):
        words, meant = content.lstrip("-"), f"{sign or ''}{weight or 1}:text:{content}"
        raise QueryError(
            f"the sign in {argument!r} stands in the wrong place; "
            f"to subtract write {shell_word(f'-{weight or 1}:{words}')}, "
            f"or for the words themselves {shell_word(meant)}"
        )
    number = float(weight or 1) * (-1 if sign else 1)
    if kind == "text:" or (kind is None and not (is_picture or looks_like_picture)(content)):
        return TextPart(_unicode(content), number)
    if kind == "key:":
        return KeyPart(_unicode(content), number)
    return ImagePart(_source(content), number)


def parse_line(line: str, place: str) -> Query:
    """Parse one line of a file, whose arguments are separated by tabs; ``place`` is such as ``queries.txt:7``.

    Raises:
        QueryError: as :func:`parse_query`.
    """
    try:
        return replace(parse_query(line.split("\t")), place=place)
    except QueryError as error:
        raise PlacedQueryError(place, error) from error


def looks_like_picture(content: str) -> bool:
    """Whether content without a mark names an image rather than being a text, judged by its spelling alone."""
    return bool(
        _URL.match(content)
        or content.startswith("file://")
        or _PATH_START.match(content)
        or _TAR_MEMBER.fullmatch(content)
        or _names_a_part(content)
        or is_image_name(content)
    )


def _names_a_part(content: str) -> bool:
    """Whether content is spelt like one of the pictures in a file, as ``scan.pdf#page=3``."""
    name, _, part = content.rpartition("#")
    return is_part_of(name, part)


def _unicode(words: str) -> str:
    """Decode an argument as UTF-8: under an ASCII locale, Python passes its bytes as surrogates."""
    if not any("\udc80" <= character <= "\udcff" for character in words):
        return words
    try:
        return os.fsencode(words).decode()
    except UnicodeError:
        return words


def _source(content: str) -> Path | str:
    if not content.strip():
        raise QueryError("a picture of the query has no name; write its path or URL after image:")
    if _URL.match(content) or content.startswith("file://"):
        return content
    if content.startswith("~/"):  # in 2:~/a.jpg the shell leaves it alone
        content = str(expand_home(content))
    member = _TAR_MEMBER.fullmatch(content)
    if member is not None:
        return file_uri(Path(member["archive"]), member["member"])
    if _names_a_part(content):
        name, _, part = content.rpartition("#")
        return file_uri(Path(name), part)
    return Path(content)
