"""Measures a two-tower folder on Flickr8k val, on class sets, and for speed; writes figures.json into it.

python measure.py --model FOLDER --flickr8k FOLDER --classes FOLDER
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import tarfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from indexer.training.validation import hit_rates
from retrieval.encoders.two_tower import TwoTower
from retrieval.encoders.two_tower.memory import retain_freed_memory


def read_tar(path: Path) -> list[tuple[Image.Image, dict[str, object]]]:
    """(picture, its JSON) in the order of the archive."""
    with tarfile.open(path) as tar:
        data = {m.name: tar.extractfile(m).read() for m in tar if m.isfile()}  # type: ignore[union-attr]
    return [
        (Image.open(io.BytesIO(data[name])).convert("RGB"), json.loads(data[name[:-4] + ".json"]))
        for name in data
        if name.endswith(".jpg")
    ]


def val_figures(encoder: TwoTower, folder: Path) -> dict[str, dict[str, float]]:
    samples = read_tar(folder / "val-000.tar")
    images = encoder.encode_images([picture for picture, _ in samples])
    figures = {}
    for language, key in (("en", "captions"), ("zh", "captions_zh")):
        texts = [text for _, facts in samples for text in facts[key]]  # type: ignore[attr-defined]
        owners = np.repeat(np.arange(len(samples)), [len(f[key]) for _, f in samples])  # type: ignore[arg-type]
        figures[language] = hit_rates(images, encoder.encode_texts(texts), owners)
    return figures


def class_figures(encoder: TwoTower, folder: Path) -> dict[str, float]:
    """Labels as queries over all class pictures (is one of the first k right?), and back, in per cent."""
    samples = [sample for path in sorted(folder.glob("*.tar")) for sample in read_tar(path)]
    labels = sorted({str(facts["label"]) for _, facts in samples})
    target = np.array([labels.index(str(facts["label"])) for _, facts in samples])
    images = encoder.encode_images([picture for picture, _ in samples])
    scores = encoder.encode_texts(labels) @ images.T
    right = target[np.argsort(-scores, axis=1, kind="stable")] == np.arange(len(labels))[:, None]
    guesses = np.argsort(-scores.T, axis=1, kind="stable") == target[:, None]
    figures = {f"label_to_image_r{k}": 100 * float(right[:, :k].any(1).mean()) for k in (1, 5, 10)}
    return figures | {f"image_to_label_top{k}": 100 * float(guesses[:, :k].any(1).mean()) for k in (1, 5)}


def speed(encoder: TwoTower) -> dict[str, float]:
    """Images a second (prepared, batches of 32) and milliseconds a text query, medians."""
    pixels = [np.zeros((encoder.image_size, encoder.image_size, 3), np.uint8)] * 32
    text, rates, times = "two dogs run through the snow", [], []
    for _ in range(12):
        started = time.perf_counter()
        encoder.encode_prepared(pixels)
        rates.append(32 / (time.perf_counter() - started))
    for _ in range(100):
        started = time.perf_counter()
        encoder.encode_texts([text])
        times.append(1000 * (time.perf_counter() - started))
    return {"images_per_second": statistics.median(rates), "ms_per_text": statistics.median(times)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--flickr8k", type=Path, required=True)
    parser.add_argument("--classes", type=Path, required=True)
    args = parser.parse_args()
    retain_freed_memory()
    encoder = TwoTower.load(args.model)
    figures: dict[str, object] = {
        "flickr8k_val": val_figures(encoder, args.flickr8k),
        "classes": class_figures(encoder, args.classes),
        "speed": speed(encoder) | {"threads": torch.get_num_threads()},
        "bytes": sum(
            (args.model / n).stat().st_size for n in ("config.json", "model.safetensors", "tokenizer.json")
        ),
    }
    rounded = json.loads(json.dumps(figures), parse_float=lambda digits: round(float(digits), 2))
    (args.model / "figures.json").write_text(json.dumps(rounded, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(rounded, indent=2))


if __name__ == "__main__":
    main()
