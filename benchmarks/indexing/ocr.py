"""How well and how fast text in pictures is read, and how often it is read where there is none.

    python -m benchmarks.indexing.ocr COCO_MINI CHINESE_CAPTIONS

COCO_MINI is a folder of 80 photographs with ``images/`` and ``captions.jsonl``; CHINESE_CAPTIONS a table with texts
in its last column. Pieces of the captions are drawn over the photographs, in 9 fonts, 5 sizes, 4 colourings, up to
10 degrees askew (``text_pictures.py``; Noto CJK and DejaVu must be installed). The character error rate is the edit
distance between what was drawn and what was read at its place, over the characters drawn; nothing read counts as
every character wrong. Texts are compared after NFKC, with blanks squeezed in English and left out in Chinese; case
and punctuation count. Which of the photographs hold text was judged by eye for those that were given any. Rewrites
ocr.md.
"""

from __future__ import annotations

import argparse
import resource
import time
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.indexing.text_pictures import (
    DrawnLine,
    TextPicture,
    chinese_texts,
    draw_pictures,
    english_texts,
)
from benchmarks.provenance import markdown_table, provenance, write_table
from retrieval.ocr import ReadLine
from retrieval.ocr.rapid import RapidReader

TABLE = Path(__file__).with_suffix(".md")
PICTURES = 200
WITHOUT_TEXT = {"000000165518", "000000330993", "000000516008"}
"""Photographs that readers have given text and that hold none: a motorcycle, the lamps of a lorry, a laptop."""
WITH_TEXT = {
    "000000107438", "000000114174", "000000121647", "000000129648", "000000160012", "000000161044", "000000174632",
    "000000189775", "000000205401", "000000215778", "000000231460", "000000252332", "000000361919", "000000369771",
    "000000408805", "000000423617", "000000431848", "000000433998", "000000434204", "000000460229", "000000463690",
    "000000475678", "000000525891", "000000551780", "000000553664", "000000568290", "000000577932",
}  # fmt: skip
"""Photographs that readers have given text and that hold some."""


@dataclass(slots=True)
class Errors:
    """Edit distance and length of what was drawn."""

    distance: int = 0
    characters: int = 0
    lines: int = 0
    exact: int = 0

    def add(self, drawn: str, read: str) -> None:
        distance = edit_distance(drawn, read)
        self.distance, self.characters = self.distance + distance, self.characters + len(drawn)
        self.lines, self.exact = self.lines + 1, self.exact + (distance == 0)

    @property
    def rate(self) -> str:
        return f"{100 * self.distance / max(1, self.characters):.1f} %"


@dataclass(frozen=True, slots=True)
class Pass:
    """What a reader said of some pictures, and what it took."""

    found: list[list[ReadLine]]
    wall: float
    cpu: float


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("coco_mini", type=Path)
    parser.add_argument("chinese_captions", type=Path)
    arguments = parser.parse_args()
    photographs = sorted((arguments.coco_mini / "images").glob("*.jpg"))
    captions = arguments.coco_mini / "captions.jsonl"
    texts = {"en": english_texts(captions), "zh": chinese_texts(arguments.chinese_captions)}
    reader, looking_first = RapidReader(), RapidReader(first_look=True)
    for one in (reader, looking_first):
        one.read(pixels(photographs[0]))  # opens the models
    pictures = list(draw_pictures(photographs, texts, PICTURES))
    drawn = read_all(reader, [np.asarray(picture.image) for picture in pictures])
    plain = [pixels(path) for path in photographs]
    photos, looked = read_all(reader, plain), read_all(looking_first, plain)
    data = (captions, arguments.chinese_captions)
    write_table(TABLE, table(photographs, data, pictures, drawn, photos, looked))


