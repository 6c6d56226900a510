"""What families that are chatted with have in common: greedy decoding, choices, and no words of a prompt's own marks.

A conversation is written here as the published template writes it. Templates in a checkpoint's folder are programs
(Jinja), and are neither opened nor run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from retrieval.generators.families.family import (
    Asked,
    Describe,
    Generated,
    Reply,
    Weigh,
    sequence_log_probabilities,
    weigh_each,
)

if TYPE_CHECKING:
    from torch import Tensor

MOST_TOKENS = 128  # of what is written
LONGEST_PROMPT = 32_768  # tokens, those of the image included
LONGEST_CHOICE = 32

Begin = Callable[[Asked, str], "tuple[list[int], dict[str, Any]]"]
"""Gives the tokens of a conversation about the image up to the answer, and what else the model takes beside them."""


def chat(begin: Begin, describe: str, end: str, before_answer: str) -> tuple[Describe, Reply, Weigh]:
    """Make what a family does of how its conversations begin.

    Args:
        begin: writes the conversation.
        describe: what is asked for a caption.
        end: the token that ends an answer.
        before_answer: what stands between the conversation and an answer.
    """

    def write(asked: Asked, words: str, candidates: int) -> Generated:
        ids, inputs = begin(asked, asked.words.without_special(words))
        stop = asked.words.token_id(end)
        found = asked.model.generate(
            input_ids=asked.repeated(ids),
            attention_mask=asked.repeated([1] * len(ids)),
            **inputs,
            do_sample=False,
            num_beams=candidates,
            num_return_sequences=candidates,
            max_new_tokens=MOST_TOKENS,
            eos_token_id=stop,
            pad_token_id=stop,
            return_dict_in_generate=True,
            output_scores=True,
        )
        return Generated(found.sequences, _scores(asked.model, found, candidates), len(ids))

    def weigh(asked: Asked, question: str, choices: Sequence[str]) -> Tensor:
        ids, inputs = begin(asked, asked.words.without_special(question))
        stop = asked.words.token_id(end)

        def of_choice(choice: str) -> Tensor:
            answer = [
                *asked.words.encode(
                    before_answer + asked.words.without_special(choice), LONGEST_CHOICE, special=False
                ),
                stop,
            ]
            whole = [*ids, *answer[:-1]]
            longer = {
                name: _extended(value, len(answer) - 1) if name == "mm_token_type_ids" else value
                for name, value in inputs.items()
            }
            logits = asked.model(
                input_ids=asked.repeated(whole), attention_mask=asked.repeated([1] * len(whole)), **longer
            ).logits
            return sequence_log_probabilities(logits[:, -len(answer) :], answer)

        return weigh_each(choices, of_choice)

    return (
        lambda asked, candidates: write(asked, describe, candidates),
        lambda asked, question: write(asked, question, 1),
        weigh,
    )


def _scores(model: Any, found: Any, candidates: int) -> Tensor:
    """Give the mean log-probability of each sequence's tokens; beam search has computed it."""
    if candidates > 1:
        scores: Tensor = found.sequences_scores
        return scores
    chosen: Tensor = model.compute_transition_scores(found.sequences, found.scores, normalize_logits=True)
    return chosen.mean(1)


def _extended(kinds: Tensor, count: int) -> Tensor:
    """Mark further tokens as words."""
    import torch

    return torch.cat([kinds, kinds.new_zeros((len(kinds), count))], dim=1)
