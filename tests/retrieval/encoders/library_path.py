"""The library's own path to a family's vectors: its processor, its tokenizer, its features, normalised."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from PIL import Image
from transformers.models.chinese_clip.image_processing_pil_chinese_clip import ChineseCLIPImageProcessorPil
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.efficientnet.image_processing_pil_efficientnet import EfficientNetImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
from transformers.models.siglip2.image_processing_pil_siglip2 import Siglip2ImageProcessorPil

PIXELS = {
    "clip": CLIPImageProcessorPil,
    "clip-old": CLIPImageProcessorPil,
    "metaclip-2": CLIPImageProcessorPil,
    "altclip": CLIPImageProcessorPil,
    "chinese-clip": ChineseCLIPImageProcessorPil,
    "align": EfficientNetImageProcessorPil,
    "siglip": SiglipImageProcessorPil,
    "siglip2": SiglipImageProcessorPil,
    "siglip2-naflex": Siglip2ImageProcessorPil,
}
CONTEXT = {"chinese-clip": 52, "align": 64, "siglip": 64, "siglip2": 64, "siglip2-naflex": 64}
TEXTS = [
    "a dog in the snow",
    "A Dog, in the SNOW!",
    "two cats / on the red ball?",
    "一只狗在雪地里跑",
    "man",
    "a photo of the beach ΣΑΣ",
    "",
    "the red dog on the beach and two cats " * 40,
    "dog " * 14,
    "一只狗" * 60,
]


class Library:
    """transformers alone: what its documentation says to do for a family."""

    def __init__(self, family: str, folder: Path) -> None:
        self.family, self.folder = family, folder
        self.model: Any = transformers.AutoModel.from_pretrained(folder).eval()
        self.pixels: Any = PIXELS[family].from_pretrained(folder)

    def images(self, images: list[Image.Image]) -> NDArray[np.float32]:
        with torch.inference_mode():
            found = self.model.get_image_features(
                **self.pixels(images, do_convert_rgb=True, return_tensors="pt")
            )
        return unit(found.pooler_output)

    def texts(self, texts: list[str]) -> NDArray[np.float32]:
        padding = "max_length" if self.family.startswith(("siglip", "align")) else True
        length = CONTEXT.get(self.family, 77)
        inputs = self.tokenizer()(
            texts, padding=padding, truncation=True, max_length=length, return_tensors="pt"
        )
        with torch.inference_mode():
            return unit(self.model.get_text_features(**inputs).pooler_output)

    def tokenizer(self) -> Any:
        if self.family == "siglip":
            return Canonical(self.folder)
        if self.family.startswith("siglip2"):
            return transformers.Siglip2Tokenizer.from_pretrained(self.folder)
        return transformers.AutoTokenizer.from_pretrained(self.folder)


class Canonical:
    """SiglipTokenizer without the sentencepiece package: the steps of its source over the same vocabulary."""

    def __init__(self, folder: Path) -> None:
        from tokenizers import Tokenizer

        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))

    def __call__(self, texts: list[str], max_length: int, **_: object) -> dict[str, torch.Tensor]:
        rows = []
        for text in texts:
            kept = "".join(
                letter for letter in text.lower() if letter not in r"""!"#$%&'()*+,-./:;<=>?@[\]^_`{|}~"""
            )
            ids = [*self.tokenizer.encode(" ".join(kept.split())).ids[: max_length - 1], 1]
            rows.append(ids + [1] * (max_length - len(ids)))
        return {"input_ids": torch.tensor(rows)}


def unit(rows: torch.Tensor) -> NDArray[np.float32]:
    found: NDArray[np.float32] = (rows / rows.norm(dim=-1, keepdim=True)).numpy()
    return found


def cosines(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = (ours.astype(np.float64) * theirs.astype(np.float64)).sum(axis=1)
    return found
