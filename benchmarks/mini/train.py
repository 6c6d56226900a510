"""Trains ``mini``: Flickr8k with English and both kinds of Chinese captions, from ImageNet's MobileNetV2.

The Chinese captions lie beside the archives in a TSV file, which no corpus reader joins to them; hence this
script over the functions of ``indexer.training``. Usage: see recipe.sh.
"""

from __future__ import annotations

import argparse
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file

from indexer.training.data import Pairs, cache_pairs
from indexer.training.loop import Recipe, distil_texts, train_all, train_heads
from indexer.training.validation import validate
from retrieval.encoders.two_tower.backbones import torchvision_state
from retrieval.encoders.two_tower.config import ImageConfig, TextConfig, TwoTowerConfig
from retrieval.encoders.two_tower.model import TwoTowerModel
from retrieval.encoders.two_tower.text import train_tokenizer
from retrieval.types import Entry, InlineBytes, Picture, Text

Captions = dict[str, list[tuple[str, str]]]


def read_captions(folder: Path) -> Captions:
    """(language, caption) by image; machine translations as ``zh-machine``, a draw of their own."""
    captions: Captions = {}
    for line in (folder / "captions_en.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        image, _, text = line.split("\t")
        captions.setdefault(image, []).append(("en", text))
    for line in (folder / "captions_zh.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        image, _, source, text = line.split("\t")
        captions.setdefault(image, []).append(("zh" if source == "human" else "zh-machine", text))
    return captions


def read_entries(archives: list[Path], captions: Captions) -> Iterator[Entry]:
    for archive in archives:
        with tarfile.open(archive) as tar:
            for member in tar:
                if member.name.endswith(".jpg"):
                    data = tar.extractfile(member)
                    assert data is not None
                    key = member.name.removesuffix(".jpg")
                    texts = tuple(
                        Text(f"{key}#{i}", t, lang=lang) for i, (lang, t) in enumerate(captions[key])
                    )
                    yield Entry(Picture(key, InlineBytes(data.read())), texts)


def decode(picture: Picture) -> Image.Image:
    assert isinstance(picture.location, InlineBytes)
    return Image.open(io.BytesIO(picture.location.data)).convert("RGB")


def image_features(model: TwoTowerModel, pairs: Pairs) -> torch.Tensor:
    size, rows = model.config.image.size, []
    with torch.no_grad():
        for start in range(0, len(pairs.pixels), 64):
            batch = torch.from_numpy(np.array(pairs.pixels[start : start + 64])).permute(0, 3, 1, 2)
            resized = torch.nn.functional.interpolate(batch, (size, size), mode="bicubic", antialias=True)
            rows.append(model.image_features(resized))
    return torch.cat(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flickr8k", type=Path, required=True)
    parser.add_argument("--image-weights", type=Path, required=True)
    parser.add_argument("--teacher-texts", type=Path, required=True)
    parser.add_argument("--teacher", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=6)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)

    def report(line: dict[str, object]) -> None:
        print(json.dumps(line), flush=True)
        with (args.out / "metrics.jsonl").open("a") as log:
            log.write(json.dumps(line) + "\n")

    # --- data
    captions = read_captions(args.flickr8k)
    train, _ = cache_pairs(
        read_entries(sorted(args.flickr8k.glob("train-*.tar")), captions), decode, args.out / "train", 224
    )
    val, _ = cache_pairs(
        read_entries([args.flickr8k / "val-000.tar"], captions), decode, args.out / "val", 224
    )
    texts = args.teacher_texts.read_text(encoding="utf-8").splitlines()
    tokenizer = train_tokenizer(texts, 8000)
    report({"stage": "data", "train": len(train.captions), "val": len(val.captions)})

    # --- model
    recipe = Recipe(
        epochs=args.epochs, head_epochs=20, distil_epochs=5, train_size=192, frozen_stages=7, batch_size=128
    )
    torch.manual_seed(recipe.seed)
    image = ImageConfig("mobilenet_v2", 224, (0.50196,) * 3, (0.50196,) * 3, tf_padding=True)
    text = TextConfig("bag", tokenizer.get_vocab_size(), width=384, hidden=1536, context=64)
    model = TwoTowerModel(TwoTowerConfig(512, image, text)).to(memory_format=torch.channels_last)
    model.image.load_state_dict(torchvision_state(image, load_file(args.image_weights)))
    model.eval()

    # --- stages
    distil_texts(model, tokenizer, texts, np.load(args.teacher), recipe, report)
    train_heads(model, tokenizer, image_features(model, train), train.captions, recipe, report)
    report({"stage": "heads", "val": validate(model, tokenizer, val)})
    train_all(model, tokenizer, train, val, recipe, args.out, report)


if __name__ == "__main__":
    main()
