"""Lists the texts that teachers read, one a line: captions, class names, words.

python -m recipes.mini.from_imagenet.texts --flickr8k FOLDER --coco-captions FILE --out FOLDER

Writes ``captions.txt`` (of Flickr8k's train split, and COCO's), ``val.txt`` (human captions of val, only to watch
training by), ``names.txt`` and, with the package wordfreq (in the teachers' environment), ``words.txt``: the most
frequent 40,000 words of English and of Chinese, so that words which no caption has are not unknown.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from recipes.mini.vocabulary import Vocabulary

WORDS = 40_000
ENGLISH_WORD, CHINESE_WORD = re.compile(r"[a-z][a-z' -]{1,30}"), re.compile("[\u4e00-\u9fff]{1,8}")


def lines(path: Path) -> list[str]:
    """Read a text file's lines."""
    return path.read_text(encoding="utf-8").splitlines()


def of_split(flickr8k: Path, split: str, machine: bool) -> set[str]:
    """A split's captions in both languages, with or without machine translations."""
    pictures = {line.strip().removesuffix(".jpg") for line in lines(flickr8k / "splits" / f"{split}.txt")}
    rows = [
        row.split("\t")
        for name in ("captions_en.tsv", "captions_zh.tsv")
        for row in lines(flickr8k / name)[1:]
    ]
    return {row[-1].strip() for row in rows if row[0] in pictures and (machine or row[2] != "machine")}


def captions(flickr8k: Path, coco: Path, classes: Vocabulary) -> list[str]:
    """Captions of train in both languages, COCO's captions and the labels, shortest first."""
    texts = of_split(flickr8k, "train", machine=True)
    texts |= {text.strip() for text in lines(coco) if text.strip()}
    for names in classes.classes:
        texts |= {names.label, f"a photo of a {names.label}"}
    return sorted(texts, key=lambda text: (len(text), text))


def words() -> list[str]:
    """List frequent English and Chinese words."""
    from wordfreq import top_n_list  # of the teachers' environment

    english = [word for word in top_n_list("en", WORDS) if ENGLISH_WORD.fullmatch(word)]
    chinese = [word for word in top_n_list("zh", WORDS) if CHINESE_WORD.fullmatch(word)]
    return list(dict.fromkeys([*english, *chinese]))


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--flickr8k", "--coco-captions", "--out"):
        parser.add_argument(name, type=Path, required=True)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    classes = Vocabulary.of_imagenet()
    lists = {
        "captions": captions(args.flickr8k, args.coco_captions, classes),
        "val": sorted(of_split(args.flickr8k, "val", machine=False)),
        "words": words(),
        "names": classes.texts(),
    }
    for name, texts in lists.items():
        (args.out / f"{name}.txt").write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")


if __name__ == "__main__":
    main()
