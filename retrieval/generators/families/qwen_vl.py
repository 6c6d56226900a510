"""Qwen2.5-VL (Bai et al. 2025, arXiv 2502.13923) and Qwen3-VL (arXiv 2511.21631); ``transformers/models/qwen2_5_vl``.

Images keep their shape: sides are rounded to multiples of 28 (32) pixels, bicubic, and there are at most a million
pixels (``Qwen2VLImageProcessor``; the authors advise 256 to 1,280 tokens, and 1,280 is the most here). Each square of
28 (32) pixels is a token. The conversation is the published chat template's; Qwen2.5-VL's has a system prompt. Decoding
is greedy, at most 128 tokens; the sampling of the published ``generation_config.json`` is not followed, so that the
same image has the same words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from retrieval.generators.families.chat import LONGEST_PROMPT, MOST_TOKENS, chat
from retrieval.generators.families.family import Asked, Family
from retrieval.generators.families.looking import Looking, colours
from retrieval.hub.config_limits import whole_number

if TYPE_CHECKING:
    from collections.abc import Callable

    from retrieval.hub.checkpoint import Checkpoint

DESCRIBE, DESCRIBE_IN_CHINESE = "Describe this image.", "描述这张图片。"
END = "<|im_end|>"
SYSTEM = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
MOST_SQUARES, FEWEST_SQUARES = 1280, 4
_IMAGE = "<|image_pad|>"
_OPENAI_MEAN, _OPENAI_STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]


def _look(checkpoint: Checkpoint) -> Looking:
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    config, place = checkpoint.image_config, str(checkpoint.folder)
    patch = whole_number(config.get("patch_size", 14), "patch_size", place, 1, 64)
    merge = whole_number(config.get("merge_size", 2), "merge_size", place, 1, 8)
    square = (patch * merge) ** 2
    settings = {
        "size": {"shortest_edge": FEWEST_SQUARES * square, "longest_edge": MOST_SQUARES * square},
        "patch_size": patch,
        "merge_size": merge,
        "temporal_patch_size": whole_number(
            config.get("temporal_patch_size", 2), "temporal_patch_size", place, 1, 8
        ),
        **colours(checkpoint, _OPENAI_MEAN, _OPENAI_STD),
    }
    return Looking(Qwen2VLImageProcessorPil(**settings), settings)


def _begin(system: str) -> Callable[[Asked, str], tuple[list[int], dict[str, Any]]]:
    def begin(asked: Asked, words: str) -> tuple[list[int], dict[str, Any]]:
        import torch

        grid = asked.more["image_grid_thw"]
        tokens = _IMAGE * (int(grid[0].prod()) // asked.model.config.vision_config.spatial_merge_size**2)
        text = f"{system}<|im_start|>user\n<|vision_start|>{tokens}<|vision_end|>{words}{END}\n<|im_start|>assistant\n"
        ids = asked.words.encode(text, LONGEST_PROMPT)
        kinds = torch.tensor([ids], device=grid.device) == asked.words.token_id(_IMAGE)
        return ids, {"pixel_values": asked.pixels, "image_grid_thw": grid, "mm_token_type_ids": kinds.int()}

    return begin


def _family(name: str, architecture: str, system: str) -> Family:
    describe, reply, weigh = chat(_begin(system), DESCRIBE, END, "")
    in_chinese, _, _ = chat(_begin(system), DESCRIBE_IN_CHINESE, END, "")
    return Family(
        name=name,
        architecture=architecture,
        processor="Qwen2VLImageProcessor",
        settings={"describe": [DESCRIBE, DESCRIBE_IN_CHINESE], "most": MOST_TOKENS, "system": system},
        special_ids=lambda checkpoint: {},
        describe=describe,
        reply=reply,
        weigh=weigh,
        look=_look,
        translated={"zh": in_chinese},
    )


QWEN2_5_VL = _family("qwen2.5-vl", "Qwen2_5_VLForConditionalGeneration", SYSTEM)
QWEN3_VL = _family("qwen3-vl", "Qwen3VLForConditionalGeneration", "")
