"""Fonts for drawn text: Pillow's own, and for what it lacks those that the system has."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from PIL import ImageFont

# Looked for by name in the system's folders of fonts: Noto (Linux), WenQuanYi, Droid; macOS; Windows; for other
# scripts than Chinese, Japanese and Korean those that have most.
_NAMES = (
    "NotoSansCJK-Regular.ttc", "NotoSansCJKsc-Regular.otf", "NotoSansSC-Regular.otf", "SourceHanSansSC-Regular.otf",
    "wqy-microhei.ttc", "wqy-zenhei.ttc", "DroidSansFallbackFull.ttf",
    "PingFang.ttc", "Hiragino Sans GB.ttc", "STHeiti Light.ttc", "Arial Unicode.ttf",
    "msyh.ttc", "simsun.ttc", "malgun.ttf", "segoeui.ttf", "DejaVuSans.ttf", "NotoSans-Regular.ttf",
)  # fmt: skip
_ABSENT = "\U0010ffff"  # no font has it: what is drawn for it stands for every character that a font lacks

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


class Piece(NamedTuple):
    """Text that one font draws; ``is_drawn`` is false where no font has its characters."""

    text: str
    font: Font
    is_drawn: bool


@cache
def fonts_of(size: int) -> tuple[Font, ...]:
    """Give Pillow's own font of a size in pixels and the first of the system's."""
    return (ImageFont.load_default(size), *_of_the_system(size))


def _of_the_system(size: int) -> Iterator[ImageFont.FreeTypeFont]:
    for name in _NAMES:
        try:
            yield ImageFont.truetype(name, size, layout_engine=ImageFont.Layout.BASIC)
        except OSError:  # it is not here
            continue


def pieces_of(text: str, size: int) -> Iterator[Piece]:
    """Cut a text where its font changes: each character is drawn by the first font that has it."""
    fonts = fonts_of(size)
    start, last = 0, -1
    for at, character in enumerate(text):
        index = _font_of(character, size)
        if at and index != last:
            yield _piece(text[start:at], fonts, last)
            start = at
        last = index
    if text:
        yield _piece(text[start:], fonts, last)


def _piece(text: str, fonts: tuple[Font, ...], index: int) -> Piece:
    return Piece(text, fonts[max(index, 0)], index >= 0)


@cache
def _font_of(character: str, size: int) -> int:
    """Give the place of the first font that has a character, or -1."""
    if character.isspace():
        return 0
    for index, font in enumerate(fonts_of(size)):
        if bytes(font.getmask(character)) != bytes(font.getmask(_ABSENT)):
            return index
    return -1
