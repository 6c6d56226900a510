"""Lists the texts that the teacher reads, one a line: captions of train (never of val), COCO's, class names.

python texts.py --flickr8k FOLDER --coco-captions FILE --labels FILE --out texts.txt
"""

from __future__ import annotations

import argparse
from pathlib import Path


def lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--flickr8k", "--coco-captions", "--labels", "--out"):
        parser.add_argument(name, type=Path, required=True)
    args = parser.parse_args()
    train = {line.strip().removesuffix(".jpg") for line in lines(args.flickr8k / "splits" / "train.txt")}
    texts = {
        row.split("\t")[-1].strip()
        for name in ("captions_en.tsv", "captions_zh.tsv")
        for row in lines(args.flickr8k / name)[1:]
        if row.split("\t")[0] in train
    }
    texts |= {text.strip() for text in lines(args.coco_captions) if text.strip()}
    for label in lines(args.labels):
        texts |= {label, f"a photo of a {label}"}
    ordered = sorted(texts, key=lambda text: (len(text), text))
    args.out.write_text("".join(f"{text}\n" for text in ordered), encoding="utf-8")


if __name__ == "__main__":
    main()
