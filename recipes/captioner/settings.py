"""The settings of the recipe."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Shape:
    """Sizes of the decoder, as in :class:`retrieval.generators.captioner.config.CaptionerConfig`."""

    width: int = 256
    heads: int = 4
    hidden: int = 1024
    place_layers: int = 1
    word_layers: int = 3
    context: int = 32


@dataclass(frozen=True)
class CrossEntropyPlan:
    """Training on people's captions.

    Attributes:
        steps: of gradient descent.
        photographs: of a step, each with all of its captions in both languages.
        rate: highest learning rate; it rises over ``warm_up`` steps and falls as half a cosine.
        warm_up: steps.
        dropout: of what a layer adds.
        places: of 64 that a step shows, drawn anew for each.
        forgotten: share of words that the decoder reads as unknown.
        smoothing: of labels.
    """

    steps: int = 2700
    photographs: int = 20
    rate: float = 8e-4
    warm_up: int = 120
    dropout: float = 0.1
    places: int = 48
    forgotten: float = 0.05
    smoothing: float = 0.1


@dataclass(frozen=True)
class SelfCriticalPlan:
    """Training on what the decoder draws.

    Attributes:
        steps: of gradient descent; 0 leaves the stage out.
        photographs: of a step.
        drawn: captions of a photograph and language; each is compared with the mean of the others.
        rate: highest learning rate; it falls to a tenth.
    """

    steps: int = 0
    photographs: int = 16
    drawn: int = 4
    rate: float = 1e-4


@dataclass(frozen=True)
class Settings:
    """All that decides what comes out.

    Attributes:
        shape: of the decoder.
        least_english: occurrences of a word in training captions that bring it into the vocabulary.
        chinese_pieces: size of the Chinese vocabulary, single characters included.
        cross_entropy: the first stage of training.
        self_critical: the second one.
        seed: of everything that is drawn.
    """

    shape: Shape = Shape()  # frozen
    least_english: int = 5
    chinese_pieces: int = 2600
    cross_entropy: CrossEntropyPlan = CrossEntropyPlan()
    self_critical: SelfCriticalPlan = SelfCriticalPlan()
    seed: int = 1

    def facts(self, encoder: str) -> dict[str, Any]:
        """What an output folder must agree on; ``encoder`` is the digest of the encoder's weights."""
        return {"encoder": encoder, **asdict(self)}
