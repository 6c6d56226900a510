"""SigLIP (Zhai et al. 2023, arXiv 2303.15343), and SigLIP 2 of fixed resolution, whose towers are the same.

Texts: always padded to 64, nothing masked, attention in both directions; the vector is the projected state of
the *last* position, which mostly is padding (``SiglipTextModel.forward``), so that no shorter padding will
do. The two generations differ in their tokenizers:

- SigLIP: SentencePiece; lower case, ASCII punctuation removed, white space collapsed (``canonicalize_text``
  in ``transformers/models/siglip/tokenization_siglip.py``); ``</s>`` ends the text and pads it.
- SigLIP 2 (Tschannen et al. 2025, arXiv 2502.14786): Gemma's, lower case and nothing removed, no ``<bos>``,
  ``<eos>`` at the end even of a text that was cut, padded with ``<pad>`` (``Siglip2Tokenizer``;
  https://github.com/huggingface/transformers/pull/43101).

Images: ``SiglipImageProcessor``: resized to a square whatever their shape, mapped to [-1, 1].
"""

from __future__ import annotations

import re
import string
from typing import TYPE_CHECKING

from retrieval.encoders.families.family import Family, fixed_size_images
from retrieval.encoders.families.tokens import Tokens, check_vocabulary, limit_length
from retrieval.errors import ModelError
from retrieval.hub.checkpoint import Checkpoint, vocabulary_digest
from retrieval.hub.sentencepiece import read_sentencepiece
from retrieval.hub.tokenizer_files import load_tokenizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from tokenizers.processors import PostProcessor

_PUNCTUATION = str.maketrans("", "", string.punctuation)


def canonical(text: str) -> str:
    """Normalise a text as SigLIP does: lower case, no ASCII punctuation, single blanks."""
    return re.sub(r"\s+", " ", text.lower().translate(_PUNCTUATION)).strip()


def _canonical_case_kept(text: str) -> str:
    return re.sub(r"\s+", " ", text.translate(_PUNCTUATION)).strip()


def siglip_tokens(checkpoint: Checkpoint) -> Tokens:
    """Read the text side of SigLIP, or of SigLIP 2 where the vocabulary is Gemma's.

    Raises:
        ModelError: there is no usable tokenizer.
    """
    context = checkpoint.count("text_config", "max_position_embeddings", 64)
    tokenizer = _read_tokenizer(checkpoint)
    check_vocabulary(checkpoint, tokenizer)
    limit_length(checkpoint, tokenizer, context)
    if type(tokenizer.model).__name__ == "BPE":
        return _gemma(checkpoint, tokenizer, context)
    lower = bool(checkpoint.tokenizer_config.get("do_lower_case", True))
    end = _token_id(checkpoint, tokenizer, "eos_token", "</s>")
    # Files differ in whether they add the end token, so it is added here.
    tokenizer.post_processor = _no_special_tokens()
    return Tokens(
        tokenizer,
        (context,),
        pad_id=_token_id(checkpoint, tokenizer, "pad_token", "</s>"),
        vocabulary=vocabulary_digest(checkpoint.folder),
        clean=canonical if lower else _canonical_case_kept,
        rule="lower case, no punctuation" if lower else "no punctuation",
        end_id=end,
    )


def _gemma(checkpoint: Checkpoint, tokenizer: Tokenizer, context: int) -> Tokens:
    from tokenizers.normalizers import Lowercase, Sequence

    # As the library has it: str.lower differs in a few letters.
    lower = Lowercase()
    tokenizer.normalizer = Sequence([lower, tokenizer.normalizer]) if tokenizer.normalizer else lower
    tokenizer.post_processor = _no_special_tokens()
    return Tokens(
        tokenizer,
        (context,),
        pad_id=_token_id(checkpoint, tokenizer, "pad_token", "<pad>"),
        pad_left=checkpoint.tokenizer_config.get("padding_side") == "left",
        vocabulary=vocabulary_digest(checkpoint.folder),
        rule="lower case",
        end_id=_token_id(checkpoint, tokenizer, "eos_token", "<eos>"),
    )


def _read_tokenizer(checkpoint: Checkpoint) -> Tokenizer:
    file = checkpoint.folder / "tokenizer.json"
    return load_tokenizer(file) if file.is_file() else read_sentencepiece(checkpoint.folder / "spiece.model")


def _token_id(checkpoint: Checkpoint, tokenizer: Tokenizer, role: str, default: str) -> int:
    stated = checkpoint.tokenizer_config.get(role, default)
    token = str(stated.get("content", default)) if isinstance(stated, dict) else str(stated or default)
    number = tokenizer.token_to_id(token)
    if number is None:
        raise ModelError(
            f"{checkpoint.folder}: its vocabulary has no {token}, which SigLIP needs; download it again"
        )
    return int(number)


def _no_special_tokens() -> PostProcessor:
    from tokenizers.processors import TemplateProcessing

    return TemplateProcessing(single="$A", pair="$A $B", special_tokens=[])


def _dimension(checkpoint: Checkpoint) -> int:
    return checkpoint.count("vision_config", "hidden_size", 768)


FAMILY = Family(
    name="siglip",
    architecture="SiglipModel",
    attention="unmasked",
    images=fixed_size_images("SiglipImageProcessor"),
    tokens=siglip_tokens,
    dimension=_dimension,
)
