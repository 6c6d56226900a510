"""What an output folder was made with, and the refusal to go on with anything else."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_FACTS = "settings.json"


class SettingsError(Exception):
    """The output folder was made with other settings."""


def digest(model: Path) -> str:
    """The SHA-256 of a model folder's weights, in hexadecimal."""
    return hashlib.sha256((model / "model.safetensors").read_bytes()).hexdigest()


def claim(out: Path, facts: Mapping[str, Any]) -> None:
    """Note in the output folder what it is made with.

    Args:
        out: made if need be.
        facts: JSON values by name: sizes, the start, whatever decides what comes out.

    Raises:
        SettingsError: the folder was made with other ones, or by a recipe that did not note them.
    """
    path, mine = out / _FACTS, json.loads(json.dumps(facts))
    if path.exists():
        known = json.loads(path.read_text(encoding="utf-8"))
        other = sorted(key for key in known.keys() | mine.keys() if known.get(key) != mine.get(key))
        if other:
            raise SettingsError(
                f"{out} was made with another {', '.join(other)}; give another folder to --out, or the same settings"
            )
        return
    if any(out.glob("*.safetensors")):
        raise SettingsError(
            f"{out} holds stages, and no {_FACTS} that says how they were made; give another to --out"
        )
    out.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(f".{os.getpid()}.new")  # several runs may begin together
    new.write_text(json.dumps(mine, indent=2) + "\n", encoding="utf-8")
    new.replace(path)
