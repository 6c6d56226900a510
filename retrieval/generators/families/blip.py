"""BLIP (Li et al. 2022, arXiv 2201.12086; ``transformers/models/blip``; github.com/salesforce/BLIP).

Images: resized to a square of 384 pixels, bicubic, no crop, OpenAI's mean and deviation (``BlipImageProcessor``).
Captions: the decoder continues the prompt ``a picture of``, which fine-tuning on COCO had before every caption and
which is taken off again; 3 beams, 5 to 20 tokens, prompt included (``configs/caption_coco.yaml``,
``models/blip.py``). Without the prompt, as the library's examples show, captions are others.
Answers (``BlipForQuestionAnswering``): an encoder reads the question with the image, at most 35 tokens, in lower
case and without the marks that ``data/utils.py`` (``pre_question``) takes out; a decoder writes the answer: 3 beams,
at most 10 tokens (``models/blip_vqa.py``). Choices are ranked by the summed log-probability of their tokens
(``rank_answer``).
"""

from __future__ import annotations

import re
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

PROMPT = "a picture of"
CAPTION = Decoding(beams=3, max_length=20, min_length=5)
ANSWER = Decoding(beams=3, max_length=10, min_length=1)
LONGEST_QUESTION = 35  # tokens
_DROPPED = re.compile(r"[.!\"()*#:;~]")


def _special_ids(checkpoint: Checkpoint) -> dict[str, int]:
    names = {"bos_token_id": 30522, "sep_token_id": 102, "pad_token_id": 0}
    ids = special_ids(checkpoint, "text_config", names)
    return {
        "bos_token_id": ids["bos_token_id"],
        "eos_token_id": ids["sep_token_id"],
        "pad_token_id": ids["pad_token_id"],
    }


def _describe(asked: Asked, candidates: int) -> Generated:
    prompt = asked.words.encode(PROMPT, CAPTION.max_length)
    ids = asked.repeated(prompt)
    found = asked.model.generate(pixel_values=asked.pixels, input_ids=ids, **CAPTION.arguments(candidates))
    return Generated(found.sequences, found.sequences_scores, len(prompt) - 1)


def _reply(asked: Asked, question: str) -> Generated:
    ids = _question(asked, question)
    found = asked.model.generate(input_ids=ids, pixel_values=asked.pixels, **ANSWER.arguments(1))
    return Generated(found.sequences, found.sequences_scores, 1)


def _question(asked: Asked, question: str) -> Tensor:
    text = _DROPPED.sub("", question.lower()).rstrip()
    return asked.repeated(asked.words.encode(text, LONGEST_QUESTION))


def _weigh(asked: Asked, question: str, choices: Sequence[str]) -> Tensor:
    import torch

    model = asked.model
    ids = _question(asked, question)
    seen = model.vision_model(pixel_values=asked.pixels).last_hidden_state
    read = model.text_encoder(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        encoder_hidden_states=seen,
        encoder_attention_mask=seen.new_ones(seen.shape[:2]).long(),
    ).last_hidden_state

    def weigh(choice: str) -> Tensor:
        _, *answer = asked.words.encode(choice, ANSWER.max_length)
        begun = asked.repeated([model.decoder_start_token_id, *answer[:-1]])
        logits = model.text_decoder(
            input_ids=begun,
            attention_mask=torch.ones_like(begun),
            encoder_hidden_states=read,
            encoder_attention_mask=torch.ones_like(ids),
        ).logits
        return sequence_log_probabilities(logits, answer)

    return weigh_each(choices, weigh)


CAPTIONS = Family(
    name="blip",
    architecture="BlipForConditionalGeneration",
    processor="BlipImageProcessor",
    settings={"prompt": PROMPT, "caption": CAPTION.facts()},
    special_ids=_special_ids,
    describe=_describe,
)
ANSWERS = Family(
    name="blip-vqa",
    architecture="BlipForQuestionAnswering",
    processor="BlipImageProcessor",
    settings={"answer": ANSWER.facts(), "question": LONGEST_QUESTION},
    special_ids=_special_ids,
    reply=_reply,
    weigh=_weigh,
)
