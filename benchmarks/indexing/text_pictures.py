"""Pictures with texts of known content, drawn over photographs: for the measurement of readers of text."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

SIZES = (18, 22, 28, 36, 48)  # pixels an em
MOST_DEGREES = 10.0
LINES = 3
FONTS = {
    "en": (
        "DejaVuSans.ttf",
        "DejaVuSans-Bold.ttf",
        "DejaVuSerif.ttf",
        "DejaVuSerif-Italic.ttf",
        "DejaVuSansMono.ttf",
    ),
    "zh": (
        "NotoSansCJK-Regular.ttc",
        "NotoSansCJK-Bold.ttc",
        "NotoSerifCJK-Regular.ttc",
        "NotoSerifCJK-Bold.ttc",
    ),
}
_FOLDERS = ("/usr/share/fonts/truetype/dejavu", "/usr/share/fonts/opentype/noto")
_SIMPLIFIED = 2  # the face of Noto's collections that has the shapes of mainland China
# colours of the letters, their outline and the plate behind them
_STYLES = (
    ((255, 255, 255), (0, 0, 0), None),
    ((20, 20, 20), None, (245, 245, 240)),
    ((250, 250, 250), None, (20, 60, 140)),
    ((255, 235, 60), (60, 30, 0), None),
)

Corner = tuple[float, float]


@dataclass(frozen=True, slots=True)
class DrawnLine:
    """A line of text, its letters in pixels an em, and its corners in pixels, clockwise from the top left."""

    text: str
    pixels: int
    corners: tuple[Corner, Corner, Corner, Corner]


@dataclass(frozen=True, slots=True)
class TextPicture:
    """A picture with the lines that were drawn into it; ``lang`` is ``en`` or ``zh``."""

    image: Image.Image
    lang: str
    lines: tuple[DrawnLine, ...]


def english_texts(captions: Path) -> list[str]:
    """Give the captions of a JSON Lines file as in coco_mini, each once."""
    rows = [json.loads(line) for line in captions.read_text(encoding="utf-8").splitlines()]
    return sorted({text for row in rows for text in row["captions"]})


def chinese_texts(captions: Path) -> list[str]:
    """Give the texts in the last column of a table as Flickr8k's captions in Chinese, each once."""
    rows = captions.read_text(encoding="utf-8").splitlines()
    return sorted({row.rpartition("\t")[2] for row in rows if "\t" in row})


def draw_pictures(
    photographs: Sequence[Path], texts: Mapping[str, Sequence[str]], number: int, seed: int = 0
) -> Iterator[TextPicture]:
    """Draw texts over photographs, by turns in each language; the same seed gives the same pictures."""
    chosen = random.Random(seed)
    langs = sorted(texts)
    for index in range(number):
        lang = langs[index % len(langs)]
        with Image.open(photographs[index % len(photographs)]) as photograph:
            image = photograph.convert("RGB")
        lines: list[DrawnLine] = []
        for _ in range(chosen.randint(1, LINES)):
            line = _draw(image, _piece(chosen, texts[lang], lang), lang, chosen, lines)
            lines += [line] if line is not None else []
        yield TextPicture(image, lang, tuple(lines))


def _piece(chosen: random.Random, texts: Sequence[str], lang: str) -> str:
    """Cut a few words, or characters, out of a text."""
    words = list(chosen.choice(texts).strip()) if lang == "zh" else chosen.choice(texts).split()
    words = [word for word in words if word.strip()]
    least, most = (4, 12) if lang == "zh" else (2, 5)
    length = min(len(words), chosen.randint(least, most))
    start = chosen.randint(0, len(words) - length)
    return ("" if lang == "zh" else " ").join(words[start : start + length])


def _draw(
    image: Image.Image, text: str, lang: str, chosen: random.Random, others: Sequence[DrawnLine]
) -> DrawnLine | None:
    """Draw a line where no other is; None where no place was found."""
    letters, outline, plate = chosen.choice(_STYLES)
    font = _font(chosen.choice(FONTS[lang]), chosen.choice(SIZES))
    degrees = chosen.uniform(-MOST_DEGREES, MOST_DEGREES)
    stroke = 0 if outline is None else max(1, round(font.size / 14))
    left, top, right, bottom = (round(side) for side in font.getbbox(text, stroke_width=stroke))
    pad = round(font.size / 4)
    size = (right - left + 2 * pad, bottom - top + 2 * pad)
    layer = Image.new("RGBA", size, (*plate, 255) if plate else (0, 0, 0, 0))
    draw = ImageDraw.Draw(layer)
    draw.text((pad - left, pad - top), text, letters, font, stroke_width=stroke, stroke_fill=outline)
    turned = layer.rotate(degrees, Image.Resampling.BICUBIC, expand=True)
    if turned.width > image.width or turned.height > image.height:
        return None
    for _ in range(20):
        place = (
            chosen.randint(0, image.width - turned.width),
            chosen.randint(0, image.height - turned.height),
        )
        box = (*place, place[0] + turned.width, place[1] + turned.height)
        if not any(_overlap(box, _around(line.corners)) for line in others):
            image.paste(turned, place, turned)
            centre = (place[0] + turned.width / 2, place[1] + turned.height / 2)
            return DrawnLine(text, round(font.size), _turned_corners(size, degrees, centre))
    return None


def _font(name: str, size: int) -> ImageFont.FreeTypeFont:
    path = next(Path(folder, name) for folder in _FOLDERS if Path(folder, name).exists())
    return ImageFont.truetype(path, size, index=_SIMPLIFIED if path.suffix == ".ttc" else 0)


def _turned_corners(
    size: tuple[int, int], degrees: float, centre: Corner
) -> tuple[Corner, Corner, Corner, Corner]:
    turn = math.radians(degrees)
    across, down = size[0] / 2, size[1] / 2

    def corner(x: float, y: float) -> Corner:
        # Pillow turns counter-clockwise, and y points down
        return (
            centre[0] + x * math.cos(turn) + y * math.sin(turn),
            centre[1] - x * math.sin(turn) + y * math.cos(turn),
        )

    return corner(-across, -down), corner(across, -down), corner(across, down), corner(-across, down)


def _around(corners: Sequence[Corner]) -> tuple[float, float, float, float]:
    xs, ys = [x for x, _ in corners], [y for _, y in corners]
    return min(xs), min(ys), max(xs), max(ys)


def _overlap(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
