"""Asks a collection of captioned photographs with five pictures of it, and draws what it answers, to be looked at.

    python pictures.py val-000.tar --sheet pictures.png

Indexes the tar with the model (or searches ``--collection``, where it has been indexed), asks for captions and for
pictures, as ``vlsearch query PICTURE`` does with and without ``--find image``, and prints a Markdown table. The picture
itself, which is always the first hit, is left out of its own answers. ``*`` marks a caption that is the picture's own.
"""

from __future__ import annotations

import argparse
import io
import tarfile
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw

import indexer
import retrieval
from retrieval.types import Hit

CHOSEN = (
    "481887827_f8975dabf1.jpg",  # people around a campfire at night
    "225699652_53f6fb33cd.jpg",  # dolphins leap from a pool
    "3704698586_a42c25d0c1.jpg",  # racing cyclists around a traffic cone
    "295729735_8360f2e64c.jpg",  # children on the seats of a train
    "463786229_b54c9a3436.jpg",  # an insect on yellow flowers, against the sky
)
TILE, LINE, SHOWN = 190, 14, 5


@dataclass(frozen=True, slots=True)
class Answer:
    """What a picture found among the others."""

    name: str
    captions: list[Hit]
    pictures: list[Hit]
    own: frozenset[str]

    def caption_line(self, hit: Hit) -> str:
        return f"{hit.score:.2f} {hit.text}{'*' if hit.uri in self.own else ''}"


def member(hit: Hit) -> str:
    return hit.uri.rpartition("#")[2]


def ask(engine: retrieval.SearchEngine, name: str, picture: Path) -> Answer:
    found = engine.search(picture, k=SHOWN + 1, find="image")
    itself = next(hit for hit in found if member(hit) == name)
    others = [hit for hit in found if hit is not itself][:SHOWN]
    own = frozenset(caption.uri for caption in itself.captions)
    return Answer(name, engine.search(picture, k=SHOWN), others, own)


def draw(answers: list[Answer], photographs: tarfile.TarFile) -> Image.Image:
    """A row a query: the picture asked with, the pictures found with their scores, the captions found below."""
    height = TILE + LINE * (SHOWN + 2)
    sheet = Image.new("RGB", (TILE * (SHOWN + 1), height * len(answers)), "white")
    pen = ImageDraw.Draw(sheet)
    for row, answer in enumerate(answers):
        top = row * height
        for column, name in enumerate([answer.name, *map(member, answer.pictures)]):
            with Image.open(io.BytesIO(_read(photographs, name))) as opened:
                tile = opened.convert("RGB")
            tile.thumbnail((TILE - 8, TILE - LINE))
            sheet.paste(tile, (column * TILE, top + LINE))
            label = "asked with" if column == 0 else f"{answer.pictures[column - 1].score:.2f}"
            pen.text((column * TILE, top), label, fill="black")
        for line, hit in enumerate(answer.captions):
            text = (
                answer.caption_line(hit).encode("latin-1", "replace").decode("latin-1")
            )  # the font has no more
            pen.text((8, top + TILE + 4 + line * LINE), text, fill="black")
    return sheet


def _read(photographs: tarfile.TarFile, name: str) -> bytes:
    file = photographs.extractfile(name)
    assert file is not None, name
    return file.read()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tar", type=Path)
    parser.add_argument("--sheet", type=Path, required=True)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--collection", type=Path)
    parser.add_argument("--pictures", nargs="+", default=CHOSEN, metavar="MEMBER")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        collection = options.collection or folder / "collection"
        if options.collection is None:
            indexer.build(options.tar, collection, model=options.model)
        photographs = stack.enter_context(tarfile.open(options.tar))
        engine = stack.enter_context(retrieval.open(collection))
        answers = []
        for name in options.pictures:
            picture = folder / "picture.jpg"
            picture.write_bytes(_read(photographs, name))
            answers.append(ask(engine, name, picture))
        draw(answers, photographs).save(options.sheet)
    print(
        "| asked with | first captions (`*` its own) | own among 5 | scores of the pictures |\n|---|---|--:|---|"
    )
    for answer in answers:
        captions = "; ".join(answer.caption_line(hit) for hit in answer.captions)
        own = sum(hit.uri in answer.own for hit in answer.captions)
        scores = " ".join(f"{hit.score:.2f}" for hit in answer.pictures)
        print(f"| {answer.name} | {captions} | {own} | {scores} |")


if __name__ == "__main__":
    main()