def pixels(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def read_all(reader: RapidReader, pictures: Sequence[NDArray[np.uint8]]) -> Pass:
    wall, cpu = time.perf_counter(), cpu_seconds()
    found = [reader.read(picture) for picture in pictures]
    return Pass(found, time.perf_counter() - wall, cpu_seconds() - cpu)


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def at_place_of(line: DrawnLine, found: Sequence[ReadLine], size: tuple[int, int]) -> str:
    """Join what was read with its middle inside a drawn line, from left to right."""
    inside = []
    for one in found:
        x, y = sum(one.box[::2]) / 4 * size[0], sum(one.box[1::2]) / 4 * size[1]
        if is_inside(x, y, line.corners):
            inside.append((x, one.text))
    return " ".join(text for _, text in sorted(inside))


def is_inside(x: float, y: float, corners: Sequence[tuple[float, float]]) -> bool:
    """Whether a point lies within a convex shape, whose corners are given clockwise."""
    sides = zip(corners, [*corners[1:], corners[0]], strict=True)
    return all((bx - ax) * (y - ay) - (by - ay) * (x - ax) >= 0 for (ax, ay), (bx, by) in sides)


def comparable(text: str, lang: str) -> str:
    words = unicodedata.normalize("NFKC", text).split()
    return ("" if lang == "zh" else " ").join(words)


def edit_distance(one: str, other: str) -> int:
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        before, row[0] = row[:], i
        for j, b in enumerate(other, 1):
            row[j] = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
    return row[-1]


def errors_of(
    pictures: Sequence[TextPicture], found: Sequence[Sequence[ReadLine]]
) -> dict[tuple[str, object], Errors]:
    """Count errors by language, and by language and size of the letters."""
    errors: dict[tuple[str, object], Errors] = defaultdict(Errors)
    for picture, lines in zip(pictures, found, strict=True):
        for line in picture.lines:
            read = comparable(at_place_of(line, lines, picture.image.size), picture.lang)
            for group in ("all", line.pixels):
                errors[picture.lang, group].add(comparable(line.text, picture.lang), read)
    return errors


def table(
    photographs: Sequence[Path],
    data: Sequence[Path],
    pictures: Sequence[TextPicture],
    drawn: Pass,
    photos: Pass,
    looked: Pass,
) -> Iterator[str]:
    yield "# Text in pictures"
    yield ""
    yield from provenance(
        "python -m benchmarks.indexing.ocr COCO_MINI CHINESE_CAPTIONS",
        files=data,
        packages=("rapidocr", "onnxruntime", "opencv-python-headless", "numpy", "pillow"),
        note="nothing else ran",
    )
    yield ""
    yield f"{len(pictures)} pictures with text drawn over {len(photographs)} photographs; letters in pixels an em:"
    yield ""
    errors = errors_of(pictures, drawn.found)
    yield from markdown_table(
        ("language", "letters", "lines", "characters", "character error rate", "lines without an error"),
        (
            (lang, group, some.lines, some.characters, some.rate, f"{100 * some.exact / some.lines:.0f} %")
            for (lang, group), some in sorted(errors.items(), key=lambda pair: (pair[0][0], str(pair[0][1])))
        ),
    )
    yield ""
    yield from markdown_table(
        ("pictures", "number", "pictures a second", "CPU-s a picture"),
        (
            ("with drawn text", *pace(drawn)),
            ("photographs", *pace(photos)),
            ("photographs, with a first look", *pace(looked)),
        ),
    )
    yield ""
    yield from verdicts(photographs, photos, looked)


def pace(one: Pass) -> tuple[Any, ...]:
    number = len(one.found)
    return number, f"{number / one.wall:.2f}", f"{one.cpu / number:.2f}"


def verdicts(photographs: Sequence[Path], photos: Pass, looked: Pass) -> Iterator[str]:
    given, seen = (
        {path.stem for path, lines in zip(photographs, one.found, strict=True) if lines}
        for one in (photos, looked)
    )
    unjudged = (given | seen) - WITH_TEXT - WITHOUT_TEXT
    wrong = given & WITHOUT_TEXT
    share = 100 * len(wrong) / len(photographs)
    yield (
        f"Of the {len(photographs)} photographs, {len(given)} were given text, {len(wrong)} of them wrongly "
        f"({share:.1f} %). With a first look at half the resolution it is {len(seen)} and {len(seen & WITHOUT_TEXT)}: "
        f"it loses the small text in {len(given & WITH_TEXT - seen)}. The least confidence of a line of one character "
        "was chosen on these photographs."
    )
    if unjudged:
        yield ""
        yield f"Not judged yet: {', '.join(sorted(unjudged))}."


if __name__ == "__main__":
    main()
