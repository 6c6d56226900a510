"""Texts to token ids and back, by the tokenizer of a checkpoint."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from retrieval.errors import ModelError
from retrieval.hub.checkpoint import Checkpoint, has_vocabulary, vocabulary_digest
from retrieval.hub.library_folder import library_folder
from retrieval.hub.tokenizer_files import cut, tokenizer_faults
from retrieval.texts import normalise_text

LONGEST_TEXT = 2000  # characters of what is decoded: pieces may be long
_BLANKS = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")


class Words:
    """The tokenizer that transformers loads for a checkpoint.

    Raises:
        ModelError: there is no usable tokenizer.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        from transformers import AutoTokenizer  # late: takes seconds

        if not has_vocabulary(checkpoint.folder):
            # Without one, transformers makes up a tokenizer of a few special tokens and says nothing.
            raise ModelError(f"{checkpoint.folder} has no tokenizer; a model folder needs tokenizer.json")
        self._place = str(checkpoint.folder)
        self.digest = vocabulary_digest(checkpoint.folder)
        with library_folder(checkpoint, []) as private, tokenizer_faults(self._place):
            self._tokenizer: Any = AutoTokenizer.from_pretrained(
                str(private), local_files_only=True, trust_remote_code=False
            )

    def encode(self, text: str, most: int, special: bool = True) -> list[int]:
        """Tokenize a text, cut to ``most`` tokens; with the model's own first and last token where ``special``."""
        with tokenizer_faults(self._place):
            ids = self._tokenizer(
                cut(text, most), add_special_tokens=special, truncation=True, max_length=most
            ).input_ids
        return [int(number) for number in ids]

    def token_id(self, token: str) -> int:
        """Give the id of a special token.

        Raises:
            ModelError: the tokenizer does not have it.
        """
        found = self._tokenizer.get_vocab().get(token)
        if found is None:
            raise ModelError(f"{self._place} has a tokenizer without {token}; download the model again")
        return int(found)

    def without_special(self, text: str) -> str:
        """Take out of a text what the tokenizer would read as special tokens: marks of a prompt, places of images."""
        for token in sorted(self._tokenizer.get_added_vocab(), key=len, reverse=True):
            text = text.replace(token, " ")
        return text

    def decode(self, ids: Sequence[int]) -> str:
        """Write tokens as one line of text, special ones left out."""
        with tokenizer_faults(self._place):
            text = str(self._tokenizer.decode(ids, skip_special_tokens=True))
        return normalise_text(_BLANKS.sub(" ", text[:LONGEST_TEXT]))
