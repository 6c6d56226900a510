"""Globs of what to leave out of a folder.

``*`` and ``?`` stay within a name, ``[ab]`` is one of some characters, ``**`` is any number of folders. A
glob without a slash leaves out every file or folder of that name, at any depth; one with a slash counts from
the corpus folder. Upper and lower case differ. What is left out takes all below it along.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence


def excluder(globs: Sequence[str]) -> Callable[[str], bool]:
    """Make a function that says whether a path, relative to the corpus folder with ``/`` between parts, is left out."""
    patterns = [_pattern(glob) for glob in globs if glob.strip("/")]
    if not patterns:
        return lambda path: False
    matches = re.compile("|".join(patterns)).fullmatch
    return lambda path: matches(path) is not None


def _pattern(glob: str) -> str:
    """Translate a glob to a regular expression for the whole relative path."""
    anywhere = "/" not in glob.rstrip("/")
    glob = glob.strip("/")
    out = "(?:.*/)?" if anywhere else ""
    position = 0
    while position < len(glob):
        piece = _PIECE.match(glob, position)
        assert piece is not None, glob  # its last choice takes any character
        out += _translated(piece[0])
        position = piece.end()
    return f"(?s:{out})"


_PIECE = re.compile(r"\*\*/|\*\*|\*|\?|\[[!^]?\]?[^\]/]*\]|.", re.DOTALL)
_WILD = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def _translated(piece: str) -> str:
    if piece in _WILD:
        return _WILD[piece]
    if len(piece) == 1:
        return re.escape(piece)
    inside = piece[1:-1]
    negated = inside[:1] in ("!", "^")
    choices = re.sub(r"([\\\[\]^&~|])", r"\\\1", inside[1:] if negated else inside)
    try:
        re.compile(f"[{choices}]")
    except re.error:  # as [z-a]: literal, as fnmatch in a shell takes it
        return re.escape(piece)
    return f"(?!/)[{'^' if negated else ''}{choices}]"
