"""Format results: text made safe for a terminal, exact bytes for a pipe, one JSON object per line.

What is indexed is not ours: a file name may hold an escape sequence, a line feed or bytes that are not UTF-8.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from retrieval.types import Hit
from retrieval.uris import display, split_file_uri

_BIDIRECTIONAL = "\u200e\u200f\u202a-\u202e\u2066-\u2069"  # marks that show a name as another
_SURROGATES = "\ud800-\udfff"  # bytes of names that are not UTF-8: no terminal can show them
_UNSAFE = re.compile(  # controls move the cursor or end the line; \t and \n may stay
    f"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029{_BIDIRECTIONAL}{_SURROGATES}]"
)
_JSON_UNSAFE = re.compile(f"[\x7f-\x9f\u2028\u2029{_BIDIRECTIONAL}{_SURROGATES}]")


def printable(text: str) -> str:
    r"""Escape the characters of a text that would control a terminal, as ``\x1b``."""
    return _UNSAFE.sub(lambda match: match.group().encode("unicode-escape").decode(), text)


def one_line(text: str) -> str:
    """Make a text printable on one line."""
    return printable(" ".join(text.split()))


def json_line(value: Mapping[str, object]) -> str:
    """One JSON object on one line; in UTF-8, but what a terminal might obey is escaped."""
    text = json.dumps(value, ensure_ascii=False)
    return _JSON_UNSAFE.sub(lambda match: f"\\u{ord(match.group()):04x}", text)


def hit_facts(hit: Hit) -> dict[str, object]:
    """Give the JSON fields of a hit: its own, the plain ``path`` of a whole file, and whether the file is missing."""
    facts: dict[str, object] = {"rank": hit.rank, "score": hit.score, **asdict(hit.item)}
    split = split_file_uri(hit.uri)
    is_file = split is not None and split[1] is None
    facts["path"] = _utf8(os.fsencode(split[0])) if split is not None and is_file else None
    facts["missing"] = hit.missing
    return facts


def name_bytes(hit: Hit) -> bytes:
    """Give a hit as bytes for another program: an image's path (``TAR#MEMBER``) or uri, or a text."""
    if hit.text is not None:
        return hit.text.encode()
    split = split_file_uri(hit.uri)
    if split is None:
        return hit.uri.encode(errors="surrogateescape")
    path, member = split
    # a member's name is UTF-8 whatever the locale's encoding is, and a path is bytes in any
    return os.fsencode(path) + (b"" if member is None else b"#" + member.encode(errors="surrogateescape"))


def _utf8(path: bytes) -> str:
    """Give a path as JSON holds it, the same under every locale."""
    return path.decode(errors="surrogateescape")


def name_line(hit: Hit) -> bytes:
    """:func:`name_bytes`, with the blanks and line feeds of a text made single blanks."""
    return name_bytes(hit) if hit.text is None else " ".join(hit.text.split()).encode()


def short_name(uri: str) -> str:
    """Give a uri as a path, relative if it is below the working directory."""
    shown = display(uri)
    below = f"{Path.cwd()}{os.sep}"
    return printable(shown.removeprefix(below).replace("\n", "\\n").replace("\t", "\\t"))


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
