"""What pictures come for "X without Y", in English and Chinese, when the query is read in several ways.

    python -m benchmarks.search.without FLICKR8K

FLICKR8K is a folder with val-*.tar (WebDataset: images, with captions and captions_zh in JSON). Pairs are made of
things that captions name: X and Y are together in at least eight images, and X is without Y in at least ten. An image
shows a thing if one of its five captions names it. The table gives the share of the first ten images that show X and
not Y, and that show both. Rewrites without.md.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import tarfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import retrieval
from benchmarks.provenance import introduction, markdown_table, provenance, write_table
from retrieval.query.compose import compose
from retrieval.query.without import WEIGHT, read_text

TABLE = Path(__file__).with_suffix(".md")
HEAD = ("language", "pairs", "the query is read as", "X and not Y", "X and Y")
TOGETHER, APART, FIRST = 8, 10, 10
THINGS = {
    "dog": "狗", "ball": "球", "man": "男人", "woman": "女人", "boy": "男孩", "girl": "女孩", "child": "孩子",
    "people": "人", "water": "水", "grass": "草", "snow": "雪", "beach": "沙滩", "street": "街", "bike": "自行车",
    "car": "车", "hat": "帽", "shirt": "衬衫", "tree": "树", "rock": "岩石", "mountain": "山", "crowd": "人群",
    "building": "建筑", "sand": "沙", "bench": "长椅", "skateboard": "滑板", "horse": "马", "camera": "相机",
    "jacket": "夹克", "helmet": "头盔", "stick": "棍", "toy": "玩具", "fence": "栅栏", "river": "河", "field": "田",
    "rope": "绳", "sunglasses": "墨镜", "bag": "包", "pool": "池", "ocean": "海", "sky": "天空",
}  # fmt: skip
Rows = NDArray[np.float32]


def main() -> None:
    """Rewrite the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("flickr8k", type=Path)
    parser.add_argument("--model", default="mini")
    args = parser.parse_args()
    encoder = retrieval.load_encoder(args.model)
    images, english, chinese = read(args.flickr8k)
    vectors = np.concatenate(
        [encoder.encode_images(images[at : at + 64]) for at in range(0, len(images), 64)]
    )
    rows: list[Sequence[object]] = []
    for language, captions, names, sentence in (
        ("English", english, {thing: rf"\b{thing}(?:s|es)?\b" for thing in THINGS}, "a {x} without a {y}"),
        ("Chinese", chinese, {thing: thing for thing in THINGS.values()}, "没有{y}的{x}"),
    ):
        shown = {
            thing: np.array([re.search(pattern, text) is not None for text in captions])
            for thing, pattern in names.items()
        }
        pairs = list(pairs_of(shown))
        for name, ranking in ways(encoder, vectors, sentence):
            firsts = [(x, y, ranking(x, y)[:FIRST]) for x, y in pairs]
            good = np.mean([np.mean(shown[x][first] & ~shown[y][first]) for x, y, first in firsts])
            bad = np.mean([np.mean(shown[x][first] & shown[y][first]) for x, y, first in firsts])
            rows.append((language, len(pairs), name, f"{good:.3f}", f"{bad:.3f}"))
            print(*rows[-1], sep="\t", flush=True)
    head = provenance(
        "python -m benchmarks.search.without FLICKR8K", packages=("numpy",), note=f"model {args.model}"
    )
    write_table(TABLE, ["# Without", "", *head, "", introduction(__doc__), "", *markdown_table(HEAD, rows)])


def read(folder: Path) -> tuple[list[Image.Image], list[str], list[str]]:
    """Read the images, and the captions of each joined by lines, in both languages."""
    images, english, chinese = [], [], []
    for archive in sorted(folder.glob("val-*.tar")):
        with tarfile.open(archive) as tar:
            for member in tar:
                file = tar.extractfile(member)
                assert file is not None, "archives of this set hold files only"
                if member.name.endswith(".json"):
                    facts = json.load(file)
                    english.append("\n".join(facts["captions"]).lower())
                    chinese.append("\n".join(facts["captions_zh"]))
                else:
                    images.append(Image.open(io.BytesIO(file.read())).convert("RGB"))
    return images, english, chinese


def pairs_of(shown: dict[str, NDArray[np.bool_]]) -> Iterator[tuple[str, str]]:
    """Give the pairs (X, Y) that are often together and often apart."""
    for x, with_x in shown.items():
        for y, with_y in shown.items():
            nested = x in y or y in x
            if not nested and (with_x & with_y).sum() >= TOGETHER and (with_x & ~with_y).sum() >= APART:
                yield x, y


def ways(
    encoder: retrieval.Encoder, vectors: Rows, sentence: str
) -> Iterator[tuple[str, Callable[[str, str], NDArray[np.intp]]]]:
    """Give each way to read a query, with the ranking of the images that it leads to."""

    def scores(text: str) -> Rows:
        row: Rows = vectors @ encoder.encode_texts([text], 1)[0]
        return row

    def ranked(score: Rows) -> NDArray[np.intp]:
        return np.argsort(-score, kind="stable")

    def as_read(x: str, y: str) -> NDArray[np.intp]:
        reading = read_text(sentence.format(x=x, y=y))
        assert reading.unwanted, f"{sentence} is not read as excluding anything"
        texts = [reading.wanted, *reading.unwanted]
        rows = np.concatenate([encoder.encode_texts([text], 1) for text in texts])
        return ranked(vectors @ compose(rows, [1.0] + [-WEIGHT] * len(reading.unwanted)))

    def z(score: Rows) -> Rows:
        standard: Rows = (score - score.mean()) / score.std()
        return standard

    yield "the sentence as it is", lambda x, y: ranked(scores(sentence.format(x=x, y=y)))
    yield "X alone", lambda x, _: ranked(scores(x))
    yield f"vlsearch: wanted - {WEIGHT:g} unwanted", as_read
    yield (
        "z-scores: x - max(0, y - 0.5)",
        lambda x, y: ranked(z(scores(x)) - np.maximum(0, z(scores(y)) - np.float32(0.5))),
    )


if __name__ == "__main__":
    main()
