"""Every family's vectors equal those of the library's own path: its processor, its features, normalised."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from numpy.typing import NDArray
from PIL import Image
from tiny_checkpoints import BUILDERS
from transformers.models.chinese_clip.image_processing_pil_chinese_clip import ChineseCLIPImageProcessorPil
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.efficientnet.image_processing_pil_efficientnet import EfficientNetImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
from transformers.models.siglip2.image_processing_pil_siglip2 import Siglip2ImageProcessorPil

from retrieval.encoders.hub.encoder import HubEncoder

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


@pytest.fixture(params=sorted(BUILDERS))
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def pair(family: str, tiny: Callable[[str], Path]) -> tuple[HubEncoder, Library]:
    return HubEncoder.load(tiny(family)), Library(family, tiny(family))


def test_text_vectors_equal_the_librarys_batched_and_single(pair: tuple[HubEncoder, Library]) -> None:
    ours, library = pair

    expected = library.texts(TEXTS)

    assert cosines(ours.encode_texts(TEXTS), expected).min() > 0.999999
    single = np.concatenate([ours.encode_texts([text]) for text in TEXTS])
    assert cosines(single, expected).min() > 0.999999
    alone = np.concatenate([library.texts([text]) for text in TEXTS])
    assert cosines(single, alone).min() > 0.999999
    assert cosines(expected[:1], expected[2:3]).max() < 0.99  # different texts do differ


def test_image_vectors_equal_the_librarys_batched_and_single(
    pair: tuple[HubEncoder, Library], pictures: dict[str, Image.Image]
) -> None:
    ours, library = pair
    images = list(pictures.values())

    expected = np.concatenate([library.images([image]) for image in images])

    assert cosines(ours.encode_images(images), expected).min() > 0.9999
    single = np.concatenate([ours.encode_images([image]) for image in images])
    assert cosines(single, expected).min() > 0.9999
    assert cosines(expected[:1], expected[1:2]).max() < 0.999  # different pictures do differ


def test_vectors_are_float32_unit_rows_of_the_stated_dimension(pair: tuple[HubEncoder, Library]) -> None:
    ours, _ = pair

    rows = ours.encode_texts(TEXTS)

    assert rows.dtype == np.float32
    assert rows.shape == (len(TEXTS), ours.identity.dimension)
    assert np.abs(np.linalg.norm(rows, axis=1) - 1).max() < 1e-5


def test_no_texts_and_no_pictures_give_no_rows(pair: tuple[HubEncoder, Library]) -> None:
    ours, _ = pair

    assert ours.encode_texts([]).shape == ours.encode_images([]).shape == (0, ours.identity.dimension)


def test_a_caption_beyond_the_context_is_cut_where_the_library_cuts_it(
    pair: tuple[HubEncoder, Library], family: str
) -> None:
    ours, library = pair
    words = ["dog", "snow", "red"] * 60

    long, same, shorter = (ours.encode_texts([" ".join(words[:count])]) for count in (180, 150, 5))

    assert np.array_equal(long, same)
    assert cosines(long, library.texts([" ".join(words)])).min() > 0.999999
    assert cosines(long, shorter).max() < 0.9999
