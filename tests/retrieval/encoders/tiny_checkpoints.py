"""Checkpoints of the true architectures, with a few thousand random weights each, saved as the hub has them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import BPE, Unigram
from tokenizers.pre_tokenizers import ByteLevel

WORDS = [
    "a",
    "dog",
    "in",
    "the",
    "snow",
    "two",
    "cats",
    "red",
    "ball",
    "on",
    "beach",
    "photo",
    "of",
    "man",
    "!",
    "，",
]
CHINESE = "一只狗在雪地里跑两个人海滩上的红色球"
TOWER = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
BERT = TOWER | {"max_position_embeddings": 96, "type_vocab_size": 1, "hidden_dropout_prob": 0.1}
EYE = {"image_size": 32, "patch_size": 8}
CLIP_PICTURES = {
    "image_processor_type": "CLIPImageProcessor",
    "do_resize": True,
    "size": {"shortest_edge": 32},
    "resample": 3,
    "do_center_crop": True,
    "crop_size": {"height": 32, "width": 32},
    "do_normalize": True,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "do_convert_rgb": True,
}


def byte_level(extra: list[str]) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """CLIP's kind of vocabulary: bytes, bytes that end a word, one merge, then special tokens."""
    letters = sorted(ByteLevel.alphabet())
    pieces = [*letters, *(f"{letter}</w>" for letter in letters), "do", "dog</w>", *extra]
    return {piece: number for number, piece in enumerate(pieces)}, [("d", "o"), ("do", "g</w>")]


def unigram_pieces(specials: list[str]) -> list[tuple[str, float]]:
    words = [(f"▁{word}", -3.0) for word in WORDS] + [("▁", -4.0)]
    letters = sorted({*"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,!?/", *CHINESE})
    return [(special, 0.0) for special in specials] + words + [(letter, -6.0) for letter in letters]


def clip(folder: Path, end: int | None = None) -> None:
    vocabulary, merges = byte_level(["<|startoftext|>", "<|endoftext|>"])
    last = vocabulary["<|endoftext|>"]
    transformers.CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=77).save_pretrained(folder)
    text = TOWER | {"vocab_size": len(vocabulary), "bos_token_id": last - 1, "eos_token_id": end or last}
    config = transformers.CLIPConfig(text_config=text, vision_config=TOWER | EYE, projection_dim=24)
    save(folder, transformers.CLIPModel(config), CLIP_PICTURES)


def clip_of_old(folder: Path) -> None:
    """As OpenAI's files were first converted: the end token said to be 2, sizes as plain numbers."""
    clip(folder, end=2)
    old = {key: value for key, value in CLIP_PICTURES.items() if key != "image_processor_type"}
    old |= {"feature_extractor_type": "CLIPFeatureExtractor", "size": 32, "crop_size": 32}
    write(folder / "preprocessor_config.json", old)


def metaclip_2(folder: Path) -> None:
    pieces = unigram_pieces(["<s>", "<pad>", "</s>", "<unk>"])
    transformers.XLMRobertaTokenizer(vocab=pieces, model_max_length=77).save_pretrained(folder)
    text = TOWER | {"vocab_size": len(pieces) + 8, "bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2}
    config = transformers.MetaClip2Config(text_config=text, vision_config=TOWER | EYE, projection_dim=24)
    save(folder, transformers.MetaClip2Model(config), CLIP_PICTURES)


def altclip(folder: Path) -> None:
    pieces = unigram_pieces(["<s>", "<pad>", "</s>", "<unk>"])
    transformers.XLMRobertaTokenizer(vocab=pieces, model_max_length=512).save_pretrained(folder)
    text = BERT | {"vocab_size": len(pieces) + 8, "project_dim": 28, "pad_token_id": 1}
    config = transformers.AltCLIPConfig(text_config=text, vision_config=TOWER | EYE, projection_dim=24)
    # the projection takes the text model's own width, which published checkpoints have equal to the projection's
    config.text_config.project_dim = 28
    save(folder, transformers.AltCLIPModel(config), CLIP_PICTURES)


def bert_tokenizer(folder: Path) -> int:
    letters = sorted({*"abcdefghijklmnopqrstuvwxyz0123456789.,!?/", *CHINESE})
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS[:-2], *letters]
    pieces = list(dict.fromkeys([*pieces, *(f"##{letter}" for letter in letters)]))
    (folder / "vocab.txt").write_text("\n".join(pieces), encoding="utf-8")
    write(folder / "tokenizer_config.json", {"tokenizer_class": "BertTokenizer", "do_lower_case": True})
    return len(pieces)


def chinese_clip(folder: Path) -> None:
    text = BERT | {"vocab_size": bert_tokenizer(folder)}
    config = transformers.ChineseCLIPConfig(text_config=text, vision_config=TOWER | EYE, projection_dim=24)
    pictures = CLIP_PICTURES | {"image_processor_type": "ChineseCLIPImageProcessor", "do_center_crop": False}
    save(folder, transformers.ChineseCLIPModel(config), pictures | {"size": {"height": 32, "width": 32}})


