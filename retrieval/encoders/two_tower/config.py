"""What a two-tower model is made of, as frozen values that go to and from ``config.json``."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from retrieval.errors import ModelError

MODEL_TYPE = "vlsearch-two-tower"

ImageBackbone = Literal["resnet50", "mobilenet_v2", "efficientnet_lite2", "tiny"]
TextBackbone = Literal["bert", "bag"]


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """The image tower.

    ``tf_padding`` pads stride-2 convolutions at the bottom as TensorFlow does, for weights trained there
    (their kernels mirrored left-right, so that the width needs no care).

    A picture whose sides differ by a factor of up to ``aspect`` is squeezed into the square whole; a longer one loses
    its ends first. 1 takes the centre square. Of what people photograph, 3:2 and 4:3, the square leaves a third out.
    """

    backbone: ImageBackbone = "resnet50"
    size: int = 224
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    tf_padding: bool = False
    aspect: float = 1.0


@dataclass(frozen=True, slots=True)
class TextConfig:
    """The text tower: ``bert`` (transformers) or ``bag`` (mean of sub-word vectors, then an MLP)."""

    backbone: TextBackbone = "bert"
    vocabulary: int = 8000
    width: int = 256
    hidden: int = 1024
    layers: int = 4
    heads: int = 4
    context: int = 64
    lowercase: bool = True


@dataclass(frozen=True, slots=True)
class TwoTowerConfig:
    """Both towers and the dimension of the space that they share."""

    dimension: int
    image: ImageConfig
    text: TextConfig

    def to_json(self) -> str:
        """``config.json``, as text."""
        return json.dumps({"model_type": MODEL_TYPE, **asdict(self)}, indent=2, sort_keys=True) + "\n"

    @classmethod
    def load(cls, path: Path) -> TwoTowerConfig:
        """Read ``config.json``; raises ModelError where it is missing, damaged or of another model."""
        try:
            facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(facts, dict) or facts.get("model_type") != MODEL_TYPE:
                raise ModelError(
                    f"{path} is not the configuration of a two-tower model; give its folder to --model"
                )
            image = dict(facts["image"])
            image["mean"], image["std"] = tuple(image["mean"]), tuple(image["std"])
            return cls(int(facts["dimension"]), ImageConfig(**image), TextConfig(**facts["text"]))
        except OSError as error:
            raise ModelError(
                f"cannot read {path}: {error.strerror}; give a complete model folder to --model"
            ) from error
        except (ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{path} is damaged ({error}); copy the model folder again") from error
