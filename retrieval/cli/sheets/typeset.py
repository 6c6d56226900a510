"""Set lines of text in rows of pixels, word by word, and draw them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from PIL import ImageDraw

from retrieval.cli.sheets.entries import Line, Run
from retrieval.cli.sheets.fonts import pieces_of

MOST_ROWS = 8
"""Rows of one line; the rest of it is cut off, which an ellipsis shows."""

LONGEST = 1000  # characters that are set of one run, more than MOST_ROWS hold

_INK, _GREY = (25, 25, 25), (105, 105, 105)
_MARK = (255, 150, 0)
_WORD = re.compile(
    r"\s+|[!-~]{1,20}|.", re.DOTALL
)  # a row may end after each; of what is not ASCII after a character


class Word(NamedTuple):
    """A word at its place: ``x`` pixels from the left, ``row`` rows from the top."""

    x: float
    row: int
    text: str
    run: Run


def row_height(size: int) -> int:
    """Give the pixels from one row of text of a size to the next."""
    return round(1.4 * size)


def set_line(line: Line, width: float, size: int) -> list[Word]:
    """Set a line of text of a size in rows of a width in pixels; a name begins a row."""
    words: list[Word] = []
    x, row = 0.0, 0
    for run in line:
        if run.style == "name" and x:
            x, row = 0.0, row + 1
        for text in _WORD.findall(run.text[:LONGEST]):
            advance = width_of(text, size)
            if x + advance > width and x:
                x, row = 0.0, row + 1
            if row == MOST_ROWS:
                return [*words, Word(width - size, row - 1, "…", run)]
            if text.isspace() and not x:
                continue
            words.append(Word(x, row, " " if text.isspace() else text, run))
            x += advance
    return words


def width_of(text: str, size: int) -> float:
    """Measure a text of a size, in pixels; blanks of any kind and number are one."""
    return sum(piece.font.getlength(piece.text) for piece in pieces_of(" " if text.isspace() else text, size))


def draw_words(
    draw: ImageDraw.ImageDraw, words: Iterable[Word], at: tuple[float, float], size: int
) -> Iterator[str]:
    """Draw words from a corner on; yield the characters that no font has."""
    left, top = at
    for word in words:
        x, y = left + word.x, top + word.row * row_height(size)
        if word.run.share is not None:
            share = 0.85 * word.run.share
            colour = tuple(round(255 + share * (mark - 255)) for mark in _MARK)
            draw.rectangle((x, y, x + width_of(word.text, size), y + row_height(size) - 2), fill=colour)
        for piece in pieces_of(word.text, size):
            draw.text((x, y), piece.text, _GREY if word.run.style == "small" else _INK, piece.font)
            x += piece.font.getlength(piece.text)
            if not piece.is_drawn:
                yield from piece.text
