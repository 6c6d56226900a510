"""GIT (Wang et al. 2022, arXiv 2205.14100; ``transformers/models/git``; github.com/microsoft/GenerativeImage2Text).

Images: short side to 224 (or more, as the checkpoint says), bicubic, centre crop, OpenAI's mean and deviation
(``CLIPImageProcessor``). One decoder reads the image's patches and continues the text after them: nothing for a
caption, the question for an answer. Decoding is that of the paper: 4 beams, length penalty 0.6, at most 40 tokens.
Choices are ranked by the summed log-probability of their tokens. A checkpoint that was fine-tuned for one of the two
does the other badly, and nothing in its files says for which it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from retrieval.generators.families.family import (
    Asked,
    Decoding,
    Family,
    Generated,
    sequence_log_probabilities,
    special_ids,
    weigh_each,
)

if TYPE_CHECKING:
    from torch import Tensor

    from retrieval.hub.checkpoint import Checkpoint

TEXT = Decoding(beams=4, max_length=40, length_penalty=0.6)
LONGEST_QUESTION = 30  # tokens, of the 40
LONGEST_CHOICE = 9


def _special_ids(checkpoint: Checkpoint) -> dict[str, int]:
    return special_ids(checkpoint, None, {"bos_token_id": 101, "eos_token_id": 102, "pad_token_id": 0})


def _describe(asked: Asked, candidates: int) -> Generated:
    found = asked.model.generate(pixel_values=asked.pixels, **TEXT.arguments(candidates))
    return Generated(found.sequences, found.sequences_scores, 1)


def _reply(asked: Asked, question: str) -> Generated:
    begun = _begun(asked, question)
    found = asked.model.generate(
        pixel_values=asked.pixels, input_ids=asked.repeated(begun), **TEXT.arguments(1)
    )
    return Generated(found.sequences, found.sequences_scores, len(begun))


def _begun(asked: Asked, question: str) -> list[int]:
    """Give the first token and the question, which the library does not end with a token of its own."""
    start: int = asked.model.generation_config.bos_token_id
    return [start, *asked.words.encode(question, LONGEST_QUESTION, special=False)]


def _weigh(asked: Asked, question: str, choices: Sequence[str]) -> Tensor:
    begun, end = _begun(asked, question), asked.model.generation_config.eos_token_id

    def weigh(choice: str) -> Tensor:
        answer = [*asked.words.encode(choice, LONGEST_CHOICE, special=False), end]
        ids = asked.repeated([*begun, *answer[:-1]])
        logits = asked.model(pixel_values=asked.pixels, input_ids=ids).logits
        return sequence_log_probabilities(logits[:, -len(answer) :], answer)

    return weigh_each(choices, weigh)


FAMILY = Family(
    name="git",
    architecture="GitForCausalLM",
    processor="CLIPImageProcessor",
    settings={"text": TEXT.facts(), "question": LONGEST_QUESTION},
    special_ids=_special_ids,
    describe=_describe,
    reply=_reply,
    weigh=_weigh,
)
