"""BLIP-2 with OPT (Li et al. 2023, arXiv 2301.12597; ``transformers/models/blip_2``; github.com/salesforce/LAVIS).

Images: resized to a square of 224 or 364 pixels, as the checkpoint says, bicubic, OpenAI's mean and deviation
(``BlipImageProcessor``). 32 vectors that the Q-Former makes of it stand before the text, in the places of as many image
tokens. Captions: the language model continues ``a photo of``, which is not part of what it writes; 5 beams, 8 to 30
tokens (LAVIS, ``caption_coco_ft.yaml``). Answers: ``Question: {} Answer:``, 5 beams, at most 10 tokens, length penalty
-1 (the paper's appendix). Choices are ranked by the summed log-probability of their tokens. With FLAN-T5, which reads
its prompt in an encoder, it is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from retrieval.errors import ModelError
from retrieval.generators.families.family import (
    Asked,
    Decoding,
    Family,
    Generated,
    model_kind,
    sequence_log_probabilities,
    special_id,
    special_ids,
    weigh_each,
)
from retrieval.hub.config_limits import AGAIN

if TYPE_CHECKING:
    from torch import Tensor

    from retrieval.hub.checkpoint import Checkpoint

PROMPT = "a photo of"
QUESTION, ANSWERED = "Question: {}", " Answer:"
CAPTION = Decoding(beams=5, max_length=30, min_length=8, after_prompt=True)
ANSWER = Decoding(beams=5, max_length=10, min_length=1, length_penalty=-1.0, after_prompt=True)
LONGEST_PROMPT = 64  # tokens
LONGEST_CHOICE = 9


def _special_ids(checkpoint: Checkpoint) -> dict[str, int]:
    return special_ids(
        checkpoint, "text_config", {"bos_token_id": 2, "eos_token_id": 50118, "pad_token_id": 1}
    )


def _check(checkpoint: Checkpoint) -> None:
    """Refuse other language models, and files that do not say where the image stands.

    Raises:
        ModelError: they do so.
    """
    if checkpoint.config.get("image_token_index") is None:
        raise ModelError(f"{checkpoint.folder}: config.json has no image_token_index; {AGAIN}")
    special_id(checkpoint, None, "image_token_index", 0)  # refuses what is not a number
    kind = model_kind(checkpoint, "text_config")
    if kind not in ("opt", ""):  # OPT is what the library takes where the file does not say
        raise ModelError(
            f"{checkpoint.folder}: BLIP-2 with {kind} is not one that vlsearch can use (opt); use another"
        )


def _describe(asked: Asked, candidates: int) -> Generated:
    return _generate(asked, _begun(asked, PROMPT), CAPTION, candidates)


def _reply(asked: Asked, question: str) -> Generated:
    return _generate(asked, _asking(asked, question), ANSWER, 1)


def _weigh(asked: Asked, question: str, choices: Sequence[str]) -> Tensor:
    begun, end = _asking(asked, question), _end(asked)

    def weigh(choice: str) -> Tensor:
        answer = [
            *asked.words.encode(f" {asked.words.without_special(choice)}", LONGEST_CHOICE, special=False),
            end,
        ]
        ids = asked.repeated([*begun, *answer[:-1]])
        logits = asked.model(pixel_values=asked.pixels, input_ids=ids).logits
        return sequence_log_probabilities(logits[:, -len(answer) :], answer)

    return weigh_each(choices, weigh)


def _begun(asked: Asked, text: str) -> list[int]:
    """Give the places of the image, then the text with the language model's first token."""
    config = asked.model.config
    return [config.image_token_index] * config.num_query_tokens + asked.words.encode(text, LONGEST_PROMPT)


def _asking(asked: Asked, question: str) -> list[int]:
    begun = _begun(asked, QUESTION.format(asked.words.without_special(question)))
    return begun + asked.words.encode(ANSWERED, LONGEST_PROMPT, special=False)


def _end(asked: Asked) -> int:
    """Give the token that ends what is written: a line feed, after which the published ones go on with another text."""
    end: int = asked.model.language_model.generation_config.eos_token_id
    return end


def _generate(asked: Asked, begun: list[int], decoding: Decoding, candidates: int) -> Generated:
    found = asked.model.generate(
        pixel_values=asked.pixels, input_ids=asked.repeated(begun), **decoding.arguments(candidates)
    )
    return Generated(found.sequences, found.sequences_scores, len(begun))


FAMILY = Family(
    name="blip-2",
    architecture="Blip2ForConditionalGeneration",
    processor="BlipImageProcessor",
    settings={
        "prompt": PROMPT,
        "caption": CAPTION.facts(),
        "question": QUESTION + ANSWERED,
        "answer": ANSWER.facts(),
    },
    special_ids=_special_ids,
    describe=_describe,
    reply=_reply,
    weigh=_weigh,
    check=_check,
)