def align(folder: Path) -> None:
    eye = {
        "image_size": 48,
        "in_channels": [32, 8],
        "out_channels": [8, 16],
        "kernel_sizes": [3, 3],
        "strides": [1, 2],
        "num_block_repeats": [1, 1],
        "expand_ratios": [1, 2],
        "depthwise_padding": [],
        "width_coefficient": 1.0,
        "depth_coefficient": 1.0,
        "hidden_dim": 64,
    }
    text = BERT | {"vocab_size": bert_tokenizer(folder)}
    config = transformers.AlignConfig(text_config=text, vision_config=eye, projection_dim=16)
    model = transformers.AlignModel(config)
    pictures = {
        "image_processor_type": "EfficientNetImageProcessor",
        "do_center_crop": True,
        "do_normalize": False,
        "include_top": False,
        "resample": 2,
        "rescale_factor": 1 / 127.5,
        "rescale_offset": True,
        "size": {"height": 48, "width": 48},
        "crop_size": {"height": 41, "width": 41},
    }
    save(folder, model, pictures)


def siglip_text(vocabulary: int) -> dict[str, Any]:
    return TOWER | {"vocab_size": vocabulary, "max_position_embeddings": 64, "projection_size": 32}


def siglip(folder: Path) -> None:
    """As google/siglip-base-patch16-224 has it: a unigram tokenizer.json that does not end its texts."""
    pieces = [*unigram_pieces(["<pad>", "</s>", "<unk>"])]
    tokenizer = Tokenizer(Unigram(pieces, 2, False))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Lowercase(), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.save(str(folder / "tokenizer.json"))
    names = {
        "eos_token": "</s>",
        "pad_token": "</s>",
        "unk_token": "<unk>",
        "model_input_names": ["input_ids"],
    }
    write(
        folder / "tokenizer_config.json",
        names | {"tokenizer_class": "SiglipTokenizer", "model_max_length": 64},
    )
    config = transformers.SiglipConfig(text_config=siglip_text(len(pieces)), vision_config=TOWER | EYE)
    save(folder, transformers.SiglipModel(config), siglip_pictures())


def siglip_pictures() -> dict[str, Any]:
    return {
        "image_processor_type": "SiglipImageProcessor",
        "size": {"height": 32, "width": 32},
        "resample": 3,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
    }


def gemma_tokenizer(folder: Path) -> int:
    """As google/siglip2-base-patch16-224 has it: byte-fallback BPE, an end token from the post-processor."""
    letters = sorted({*"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.,!?/", *CHINESE, "▁"})
    pieces = [
        "<pad>",
        "<eos>",
        "<bos>",
        "<unk>",
        *(f"<0x{byte:02X}>" for byte in range(256)),
        *letters,
        "do",
        "dog",
    ]
    tokenizer = Tokenizer(
        BPE(
            {piece: number for number, piece in enumerate(pieces)},
            [("d", "o"), ("do", "g")],
            byte_fallback=True,
            fuse_unk=True,
            unk_token="<unk>",
        )
    )
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.add_special_tokens(["<pad>", "<eos>", "<bos>", "<unk>"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A:0 <eos>:0", pair="$A:0 <eos>:0 $B:1 <eos>:1", special_tokens=[("<eos>", 1)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    names = {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>"}
    rules = {
        "padding_side": "right",
        "add_bos_token": False,
        "add_eos_token": True,
        "model_input_names": ["input_ids"],
    }
    write(folder / "tokenizer_config.json", names | rules | {"tokenizer_class": "GemmaTokenizer"})
    return len(pieces)


def siglip2(folder: Path) -> None:
    config = transformers.SiglipConfig(
        text_config=siglip_text(gemma_tokenizer(folder)), vision_config=TOWER | EYE
    )
    save(folder, transformers.SiglipModel(config), siglip_pictures() | {"resample": 2})


def siglip2_naflex(folder: Path) -> None:
    eye = TOWER | {"patch_size": 8, "num_patches": 16}
    config = transformers.Siglip2Config(text_config=siglip_text(gemma_tokenizer(folder)), vision_config=eye)
    pictures = siglip_pictures() | {"image_processor_type": "Siglip2ImageProcessor", "patch_size": 8}
    del pictures["size"]
    save(folder, transformers.Siglip2Model(config), pictures | {"max_num_patches": 20, "resample": 2})


def save(folder: Path, model: Any, pictures: dict[str, Any]) -> None:
    """Weights drawn with a seed, of a size at which different inputs give clearly different vectors."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=generator)
            if weight.ndim < 2:
                scale = name.endswith("weight") and any(word in name.lower() for word in ("norm", "bn"))
                weight.copy_(0.1 * noise + float(scale))
            else:
                fan_in = 1.0 if "embedding" in name else float(weight[0].numel())
                weight.copy_(noise * (2.0 / fan_in**0.5))
        for name, kept in model.named_buffers():
            if name.endswith("running_var"):
                kept.fill_(1.3)
    model.save_pretrained(folder)
    write(folder / "preprocessor_config.json", pictures)


def write(file: Path, value: dict[str, Any]) -> None:
    file.write_text(json.dumps(value), encoding="utf-8")


BUILDERS: dict[str, Callable[[Path], None]] = {
    "clip": clip,
    "clip-old": clip_of_old,
    "metaclip-2": metaclip_2,
    "altclip": altclip,
    "chinese-clip": chinese_clip,
    "align": align,
    "siglip": siglip,
    "siglip2": siglip2,
    "siglip2-naflex": siglip2_naflex,
}
