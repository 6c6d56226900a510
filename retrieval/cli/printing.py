"""Format results: text made safe for a terminal, exact bytes for a pipe.

What is indexed is not ours: a file name may hold an escape sequence, a line feed or bytes that are not UTF-8.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from pathlib import Path

from retrieval.answers import BIDIRECTIONAL, SURROGATES
from retrieval.types import Hit, Item, Region
from retrieval.uris import display, split_file_uri

_UNSAFE = re.compile(  # controls move the cursor or end the line; \t and \n may stay
    f"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029{BIDIRECTIONAL}{SURROGATES}]"
)


TEXT_NAMES = {
    "title": "title",
    "description": "description",
    "page": "text of the page",
    "read": "text read in the picture",
    "written": "written by a machine",
}
"""What texts of images that are not captions are called, by origin."""

RANKINGS = {"vector": "meaning", "words": "words"}
"""What people read for the rankings that a hybrid search joins."""


def printable(text: str) -> str:
    r"""Escape the characters of a text that would control a terminal, as ``\x1b``."""
    return _UNSAFE.sub(lambda match: match.group().encode("unicode-escape").decode(), text)


def one_line(text: str) -> str:
    """Make a text printable on one line."""
    return printable(" ".join(text.split()))


def name_bytes(hit: Hit | Item) -> bytes:
    """Give a hit or an item as bytes for another program: an image's path (``TAR#MEMBER``) or uri, or a text."""
    return hit.text.encode() if hit.text is not None else uri_bytes(hit.uri)


def uri_bytes(uri: str) -> bytes:
    """Give a uri as bytes for another program: the path of a file (``TAR#MEMBER``), else the uri itself."""
    split = split_file_uri(uri)
    if split is None:
        return uri.encode(errors="surrogateescape")
    path, member = split
    # a member's name is UTF-8 whatever the locale's encoding is, and a path is bytes in any
    return os.fsencode(path) + (b"" if member is None else b"#" + member.encode(errors="surrogateescape"))


def name_line(hit: Hit | Item) -> bytes:
    """:func:`name_bytes`, with the blanks and line feeds of a text made single blanks."""
    return name_bytes(hit) if hit.text is None else " ".join(hit.text.split()).encode()


def short_name(uri: str) -> str:
    """Give a uri as a path, relative if it is below the working directory."""
    shown = display(uri)
    below = f"{Path.cwd()}{os.sep}"
    return printable(shown.removeprefix(below).replace("\n", "\\n").replace("\t", "\\t"))


def written_region(region: Region) -> str:
    """Write a part of an image as ``--crop`` takes it: shares with three digits, cut off, so that it stays inside."""
    return ",".join(f"{math.floor(share * 1000) / 1000:g}" for share in region)


def written_ranks(hit: Hit) -> str:
    """Write the ranks that a hit has in several rankings; nothing where one alone ranked it, which is its rank then."""
    if hit.cosine is None:
        return ""
    return ", ".join(f"by {RANKINGS[source]} {rank}" for source, rank in hit.ranks.items())


def counted(count: int, noun: str) -> str:
    """``1 image``, ``2,000 images``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def counted_kinds(counts: Mapping[str, int]) -> str:
    """``3 hidden files, 1 video``: the most frequent first."""
    ordered = sorted(counts.items(), key=lambda count: (-count[1], count[0]))
    return ", ".join(counted(number, printable(kind)) for kind, number in ordered)


def bytes_size(count: int) -> str:
    """``512 bytes``, ``1.2 MB``: decimal units, as file managers show them."""
    size, unit = float(count), "bytes"
    for larger in ("kB", "MB", "GB", "TB"):
        if size < 1000:
            break
        size, unit = size / 1000, larger
    return f"{count:,} bytes" if unit == "bytes" else f"{size:,.1f} {unit}"
