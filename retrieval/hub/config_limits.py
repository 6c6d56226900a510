"""What a checkpoint's ``config.json`` may say: no code to run, and no sizes that no published model has."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from retrieval.errors import ModelError

CONFIG_BYTES = 4 * 2**20
AGAIN = "download the model again, or use another one"
_LARGEST = 2**31
_MOST = {
    "num_hidden_layers": 256,
    "num_attention_heads": 256,
    "num_key_value_heads": 256,
    "hidden_size": 2**14,
    "intermediate_size": 2**17,
    "projection_dim": 2**14,
    "project_dim": 2**14,
    "projection_size": 2**14,
    "vocab_size": 2**22,
    "type_vocab_size": 2**10,
    "max_position_embeddings": 2**16,
    "image_size": 2**12,
    "patch_size": 2**10,
    "num_patches": 2**14,
    "num_channels": 2**6,
    "encoder_hidden_size": 2**14,
    "image_text_hidden_size": 2**14,
    "num_image_with_embedding": 2**10,
    "encoder_stride": 2**10,
    "n_layer": 256,
    "n_head": 256,
    "n_embd": 2**14,
    "n_inner": 2**17,
    "n_positions": 2**16,
    "n_ctx": 2**16,
    "hidden_dim": 2**14,
    "depth_coefficient": 16,
    "width_coefficient": 16,
    "depth_divisor": 2**10,
    "num_block_repeats": 2**6,
    "expand_ratios": 2**6,
    "in_channels": 2**14,
    "out_channels": 2**14,
    "kernel_sizes": 2**6,
    "strides": 2**6,
    "squeeze_expansion_ratio": 1,
    "d_model": 2**14,
    "embed_dim": 2**14,
    "word_embed_proj_dim": 2**14,
    "ffn_dim": 2**17,
    "encoder_ffn_dim": 2**17,
    "decoder_ffn_dim": 2**17,
    "encoder_layers": 256,
    "decoder_layers": 256,
    "depths": 256,
    "num_heads": 256,
    "num_groups": 256,
    "window_size": 2**10,
    "num_query_tokens": 2**12,
    "max_temporal_embeddings": 2**16,
}
"""Largest sizes accepted: more than any published model has, and no more than a machine builds in seconds."""


def check_config(file: Path, config: Mapping[str, Any]) -> None:
    """Refuse a configuration that asks for code, another loader, or sizes that no model has.

    Raises:
        ModelError: it does.
    """
    waiting: list[tuple[str, Any]] = list(config.items())
    while waiting:
        name, value = waiting.pop()
        if name in ("auto_map", "quantization_config", "base_model_name_or_path") and value:
            raise ModelError(
                f"{file} asks for Python code or a loader that comes with the model ({name}); vlsearch never runs "
                "such code, so choose another model"
            )
        if name.removeprefix("_") == "attn_implementation" and "/" in str(value):
            raise ModelError(f"{file} asks for code from a hub ({name} {value!r:.80}); choose another model")
        if isinstance(value, dict):
            waiting += value.items()
        elif isinstance(value, list):
            if len(value) > _LARGEST.bit_length() and name in _MOST:
                raise ModelError(f"{file}: {name} has {len(value):,} parts; download the model again")
            waiting += [(name, part) for part in value]
        elif isinstance(value, (int, float)) and not abs(value) <= _MOST.get(name, _LARGEST):
            raise ModelError(f"{file}: {name} is {value!r:.40}; no model has so much, so download it again")


def whole_number(value: Any, name: str, place: str, low: int = 0, high: int = 2**40) -> int:
    """Check that a value of a configuration is a whole number, and return it.

    Raises:
        ModelError: it is something else, or outside of [low, high].
    """
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ModelError(f"{place}: {name} is {value!r}, not a whole number from {low} to {high}; {AGAIN}")
    return value
