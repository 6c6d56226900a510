"""Texts to rows of token ids whose padded length is a function of the text alone.

A text is cut at the family's context length, as transformers does with ``truncation=True`` (special tokens
stay), and padded to the shortest of a few lengths that holds it. So its vector has the same bits whatever is
encoded beside it, and a caption of ten words costs a seventh of the padding to 77 that the library's examples
show.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from retrieval.errors import ModelError
from retrieval.hub.checkpoint import Checkpoint
from retrieval.hub.tokenizer_files import cut, tokenizer_faults

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from tokenizers import Tokenizer

# Hold 5, 78 and 99.9 % of Flickr8k's captions, counted as words and marks + 2; more lengths would make batches small.
LENGTHS = (8, 16, 32)
ENORMOUS = 10**6  # transformers writes 10^30 where a tokenizer has no limit of its own


@dataclass(frozen=True)
class Tokens:
    """A tokenizer with a family's rule.

    Attributes:
        tokenizer: truncates at the context length, adds special tokens, does not pad; safe in many threads,
            because its settings never change.
        lengths: allowed padded lengths, ascending; the last is the context length.
        pad_id: token that fills a row up.
        pad_left: whether it stands before the text.
        vocabulary: sha256 (hex) over the tokenizer's files.
        clean: applied to each text first.
        rule: what ``clean`` does, for an encoder's identity.
        end_id: token to append to every text, where the tokenizer has no rule for it.
    """

    tokenizer: Tokenizer
    lengths: tuple[int, ...]
    pad_id: int
    pad_left: bool = False
    vocabulary: str = ""
    clean: Callable[[str], str] = field(default=str)
    rule: str = "as it is"
    end_id: int | None = None

    @property
    def context(self) -> int:
        """Most tokens of a text, special ones included."""
        return self.lengths[-1]

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Tokenize each text, special tokens included, cut at the context length, not padded."""
        cleaned = [self.clean(cut(text, self.context)) for text in texts]
        with tokenizer_faults("the model"):
            rows = self.tokenizer.encode_batch(cleaned, add_special_tokens=True)
        if self.end_id is None:
            return [row.ids for row in rows]
        return [[*row.ids[: self.context - 1], self.end_id] for row in rows]

    def padded_length(self, ids: Sequence[int]) -> int:
        """Return the shortest allowed length that holds ``ids``."""
        return next(length for length in self.lengths if length >= len(ids))

    def pad(self, rows: Sequence[Sequence[int]], length: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Fill rows up to (n, length) int64 ids; also give (n, length) bool, true where a token is the text's."""
        import numpy as np

        ids = np.full((len(rows), length), self.pad_id, np.int64)
        real = np.zeros((len(rows), length), np.bool_)
        for row, tokens in enumerate(rows):
            place = slice(length - len(tokens), length) if self.pad_left else slice(0, len(tokens))
            ids[row, place], real[row, place] = tokens, True
        return ids, real

    def facts(self) -> dict[str, Any]:
        """Return the rule as JSON values, for an encoder's identity."""
        return {
            "lengths": list(self.lengths),
            "pad": [self.pad_id, "left" if self.pad_left else "right"],
            "vocabulary": self.vocabulary,
            "text": self.rule,
        }


def allowed_lengths(context: int) -> tuple[int, ...]:
    """List the padded lengths below a context length, and that length itself."""
    return (*(length for length in LENGTHS if length < context), context)


def stated_context(checkpoint: Checkpoint) -> int:
    """Read ``model_max_length`` of a tokenizer, or a number larger than any context where it states none."""
    stated = checkpoint.tokenizer_config.get("model_max_length")
    return int(stated) if isinstance(stated, int | float) and 0 < stated < ENORMOUS else ENORMOUS


def limit_length(checkpoint: Checkpoint, tokenizer: Tokenizer, context: int) -> None:
    """Set a tokenizer to cut at ``context`` tokens and not to pad.

    Raises:
        ModelError: its special tokens alone take all of them.
    """
    marks = tokenizer.num_special_tokens_to_add(False)
    if context <= marks:
        raise ModelError(
            f"{checkpoint.folder}: its texts may have {context} tokens, and {marks} special ones leave no room "
            "for words; download it again"
        )
    tokenizer.enable_truncation(max_length=context)
    tokenizer.no_padding()


def check_vocabulary(checkpoint: Checkpoint, tokenizer: Tokenizer) -> None:
    """Refuse a tokenizer of another model, whose ids the text tower has no embeddings for.

    Raises:
        ModelError: its ids exceed the embeddings.
    """
    # What the file leaves out is not known here.
    rows = checkpoint.count("text_config", "vocab_size", ENORMOUS**2)
    largest = max(tokenizer.get_vocab(with_added_tokens=True).values(), default=0)
    if largest >= rows:
        raise ModelError(
            f"{checkpoint.folder}: its tokenizer has ids up to {largest}, its text tower embeddings for {rows}; "
            "the files are of different models, so download it again"
        )
