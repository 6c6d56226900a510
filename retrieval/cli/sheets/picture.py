"""A contact sheet as a PNG: up to five entries a row, each with its picture and its lines of text below."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from retrieval.cli.printing import printable
from retrieval.cli.sheets.entries import HEIGHT, Entry, Run
from retrieval.cli.sheets.typeset import Word, draw_words, row_height, set_line, width_of

COLUMNS = 5
WIDTH = 300  # pixels of an entry; its picture's place is HEIGHT high
GAP, MARGIN = 20, 30

_TEXT, _TITLE = 14, 24  # pixels
_PAPER, _PLACE, _BADGE = (255, 255, 255), (238, 238, 238), (40, 40, 40)


@dataclass(frozen=True, slots=True)
class _Placed:
    """An entry with its lines set in rows."""

    entry: Entry
    lines: tuple[list[Word], ...]

    @property
    def has_place(self) -> bool:
        """Whether there is a picture, or a place that says why there is none."""
        return self.entry.jpeg is not None or bool(self.entry.missing)

    @property
    def height(self) -> int:
        return (HEIGHT + 8 if self.has_place else 0) + sum(map(_height, self.lines))


def png_of(title: str, entries: Sequence[Entry]) -> tuple[bytes, list[str]]:
    """Draw a sheet.

    Returns:
        The PNG, and the characters that no font of this machine has, each once.
    """
    columns = max(1, min(COLUMNS, len(entries)))
    width = columns * (WIDTH + GAP) - GAP
    heading = set_line((Run(printable(title)),), width, _TITLE)
    placed = [
        _Placed(entry, tuple(set_line(line, WIDTH, _TEXT) for line in entry.lines)) for entry in entries
    ]
    rows = [placed[at : at + columns] for at in range(0, len(placed), columns)]
    top = MARGIN + _rows(heading) * row_height(_TITLE) + GAP
    height = top + sum(max(one.height for one in row) + GAP for row in rows) + MARGIN - GAP
    sheet = Image.new("RGB", (width + 2 * MARGIN, height), _PAPER)
    undrawn = dict.fromkeys(draw_words(ImageDraw.Draw(sheet), heading, (MARGIN, MARGIN), _TITLE))
    for row in rows:
        for column, one in enumerate(row):
            undrawn |= dict.fromkeys(_draw_entry(sheet, one, MARGIN + column * (WIDTH + GAP), top))
        top += max(one.height for one in row) + GAP
    file = io.BytesIO()
    sheet.save(file, "PNG")
    return file.getvalue(), list(undrawn)


def _rows(words: list[Word]) -> int:
    return words[-1].row + 1 if words else 0


def _height(words: list[Word]) -> int:
    return _rows(words) * row_height(_TEXT) + 3


def _draw_entry(sheet: Image.Image, one: _Placed, x: int, y: int) -> Iterator[str]:
    """Draw an entry from its corner on; yield the characters that no font has."""
    draw = ImageDraw.Draw(sheet)
    if one.has_place:
        yield from _draw_picture(sheet, draw, one.entry, x, y)
        y += HEIGHT + 8
    for line in one.lines:
        yield from draw_words(draw, line, (x, y), _TEXT)
        y += _height(line)


def _draw_picture(
    sheet: Image.Image, draw: ImageDraw.ImageDraw, entry: Entry, x: int, y: int
) -> Iterator[str]:
    right = x + WIDTH
    draw.rectangle((x, y, right - 1, y + HEIGHT - 1), fill=_PLACE)
    if entry.jpeg is None:
        words = set_line((Run(entry.missing, "small"),), WIDTH, _TEXT)
        yield from draw_words(draw, words, (x + 10, y + HEIGHT // 2 - _TEXT), _TEXT)
    else:
        with Image.open(io.BytesIO(entry.jpeg)) as picture:
            scale = min(WIDTH / picture.width, HEIGHT / picture.height)
            shown = picture.convert("RGB").resize(
                (max(1, round(picture.width * scale)), max(1, round(picture.height * scale))),
                Image.Resampling.LANCZOS,
            )
        sheet.paste(shown, (x, y))
        right = x + shown.width
    if entry.moment:
        width = round(width_of(entry.moment, _TEXT)) + 12
        at = (max(x, right - width - 6), y + 6)
        draw.rounded_rectangle((*at, at[0] + width, at[1] + row_height(_TEXT) + 2), 4, fill=_BADGE)
        draw.text((at[0] + 6, at[1] + 2), entry.moment, _PAPER, font_size=_TEXT)
