"""Tokenizers as transformers loads them, which takes seconds and torch: once a model, then from the user's cache."""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retrieval.encoders.families.tokens import (
    Tokens,
    allowed_lengths,
    check_vocabulary,
    limit_length,
    stated_context,
)
from retrieval.encoders.runtimes import derived_cache
from retrieval.errors import ModelError
from retrieval.hub.checkpoint import Checkpoint, has_vocabulary, vocabulary_digest
from retrieval.hub.library_folder import SMALL, library_folder
from retrieval.hub.tokenizer_files import tokenizer_faults

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_FILE, _PAD = "tokenizer.json", "pad_id"
_FORMAT = 1  # of an entry in the cache


def library_tokens(checkpoint: Checkpoint, context: int) -> Tokens:
    """Read the tokenizer that transformers loads for a checkpoint, with the padding of :class:`Tokens`.

    Args:
        checkpoint: its ``model_max_length`` shortens the context where it is less.
        context: the family's.

    Raises:
        ModelError: there is no usable tokenizer.
    """
    if not has_vocabulary(checkpoint.folder):
        # without one, transformers makes up a tokenizer of a few special tokens and says nothing
        raise ModelError(f"{checkpoint.folder} has no tokenizer; a model folder needs tokenizer.json")
    context = min(context, stated_context(checkpoint))
    vocabulary = vocabulary_digest(checkpoint.folder)
    key = derived_cache.key_of(_facts(checkpoint, context, vocabulary))
    found = _read(derived_cache.find(key))
    if found is None:
        found = _load(checkpoint, context)
        tokenizer, pad_id = found

        def write(folder: Path) -> dict[str, Any]:
            (folder / _FILE).write_text(tokenizer.to_str(), encoding="utf-8")
            return {_PAD: pad_id}

        derived_cache.add(key, write)
    tokenizer, pad_id = found
    return Tokens(tokenizer, allowed_lengths(context), pad_id, vocabulary=vocabulary)


def _facts(checkpoint: Checkpoint, context: int, vocabulary: str) -> dict[str, Any]:
    """Collect all that the tokenizer depends on."""
    small = {
        name: hashlib.sha256(file.read_bytes()).hexdigest()
        for name in SMALL
        if (file := checkpoint.folder / name).is_file()
    }
    return {
        "format": _FORMAT,
        "transformers": version("transformers"),
        "tokenizers": version("tokenizers"),
        "config": dict(checkpoint.config),
        "tokenizer_config": dict(checkpoint.tokenizer_config),
        "vocabulary": vocabulary,
        "small": small,
        "context": context,
    }


def _read(entry: derived_cache.Entry | None) -> tuple[Tokenizer, int] | None:
    if entry is None:
        return None
    from tokenizers import Tokenizer

    with tokenizer_faults("the cached tokenizer"):
        return Tokenizer.from_file(str(entry.folder / _FILE)), int(entry.facts[_PAD])


def _load(checkpoint: Checkpoint, context: int) -> tuple[Tokenizer, int]:
    from transformers import AutoTokenizer

    with library_folder(checkpoint, []) as private, tokenizer_faults(str(checkpoint.folder)):
        loaded = AutoTokenizer.from_pretrained(str(private), local_files_only=True, trust_remote_code=False)
        backend: Tokenizer = loaded.backend_tokenizer
    check_vocabulary(checkpoint, backend)
    limit_length(checkpoint, backend, context)
    pad = loaded.pad_token_id
    return backend, int(pad) if pad is not None else checkpoint.count("text_config", "pad_token_id", 0)
