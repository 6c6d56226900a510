"""A family of checkpoints that speak: the class of transformers that runs it, and how it is asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from retrieval.errors import ModelError
from retrieval.generators.base import Task
from retrieval.hub.config_limits import AGAIN, whole_number

if TYPE_CHECKING:
    from torch import Tensor

    from retrieval.generators.families.looking import Looking
    from retrieval.hub.checkpoint import Checkpoint
    from retrieval.hub.words import Words

_LARGEST_ID = 2**22
_FIRST_RULES = (
    "beams",
    "max_length",
    "min_length",
    "length_penalty",
)  # a digest must not change for what is new


@dataclass(frozen=True, slots=True)
class Decoding:
    """How tokens are chosen: always by beam search, so that the same image has the same words.

    Attributes:
        beams: sequences that are kept at each step, at least 2.
        max_length: most tokens, those of the prompt included.
        min_length: fewest, likewise.
        length_penalty: exponent of the length that a sequence's log-probability is divided by.
        after_prompt: whether the lengths are of what follows the prompt, and not of all.
        no_repeat: length of sequences of tokens of which none may come twice; 0 for no such rule.
        early_stopping: whether to end as soon as there are as many whole sequences as beams.
    """

    beams: int
    max_length: int
    min_length: int = 0
    length_penalty: float = 1.0
    after_prompt: bool = False
    no_repeat: int = 0
    early_stopping: bool = False

    def arguments(self, candidates: int) -> dict[str, Any]:
        """Give the arguments of the library's ``generate`` for so many candidates a text."""
        return {
            "do_sample": False,
            "num_beams": max(self.beams, candidates),
            "num_return_sequences": candidates,
            "max_new_tokens" if self.after_prompt else "max_length": self.max_length,
            "min_new_tokens" if self.after_prompt else "min_length": self.min_length,
            **({"early_stopping": True} if self.early_stopping else {}),
            **({"no_repeat_ngram_size": self.no_repeat} if self.no_repeat else {}),
            "length_penalty": self.length_penalty,
            "return_dict_in_generate": True,
            "output_scores": True,
        }

    def facts(self) -> dict[str, Any]:
        """Give the rule as JSON values; those of rules that came later are left out where they do not apply."""
        facts = asdict(self)
        return facts if self.after_prompt else {key: facts[key] for key in _FIRST_RULES}


@dataclass(frozen=True, slots=True)
class Generated:
    """What a model wrote: (n * candidates, length) int64 ids, the candidates of an image together, and their scores.

    ``prompt`` is the number of tokens at the beginning of each row that are not the model's own.
    """

    ids: Tensor
    scores: Tensor
    prompt: int


@dataclass(frozen=True, slots=True)
class Asked:
    """A model with its words, and what it is asked about.

    Attributes:
        model: on its device.
        words: its tokenizer.
        pixels: float32 on its device: (n, 3, height, width) of n images; of one image without a fixed size, what its
            processor makes of it.
        images: n.
        more: what the processor of an image without a fixed size gives beside the pixels.
    """

    model: Any
    words: Words
    pixels: Tensor
    images: int
    more: Mapping[str, Any] = field(default_factory=dict)

    def repeated(self, ids: Sequence[int]) -> Tensor:
        """Give the same tokens for each image, (n, tokens) int64."""
        import torch

        return torch.tensor([list(ids)] * self.images, device=self.pixels.device)


Describe = Callable[[Asked, int], Generated]
"""Writes captions, so many candidates an image."""

Reply = Callable[[Asked, str], Generated]
"""Answers a question, with one candidate."""

Weigh = Callable[[Asked, str, Sequence[str]], "Tensor"]
"""Gives the log-probabilities, (n, choices) float32, of some answers to a question."""


@dataclass(frozen=True, slots=True)
class Family:
    """One family of checkpoints.

    Attributes:
        name: as it stands in an identity.
        architecture: class in transformers.
        processor: of images, where the checkpoint names none.
        settings: prompt and decoding, for the identity.
        special_ids: reads what the library's generation has to know of a checkpoint: ``bos_token_id``, ...
        describe: None where it writes no captions.
        reply: None where it answers no questions.
        weigh: None likewise.
        check: refuses checkpoints whose parts are none of the family's.
        translated: writes captions in further languages, by their BCP 47 tags.
        look: how images without a fixed size are seen, one at a time; None where they have one.
    """

    name: str
    architecture: str
    processor: str
    settings: dict[str, Any]
    special_ids: Callable[[Checkpoint], dict[str, int]]
    describe: Describe | None = None
    reply: Reply | None = None
    weigh: Weigh | None = None
    check: Callable[[Checkpoint], None] = lambda checkpoint: None
    look: Callable[[Checkpoint], Looking] | None = None
    translated: Mapping[str, Describe] = field(default_factory=dict)

    @property
    def tasks(self) -> tuple[Task, ...]:
        """What its checkpoints can be asked."""
        captions: tuple[Task, ...] = () if self.describe is None else ("caption",)
        return captions if self.reply is None else (*captions, "ask")


def special_ids(checkpoint: Checkpoint, part: str | None, defaults: Mapping[str, int]) -> dict[str, int]:
    """Read the ids of special tokens by their names, as :func:`special_id` reads one."""
    return {name: special_id(checkpoint, part, name, default) for name, default in defaults.items()}


def special_id(checkpoint: Checkpoint, part: str | None, key: str, default: int) -> int:
    """Read the id of a special token from ``config.json``, or from a part of it.

    Raises:
        ModelError: the file has something else there.
    """
    facts = checkpoint.config if part is None else checkpoint.config.get(part) or {}
    value = facts.get(key) if isinstance(facts, dict) else None
    return default if value is None else whole_number(value, key, str(checkpoint.folder), 0, _LARGEST_ID)


def model_kind(checkpoint: Checkpoint, part: str) -> str:
    """Read the model type of a part of a checkpoint.

    Raises:
        ModelError: there is no such part.
    """
    facts = checkpoint.config.get(part)
    if not isinstance(facts, dict):
        raise ModelError(f"{checkpoint.folder}: config.json has no {part}; {AGAIN}")
    return str(facts.get("model_type", ""))


def weigh_each(choices: Sequence[str], weigh: Callable[[str], Tensor]) -> Tensor:
    """Weigh choices one by one: (n,) log-probabilities of each to (n, choices)."""
    import torch

    return torch.stack([weigh(choice) for choice in choices], dim=1)


def sequence_log_probabilities(logits: Tensor, targets: Sequence[int]) -> Tensor:
    """Sum the log-probabilities of tokens: (n, length, vocabulary) logits at them to (n,) float32."""
    import torch

    chosen = torch.tensor(targets, device=logits.device).expand(len(logits), -1)[:, :, None]
    return logits.float().log_softmax(-1).gather(2, chosen)[:, :, 0].sum(1)
