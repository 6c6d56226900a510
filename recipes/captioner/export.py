"""Write the folder that the product ships: int8 weights with a quantisation scale a row, the rest in float16."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from recipes.captioner.settings import Shape
from recipes.captioner.texts import BEGIN, Texts
from retrieval.generators.captioner.config import CaptionerConfig, Decoding, Language
from retrieval.generators.captioner.folder import CONFIG, VOCABULARY, WEIGHTS

LEAST_SCALE = 1e-6  # far above float16's smallest number


def export(
    folder: Path, state: dict[str, Tensor], texts: Texts, shape: Shape, encoder: str, decoding: Decoding
) -> None:
    """Write a captioner's folder.

    Args:
        folder: made if need be.
        state: float32 weights, by name.
        texts: the vocabulary.
        shape: of the decoder.
        encoder: digest of ``mini``'s weights.
        decoding: how captions are searched for.
    """
    folder.mkdir(parents=True, exist_ok=True)
    languages = {
        language: Language(begin, *texts.span(language), " " if language == "en" else "")
        for language, begin in BEGIN.items()
    }
    features, places = state["places.weight"].shape[1], len(state["place_positions"])
    config = CaptionerConfig(
        encoder="mini",
        encoder_weights=encoder,
        features=features,
        places=places,
        vocabulary=len(texts.words),
        **vars(shape),
        languages=languages,
        decoding=decoding,
    )
    stored: dict[str, Tensor] = {}
    for name, value in state.items():
        stored |= (
            _quantised(name, value) if name.endswith(".weight") and value.dim() == 2 else {name: value.half()}
        )
    save_file({name: value.contiguous().clone() for name, value in stored.items()}, folder / WEIGHTS)
    (folder / CONFIG).write_text(config.to_json(), encoding="utf-8")
    words = json.dumps({"words": texts.words}, ensure_ascii=False)
    (folder / VOCABULARY).write_text(words + "\n", encoding="utf-8")


def _quantised(name: str, value: Tensor) -> dict[str, Tensor]:
    """Round each row to int8, symmetrically, and give its scales beside it."""
    scales = (value.abs().amax(1, keepdim=True) / 127).clamp_min(LEAST_SCALE).half()
    rounded = (value / scales.float()).round().clamp(-127, 127).to(torch.int8)
    return {name: rounded, name.removesuffix(".weight") + ".step": scales}
