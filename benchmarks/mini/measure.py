"""Measures a model folder on Flickr8k val, COCO photographs and class sets, and for speed; writes figures.json into it.

    python measure.py --model FOLDER --flickr8k FOLDER --coco-mini FOLDER --classes FOLDER --image-weights FILE

Hit rates in per cent. Of the class sets' labels every second one was held out of training. ``agreement`` is the share
of class photographs (held-out labels) for which the nearest of 1,000 class names is what the backbone's own classifier
says. With ``--aspects 1,1.5,2`` val is measured at several, and nothing is written.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from data import Sample, read_coco, read_tars
from numpy.typing import NDArray
from PIL import Image
from student import Student
from vocabulary import Vocabulary

from indexer.training.validation import hit_rates
from retrieval.encoders.two_tower import TwoTower
from retrieval.encoders.two_tower.memory import retain_freed_memory
from retrieval.images import decode
from retrieval.types import Limits

Vectors = NDArray[np.float32]


def encode(encoder: TwoTower, samples: Iterable[Sample]) -> tuple[Vectors, list[dict[str, Any]]]:
    """Vectors as indexing makes them, and the facts of each picture."""
    prepared, facts = [], []
    for data, about in samples:
        prepared.append(encoder.prepare_image(decode(data, Limits(), encoder.image_size)))
        facts.append(about)
    return encoder.encode_prepared(prepared), facts


def captioned(encoder: TwoTower, images: Vectors, facts: list[dict[str, Any]], key: str) -> dict[str, float]:
    texts = [text for about in facts for text in about[key]]
    owners = np.repeat(np.arange(len(facts)), [len(about[key]) for about in facts])
    return hit_rates(images, encoder.encode_texts(texts), list(enumerate(owners.tolist())))


def val_figures(encoder: TwoTower, flickr8k: Path) -> dict[str, dict[str, float]]:
    images, facts = encode(encoder, read_tars([flickr8k / "val-000.tar"]))
    return {
        language: captioned(encoder, images, facts, key)
        for language, key in (("en", "captions"), ("zh", "captions_zh"))
    }


def class_figures(encoder: TwoTower, classes: Path, backbone: Path) -> dict[str, Any]:
    """Labels as queries over all class photographs (is one of the first k right?), and agreement."""
    paths = [classes / f"{name}.tar" for name in ("caltech101", "grocery", "clothing")]
    images, facts = encode(encoder, read_tars(paths))
    labels = sorted({about["label"] for about in facts})
    owners = np.array([labels.index(about["label"]) for about in facts])
    scores = encoder.encode_texts(labels) @ images.T
    right = owners[np.argsort(-scores, axis=1, kind="stable")] == np.arange(len(labels))[:, None]
    held = np.arange(len(labels)) % 2 == 1
    figures: dict[str, Any] = {
        f"labels_{name}": {f"r{k}": 100 * float(right[rows, :k].any(1).mean()) for k in (1, 5, 10)}
        for name, rows in (("held_out", held), ("seen", ~held))
    }
    says = classifier(backbone, paths)[held[owners]]
    vocabulary = Vocabulary.read(Path(__file__).with_name("classes.tsv")).classes
    names = {"en": [one.label for one in vocabulary], "zh": [one.chinese[0] for one in vocabulary]}
    figures["agreement"] = {
        language: 100 * float(((images[held[owners]] @ encoder.encode_texts(own).T).argmax(1) == says).mean())
        for language, own in names.items()
    }
    return figures


def classifier(backbone: Path, paths: list[Path]) -> NDArray[np.int64]:
    """The backbone's own classes of the photographs, each squeezed into the square."""
    from retrieval.encoders.two_tower.text import train_tokenizer

    student = Student(train_tokenizer(["a"], 10), backbone)
    classes = []
    with torch.inference_mode():
        for data, _ in read_tars(paths):
            picture = (
                Image.open(io.BytesIO(data)).convert("RGB").resize((224, 224), Image.Resampling.BILINEAR)
            )
            pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None]
            classes.append(int(student.logits(student.features(pixels)).argmax()))
    return np.array(classes)


def speed(encoder: TwoTower) -> dict[str, float]:
    """Pictures a second (prepared, batches of 32) and milliseconds a text query, medians."""
    pixels = [np.zeros((encoder.image_size, encoder.image_size, 3), np.uint8)] * 32

    def median(repeats: int, call: Callable[[], object]) -> float:
        times = []
        for _ in range(repeats):
            started = time.perf_counter()
            call()
            times.append(time.perf_counter() - started)
        return statistics.median(times)

    return {
        "images_per_second": 32 / median(12, lambda: encoder.encode_prepared(pixels)),
        "ms_per_text": 1000 * median(100, lambda: encoder.encode_texts(["two dogs run through the snow"])),
        "threads": torch.get_num_threads(),
    }


def with_aspect(encoder: TwoTower, aspect: float) -> TwoTower:
    """The same weights, another preparation; for choosing one."""
    config = encoder._config
    encoder._config = replace(config, image=replace(config.image, aspect=aspect))
    return encoder


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("--model", "--flickr8k", "--coco-mini", "--classes", "--image-weights"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--aspects")
    args = parser.parse_args()
    retain_freed_memory()
    encoder = TwoTower.load(args.model)
    if args.aspects:
        for aspect in map(float, args.aspects.split(",")):
            print(aspect, json.dumps(val_figures(with_aspect(encoder, aspect), args.flickr8k)), flush=True)
        return
    coco, facts = encode(encoder, read_coco(args.coco_mini))
    files = ("config.json", "model.safetensors", "tokenizer.json")
    figures = {
        "flickr8k_val": val_figures(encoder, args.flickr8k),
        "coco_mini": captioned(encoder, coco, facts, "captions"),
        "classes": class_figures(encoder, args.classes, args.image_weights),
        "speed": speed(encoder),
        "bytes": sum((args.model / name).stat().st_size for name in files),
    }
    rounded = json.loads(json.dumps(figures), parse_float=lambda digits: round(float(digits), 2))
    (args.model / "figures.json").write_text(json.dumps(rounded, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(rounded, indent=2))


if __name__ == "__main__":
    main()
