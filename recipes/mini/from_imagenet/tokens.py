"""Fits mini's tokenizer: sub-words of English, words and characters of Chinese.

python -m recipes.mini.from_imagenet.tokens --texts FOLDER --out tokenizer.json

A unigram model takes whole Chinese phrases for one piece (there are no spaces), which a bag of pieces cannot take
apart again: pieces of more than two Chinese characters stay only if they are names of classes. Every Chinese
character of the texts is a piece.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

from tokenizers import Tokenizer

from indexer.training.vocabulary import fit_tokenizer
from recipes.mini.vocabulary import Vocabulary, is_chinese

PIECES = 16_000  # before Chinese phrases are taken out; 12,260 after
NAME_WEIGHT = 3  # how often each class name stands among the texts that the tokenizer is fitted to
_HAN = re.compile("[\u4e00-\u9fff]")


def prune(fitted: Tokenizer, names: frozenset[str], texts: list[str]) -> Tokenizer:
    """The tokenizer without Chinese phrases, with all characters."""
    model = json.loads(fitted.to_str())
    pieces: list[tuple[str, float]] = [tuple(piece) for piece in model["model"]["vocab"]]
    kept = {}
    for piece, score in pieces:
        if not is_chinese(piece):
            kept[piece] = score
    for piece, score in pieces:
        core = piece.lstrip("▁")  # Chinese has no word starts
        if is_chinese(core) and (len(core) <= 2 or core in names):
            kept[core] = max(score, kept.get(core, score))
    rarest = min(score for _, score in pieces) - 1
    for character in sorted(set(_HAN.findall("".join(texts)))):
        kept.setdefault(character, rarest)
    model["model"]["vocab"] = list(kept.items())
    return Tokenizer.from_str(json.dumps(model, ensure_ascii=False))


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    names = frozenset(Vocabulary.of_imagenet().meanings)
    captions, words, own = (
        (args.texts / f"{name}.txt").read_text(encoding="utf-8").splitlines()
        for name in ("captions", "words", "names")
    )
    fitted = fit_tokenizer([*captions, *(sorted(names) * NAME_WEIGHT), *words], PIECES)
    pruned = prune(fitted, names, [*captions, *words, *own])
    args.out.write_text(pruned.to_str(), encoding="utf-8")
    print(pruned.get_vocab_size(), "pieces")


if __name__ == "__main__":
    main()
