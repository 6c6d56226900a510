"""Checkpoints that write, of the true architectures, with a few thousand random weights, saved as the hub has them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers.pre_tokenizers import ByteLevel

from tests.retrieval.encoders.tiny_checkpoints import (
    CLIP_PICTURES,
    EYE,
    TOWER,
    WORDS,
    bert_tokenizer,
    save,
    write,
)

BLIP_PICTURES = {
    "image_processor_type": "BlipImageProcessor",
    "do_pad": True,  # as Salesforce's have it
    "size_divisor": 32,
    "size": {"height": 32, "width": 32},
    "resample": 3,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
}
VIT_PICTURES = {
    "image_processor_type": "ViTImageProcessor",
    "size": {"height": 32, "width": 32},
    "resample": 2,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
}


def _blip_config(folder: Path) -> transformers.BlipConfig:
    """As Salesforce's: BERT's tokenizer, which lacks the decoder's first token."""
    pieces = bert_tokenizer(folder)
    text = TOWER | {
        "vocab_size": pieces + 2,
        "encoder_hidden_size": 32,
        "max_position_embeddings": 64,
        "bos_token_id": pieces,
        "sep_token_id": 3,
        "eos_token_id": 2,
        "pad_token_id": 0,
    }
    return transformers.BlipConfig(
        text_config=text, vision_config=TOWER | EYE, projection_dim=16, image_text_hidden_size=32
    )


def blip(folder: Path) -> None:
    save(folder, transformers.BlipForConditionalGeneration(_blip_config(folder)), BLIP_PICTURES)


def blip_vqa(folder: Path) -> None:
    save(folder, transformers.BlipForQuestionAnswering(_blip_config(folder)), BLIP_PICTURES)


def blip_itm(folder: Path) -> None:
    """As Salesforce's blip-itm-base-coco: [DEC] and [ENC] follow the tokenizer's pieces."""
    torch.manual_seed(7)
    model = transformers.BlipForImageTextRetrieval(_blip_config(folder))
    with torch.no_grad():  # small random weights hardly see the difference between pictures
        for weight in model.parameters():
            weight.mul_(4 if weight.ndim > 1 else 1)
    save(folder, model, BLIP_PICTURES)


def byte_tokenizer(folder: Path, specials: list[str], **names: Any) -> dict[str, int]:
    """GPT-2's kind of vocabulary: bytes, some words, then special tokens; returns the ids."""
    letters = sorted(ByteLevel.alphabet())
    pieces = [*letters, *(f"Ġ{word}" for word in WORDS if word.isalpha() and word.isascii())]
    vocabulary = {piece: number for number, piece in enumerate([*dict.fromkeys(pieces), *specials])}
    tokenizer = transformers.GPT2Tokenizer(vocab=vocabulary, merges=[], **names)
    tokenizer.add_special_tokens({"additional_special_tokens": specials})
    tokenizer.save_pretrained(folder)
    return vocabulary


def blip_2(folder: Path) -> None:
    ids = byte_tokenizer(
        folder, ["</s>", "<pad>", "<image>"], bos_token="</s>", eos_token="</s>", pad_token="<pad>"
    )
    text = {
        "model_type": "opt",
        "vocab_size": len(ids),
        "hidden_size": 32,
        "word_embed_proj_dim": 32,
        "ffn_dim": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 128,
        "bos_token_id": ids["</s>"],
        "eos_token_id": ids["Ċ"],
        "pad_token_id": ids["<pad>"],
    }
    config = transformers.Blip2Config(
        text_config=text,
        vision_config=TOWER | EYE,
        qformer_config=TOWER | {"vocab_size": 8, "encoder_hidden_size": 32, "max_position_embeddings": 16},
        num_query_tokens=4,
        image_token_index=ids["<image>"],
    )
    save(folder, transformers.Blip2ForConditionalGeneration(config), BLIP_PICTURES)


def florence_2(folder: Path) -> None:
    ids = byte_tokenizer(
        folder,
        ["<s>", "<pad>", "</s>", "<image>"],
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        extra_special_tokens={"image_token": "<image>"},
    )
    text = {
        "model_type": "bart",
        "vocab_size": len(ids),
        "d_model": 32,
        "encoder_layers": 2,
        "decoder_layers": 2,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 4,
        "encoder_ffn_dim": 64,
        "decoder_ffn_dim": 64,
        "max_position_embeddings": 128,
        "bos_token_id": ids["<s>"],
        "pad_token_id": ids["<pad>"],
        "eos_token_id": ids["</s>"],
        "decoder_start_token_id": ids["</s>"],
        "forced_eos_token_id": ids["</s>"],
    }
    vision = {
        "depths": (1, 1, 1, 1),
        "embed_dim": (8, 16, 16, 32),
        "num_heads": (2, 2, 2, 2),
        "num_groups": (2, 2, 2, 2),
        "window_size": 2,
        "projection_dim": 32,
    }
    config = transformers.Florence2Config(
        text_config=text, vision_config=vision, image_token_id=ids["<image>"]
    )
    pictures = CLIP_PICTURES | {"do_center_crop": False, "size": {"height": 64, "width": 64}}
    model = transformers.Florence2ForConditionalGeneration(config)
    model.generation_config = transformers.GenerationConfig(  # as published
        num_beams=3,
        no_repeat_ngram_size=3,
        early_stopping=True,
        bos_token_id=ids["<s>"],
        pad_token_id=ids["<pad>"],
        eos_token_id=ids["</s>"],
        decoder_start_token_id=ids["</s>"],
        forced_bos_token_id=ids["<s>"],
        forced_eos_token_id=ids["</s>"],
    )
    save(folder, model, pictures)


