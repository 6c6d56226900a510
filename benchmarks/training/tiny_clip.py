"""Makes a tiny CLIP checkpoint in a folder: the true architecture and files, random weights, a vocabulary of its own.

Usage: python benchmarks/training/tiny_clip.py CAPTIONS FOLDER [--seed 0]

CAPTIONS is a text file, one caption a line, that the byte-pair vocabulary is fitted to; it is CLIP's in kind:
bytes, ``</w>`` at the end of a word, lower case. No CLIP has to be downloaded to see how fine-tuning goes.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer
from transformers.utils import logging

VOCABULARY = 2000
SIDE = 48
TOWER = {"hidden_size": 64, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4}


def fit_vocabulary(captions: list[str]) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Pieces and merges as CLIP's tokenizer has them, its two special tokens last."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(BPE(end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    trainer = BpeTrainer(
        vocab_size=VOCABULARY, initial_alphabet=letters, end_of_word_suffix="</w>", show_progress=False
    )
    tokenizer.train_from_iterator(captions, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    merges = [tuple(merge) for merge in model["merges"]]
    fitted = sorted(model["vocab"], key=model["vocab"].__getitem__)
    pieces = dict.fromkeys([*letters, *(f"{letter}</w>" for letter in letters), *fitted])
    pieces |= dict.fromkeys(["<|startoftext|>", "<|endoftext|>"])
    return {piece: number for number, piece in enumerate(pieces)}, merges


def main() -> None:
    """Write the checkpoint."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("captions", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    logging.disable_progress_bar()
    vocabulary, merges = fit_vocabulary(args.captions.read_text(encoding="utf-8").splitlines())
    end = vocabulary["<|endoftext|>"]
    transformers.CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=77).save_pretrained(
        args.folder
    )
    text = TOWER | {"vocab_size": len(vocabulary), "bos_token_id": end - 1, "eos_token_id": end}
    eye = TOWER | {"image_size": SIDE, "patch_size": 8}
    torch.manual_seed(args.seed)
    model = transformers.CLIPModel(
        transformers.CLIPConfig(text_config=text, vision_config=eye, projection_dim=64)
    )
    with torch.no_grad():
        model.logit_scale.fill_(2.66)  # log(1 / 0.07), where CLIP's own training began
    model.save_pretrained(args.folder)
    pictures = {
        "image_processor_type": "CLIPImageProcessor",
        "size": {"shortest_edge": SIDE},
        "crop_size": {"height": SIDE, "width": SIDE},
        "resample": 3,
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711],
    }
    (args.folder / "preprocessor_config.json").write_text(
        json.dumps(pictures, indent=2) + "\n", encoding="utf-8"
    )
    print(
        f"{args.folder}: {sum(weight.numel() for weight in model.parameters()):,} weights, {len(vocabulary):,} pieces"
    )


if __name__ == "__main__":
    main()
