"""Brace expansion as in bash: ``train-{000..005}.tar`` and ``{train,val}.tar``. A pure function."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from retrieval.errors import UsageError

EXPANSION_LIMIT = 100_000
"""Names that one pattern may stand for."""

_PATTERN_LIMIT = 4096  # characters, as of a path
_BRACES_LIMIT = 32
_RANGE = re.compile(r"(\d{1,18})\.\.(\d{1,18})")


def expand_braces(pattern: str) -> list[str]:
    """Expand a pattern to the names that it stands for, the last braces varying fastest; without braces it is a name.

    ``{7..12}`` counts up or down; if either end begins with 0, all are padded with zeros to the longer one.
    ``{a,b}`` may hold further braces. Braces around one word are literal, as in bash.

    Raises:
        UsageError: there are more than 100,000, or the pattern is longer than a path or has more than 32 braces.
    """
    if len(pattern) > _PATTERN_LIMIT or pattern.count("{") > _BRACES_LIMIT:
        raise UsageError(
            f"{pattern[:100]}... is longer than a pattern of names may be ({_PATTERN_LIMIT:,} characters, "
            f"{_BRACES_LIMIT} braces); split it into several runs"
        )
    names: list[str] = []
    for name in _expanded(pattern):
        names.append(name)
        if len(names) > EXPANSION_LIMIT:
            raise UsageError(
                f"{pattern} stands for more than {EXPANSION_LIMIT:,} names; split it into several runs"
            )
    return names


def _expanded(pattern: str) -> Iterator[str]:
    for start, end, choices in _groups(pattern):
        for choice in choices:
            for head in _expanded(choice):
                for tail in _expanded(pattern[end:]):
                    yield pattern[:start] + head + tail
        return
    yield pattern


def _groups(pattern: str) -> Iterator[tuple[int, int, Iterator[str]]]:
    """Find the outermost braces with several choices: where they stand, and the choices."""
    depth, start, commas = 0, 0, list[int]()
    for position, character in enumerate(pattern):
        if character == "{":
            depth += 1
            if depth == 1:
                start, commas = position, []
        elif character == "," and depth == 1:
            commas.append(position)
        elif character == "}" and depth:
            depth -= 1
            inside = pattern[start + 1 : position]
            if depth == 0 and (commas or _RANGE.fullmatch(inside)):
                cuts = [start, *commas, position]
                words = (pattern[a + 1 : b] for a, b in pairwise(cuts))
                yield start, position + 1, words if commas else _counted(inside)


def _counted(span: str) -> Iterator[str]:
    matched = _RANGE.fullmatch(span)
    assert matched is not None, span
    first, last = matched.groups()
    padded = any(end.startswith("0") and len(end) > 1 for end in (first, last))
    width = max(len(first), len(last)) if padded else 0
    step = 1 if int(first) <= int(last) else -1
    for number in range(int(first), int(last) + step, step):
        yield f"{number:0{width}d}"
