"""What an output folder was made with, and the refusal to go on with anything else."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from recipes.mini.image_stage import ImagePlan
from recipes.mini.text_stage import TextPlan

_NAMING, _IMAGES, _TEXTS = TextPlan(), ImagePlan(), TextPlan(image_rate=3e-4, seed=1)


class SettingsError(Exception):
    """The output folder was made with other settings."""


@dataclass(frozen=True)
class Settings:
    """All that decides what comes out.

    Attributes:
        size: side of the square that the image tower sees, in pixels.
        views: of each training photograph, the plain one among them.
        naming: the text stage before fine-tuning.
        images: fine-tuning.
        texts: the text stage after it.
    """

    size: int = 256
    views: int = 2
    naming: TextPlan = _NAMING
    images: ImagePlan = _IMAGES
    texts: TextPlan = _TEXTS


def claim(out: Path, start: Path, settings: Settings) -> None:
    """Note in the output folder what it is made with.

    Raises:
        SettingsError: it was made with other sizes or settings, or from another start.
    """
    weights = hashlib.sha256((start / "model.safetensors").read_bytes()).hexdigest()
    facts = json.loads(json.dumps({"start": weights, **asdict(settings)}))
    path = out / "settings.json"
    if path.exists():
        known = json.loads(path.read_text(encoding="utf-8"))
        other = sorted(key for key in known.keys() | facts.keys() if known.get(key) != facts.get(key))
        if other:
            raise SettingsError(
                f"{out} was made with another {', '.join(other)}; give another folder to --out, or the same settings"
            )
        return
    out.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