LLAMA = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 4096,
}


def _spread(model: Any) -> Any:
    """Larger weights: with the library's own, a model of this size writes the same whatever it sees."""
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.mul_(5)
    return model


def smolvlm(folder: Path, kind: str = "SmolVLM") -> None:
    marks = [f"<row_{row}_col_{column}>" for row in range(1, 5) for column in range(1, 5)]
    specials = ["<|im_start|>", "<end_of_utterance>", "<image>", "<fake_token_around_image>", "<global-img>"]
    ids = byte_tokenizer(folder, ["<|endoftext|>", *specials, *marks], pad_token="<|endoftext|>")
    vision = TOWER | EYE
    torch.manual_seed(3)
    config = getattr(transformers, f"{kind}Config")(
        text_config=LLAMA
        | {"model_type": "llama", "vocab_size": len(ids), "pad_token_id": ids["<|endoftext|>"]},
        vision_config=vision,
        image_token_id=ids["<image>"],
        scale_factor=2,
        pad_token_id=ids["<|endoftext|>"],
    )
    pictures = {
        "image_processor_type": f"{kind}ImageProcessor",
        "size": {"longest_edge": 64},
        "max_image_size": {"longest_edge": 32},
        "do_image_splitting": True,
    }
    save(folder, _spread(getattr(transformers, f"{kind}ForConditionalGeneration")(config)), pictures)


def idefics3(folder: Path) -> None:
    smolvlm(folder, "Idefics3")


QWEN_PICTURES = {"image_processor_type": "Qwen2VLImageProcessor", "temporal_patch_size": 2, "merge_size": 2}


def _qwen_tokens(folder: Path) -> dict[str, int]:
    marks = [
        "<|im_start|>",
        "<|im_end|>",
        "<|vision_start|>",
        "<|vision_end|>",
        "<|image_pad|>",
        "<|video_pad|>",
    ]
    return byte_tokenizer(folder, ["<|endoftext|>", *marks], pad_token="<|endoftext|>")


def _qwen_ids(ids: dict[str, int]) -> dict[str, int]:
    return {
        "image_token_id": ids["<|image_pad|>"],
        "video_token_id": ids["<|video_pad|>"],
        "vision_start_token_id": ids["<|vision_start|>"],
        "vision_end_token_id": ids["<|vision_end|>"],
    }


def _qwen_text(ids: dict[str, int]) -> dict[str, Any]:
    rope = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0}
    return LLAMA | {"vocab_size": len(ids), "rope_parameters": rope}


def qwen2_5_vl(folder: Path) -> None:
    ids = _qwen_tokens(folder)
    vision = {
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_heads": 4,
        "out_hidden_size": 32,
        "window_size": 56,
        "fullatt_block_indexes": [1],
    }
    torch.manual_seed(3)
    config = transformers.Qwen2_5_VLConfig(
        text_config=_qwen_text(ids), vision_config=vision, **_qwen_ids(ids)
    )
    model = _spread(transformers.Qwen2_5_VLForConditionalGeneration(config))
    save(folder, model, QWEN_PICTURES | {"patch_size": 14})


def qwen3_vl(folder: Path) -> None:
    ids = _qwen_tokens(folder)
    vision = {
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_heads": 4,
        "out_hidden_size": 32,
        "patch_size": 16,
        "num_position_embeddings": 64,
        "deepstack_visual_indexes": [0],
    }
    torch.manual_seed(3)
    config = transformers.Qwen3VLConfig(text_config=_qwen_text(ids), vision_config=vision, **_qwen_ids(ids))
    model = _spread(transformers.Qwen3VLForConditionalGeneration(config))
    half = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
    save(folder, model, QWEN_PICTURES | half | {"patch_size": 16})


def git(folder: Path) -> None:
    text = TOWER | {"vocab_size": bert_tokenizer(folder), "max_position_embeddings": 64}
    ids = {"bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 0}
    config = transformers.GitConfig(vision_config=TOWER | EYE, **text, **ids)
    save(folder, transformers.GitForCausalLM(config), CLIP_PICTURES)


def vit_gpt2(folder: Path) -> None:
    letters = sorted(ByteLevel.alphabet())
    pieces = [*letters, *(f"Ġ{word}" for word in WORDS if word.isalpha() and word.isascii()), "<|endoftext|>"]
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    transformers.GPT2Tokenizer(vocab=vocabulary, merges=[]).save_pretrained(folder)
    end = vocabulary["<|endoftext|>"]
    encoder = transformers.ViTConfig(**TOWER, **EYE)
    decoder = transformers.GPT2Config(
        vocab_size=len(vocabulary),
        n_positions=64,
        n_embd=32,
        n_layer=2,
        n_head=4,
        bos_token_id=end,
        eos_token_id=end,
        is_decoder=True,
        add_cross_attention=True,
    )
    config = transformers.VisionEncoderDecoderConfig.from_encoder_decoder_configs(encoder, decoder)
    config.decoder_start_token_id = config.eos_token_id = config.pad_token_id = end
    save(folder, transformers.VisionEncoderDecoderModel(config), VIT_PICTURES)


BUILDERS: dict[str, Callable[[Path], None]] = {
    "blip": blip,
    "blip-2": blip_2,
    "blip-vqa": blip_vqa,
    "florence-2": florence_2,
    "git": git,
    "idefics3": idefics3,
    "qwen2.5-vl": qwen2_5_vl,
    "qwen3-vl": qwen3_vl,
    "smolvlm": smolvlm,
    "vit-gpt2": vit_gpt2,
}


def change_config(folder: Path, **changes: Any) -> None:
    """Write other values into ``config.json``."""
    import json

    facts = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    write(folder / "config.json", facts | changes)
