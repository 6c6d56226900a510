"""Measures a model folder on Flickr8k val, COCO photographs and class sets, and for speed; writes figures.json into it.

    python measure.py --model FOLDER --flickr8k FOLDER --coco-mini FOLDER --classes FOLDER --image-weights FILE

Hit rates in per cent, of float32 vectors. Of the class sets' labels every second one was held out of training.
``agreement`` is the share of class photographs (held-out labels) for which the nearest of 1,000 class names is what the
backbone's own classifier says; ``one_a_class`` asks by name for one picture of each class, out of those pictures not
shown in training of which that classifier is sure. ``nouns`` are words alone (nouns.py). With ``--aspects 1,1.5,2`` val
is measured at several, and nothing is written; neither is it with another ``--precision``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from classes import Vectors, agreement, classify, label_figures, one_a_class
from nouns import noun_figures

from indexer.training.validation import hit_rates
from recipes.mini.from_imagenet.data import Sample, read_coco, read_tars
from retrieval.decoding.preparations import Squeeze
from retrieval.encoders.runtimes.choice import Computation
from retrieval.encoders.tower_encoder import TowerEncoder
from retrieval.encoders.two_tower import load_two_tower_encoder
from retrieval.freed_memory import retain_freed_memory
from retrieval.images import decode
from retrieval.types import Limits


def encode(encoder: TowerEncoder, samples: Iterable[Sample]) -> tuple[Vectors, list[dict[str, Any]]]:
    """Vectors as indexing makes them, and the facts of each picture."""
    prepared, facts = [], []
    for data, about in samples:
        prepared.append(encoder.prepare_image(decode(data, Limits(), encoder.image_size)))
        facts.append(about)
    return encoder.encode_prepared(prepared), facts


def captioned(
    encoder: TowerEncoder, images: Vectors, facts: list[dict[str, Any]], key: str
) -> dict[str, float]:
    texts = [text for about in facts for text in about[key]]
    owners = np.repeat(np.arange(len(facts)), [len(about[key]) for about in facts])
    return hit_rates(images, encoder.encode_texts(texts), list(enumerate(owners.tolist())))


def val_figures(
    encoder: TowerEncoder, images: Vectors, facts: list[dict[str, Any]]
) -> dict[str, dict[str, float]]:
    return {
        language: captioned(encoder, images, facts, key)
        for language, key in (("en", "captions"), ("zh", "captions_zh"))
    }


def class_sets(folder: Path) -> Iterable[Sample]:
    return read_tars([folder / f"{name}.tar" for name in ("caltech101", "grocery", "clothing")])


def held_out(samples: Iterable[Sample], labels: Sequence[str]) -> Iterable[Sample]:
    return (sample for sample in samples if labels.index(sample[1]["label"]) % 2)


def speed(encoder: TowerEncoder) -> dict[str, float]:
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


def with_aspect(encoder: TowerEncoder, aspect: float) -> TowerEncoder:
    """Give the same weights another preparation, for choosing one."""
    preparation = encoder.preparation
    assert isinstance(preparation, Squeeze)
    return TowerEncoder(
        encoder.identity, replace(preparation, aspect=aspect), encoder.tokenization, encoder.towers
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("--model", "--flickr8k", "--coco-mini", "--classes", "--image-weights"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--aspects")
    parser.add_argument("--precision", choices=("float32", "bfloat16", "int8"), default="float32")
    args = parser.parse_args()
    retain_freed_memory()
    encoder = load_two_tower_encoder(args.model, asked=Computation("auto", args.precision))
    val_tar = [args.flickr8k / "val-000.tar"]
    if args.aspects:
        for aspect in map(float, args.aspects.split(",")):
            other = with_aspect(encoder, aspect)
            figures = val_figures(other, *encode(other, read_tars(val_tar)))
            print(aspect, json.dumps(figures), flush=True)
        return

    # --- pictures, and what the classifier says of those that were not shown in training
    val, val_facts = encode(encoder, read_tars(val_tar))
    coco, coco_facts = encode(encoder, read_coco(args.coco_mini))
    photographs, about = encode(encoder, class_sets(args.classes))
    labels = sorted({facts["label"] for facts in about})
    owners = np.array([labels.index(facts["label"]) for facts in about])
    held = photographs[owners % 2 == 1]
    samples = (read_tars(val_tar), read_coco(args.coco_mini), held_out(class_sets(args.classes), labels))
    verdicts = classify(args.image_weights, chain(*samples))

    # --- figures
    files = ("config.json", "model.safetensors", "tokenizer.json")
    figures = {
        "flickr8k_val": val_figures(encoder, val, val_facts),
        "coco_mini": captioned(encoder, coco, coco_facts, "captions"),
        "classes": {
            **label_figures(encoder, photographs, owners, labels),
            "agreement": agreement(encoder, held, verdicts.classes[-len(held) :]),
        },
        "one_a_class": one_a_class(encoder, np.concatenate([val, coco, held]), verdicts),
        "nouns": noun_figures(encoder, (val, val_facts), (coco, coco_facts)),
        "speed": speed(encoder),
        "bytes": sum((args.model / name).stat().st_size for name in files),
    }
    rounded = json.loads(json.dumps(figures), parse_float=lambda digits: round(float(digits), 2))
    if args.precision == "float32":
        (args.model / "figures.json").write_text(json.dumps(rounded, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(rounded, indent=2))


if __name__ == "__main__":
    main()
