"""Pictures squeezed whole into 256x256 squares, once, and the facts that lie beside them in the archives.

python -m recipes.mini.from_imagenet.data --flickr8k FOLDER --classes FOLDER --out FOLDER
"""

from __future__ import annotations

import argparse
import io
import json
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SIDE = 256

Sample = tuple[bytes, dict[str, Any]]


def read_tars(paths: Iterable[Path]) -> Iterator[Sample]:
    """(JPEG, JSON) of each sample, in order; each picture's JSON follows it."""
    for path in paths:
        with tarfile.open(path) as tar:
            picture = b""
            for member in tar:
                file = tar.extractfile(member)
                if file is None:
                    continue
                if member.name.endswith(".jpg"):
                    picture = file.read()
                elif member.name.endswith(".json"):
                    yield picture, json.loads(file.read())


def read_coco(folder: Path) -> Iterator[Sample]:
    """Yield the photographs of coco_mini with their captions."""
    for line in (folder / "captions.jsonl").read_text(encoding="utf-8").splitlines():
        facts = json.loads(line)
        yield (folder / facts["image"]).read_bytes(), facts


def write_cache(out: Path, name: str, samples: Iterable[Sample]) -> None:
    """Write the squeezed photographs and the facts of a set."""
    pixels, facts = [], []
    for data, about in samples:
        picture = Image.open(io.BytesIO(data)).convert("RGB")
        pixels.append(np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC)))
        facts.append(about)
    np.save(out / f"{name}.npy", np.stack(pixels))
    (out / f"{name}.json").write_text(json.dumps(facts), encoding="utf-8")


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--flickr8k", "--classes", "--out"):
        parser.add_argument(name, type=Path, required=True)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    write_cache(args.out, "train", read_tars(sorted(args.flickr8k.glob("train-*.tar"))))
    write_cache(args.out, "val", read_tars([args.flickr8k / "val-000.tar"]))
    sets = [args.classes / f"{name}.tar" for name in ("caltech101", "grocery", "clothing")]
    write_cache(args.out, "classes", read_tars(sets))


if __name__ == "__main__":
    main()
