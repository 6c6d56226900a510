"""Records of a run: its settings as JSON, its metrics as JSON lines."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from indexer.training.messages import writing
from retrieval.errors import TrainingError

METRICS, SETTINGS, LOCK = "metrics.jsonl", "run.json", ".lock"
_DRAFT = f".{SETTINGS}.draft"
_OF_NO_RUN = frozenset({LOCK, _DRAFT})
"""What a call leaves that was refused, or killed, before the folder was known as a run's."""


class MetricsLog:
    """A file of JSON lines that a resumed run cuts back to where its checkpoint was."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, line: Mapping[str, object]) -> None:
        """Append a line; it is in the file when this returns.

        Raises:
            TrainingError: it cannot be written.
        """
        with writing(self.path), self.path.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(json.dumps(line) + "\n")

    def size(self) -> int:
        """Return the length of the file in bytes."""
        return self.path.stat().st_size if self.path.exists() else 0

    def cut(self, size: int) -> None:
        """Truncate the file to ``size`` bytes: later steps will be done again."""
        if self.path.exists():
            os.truncate(self.path, min(size, self.size()))

    def lines(self) -> Iterator[dict[str, Any]]:
        """Yield the lines, from the first."""
        if self.path.exists():
            with self.path.open(encoding="utf-8") as file:
                yield from map(json.loads, file)


def write_settings(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write the settings of a run beside its results.

    Raises:
        TrainingError: it cannot be written.
    """
    text = json.dumps(facts, indent=2, ensure_ascii=False, default=str) + "\n"
    draft = folder / _DRAFT
    with writing(folder / SETTINGS):
        draft.write_text(text, encoding="utf-8", errors="backslashreplace")
        draft.replace(folder / SETTINGS)


def read_settings(folder: Path) -> dict[str, Any] | None:
    """Read the settings of the run in a folder; None where there is no run.

    Raises:
        TrainingError: the folder holds something else, or the file is damaged.
    """
    path = folder / SETTINGS
    if not path.exists():
        if folder.exists() and any(file.name not in _OF_NO_RUN for file in folder.iterdir()):
            raise TrainingError(
                f"{folder} holds files and no training run; name an empty folder, or a new one"
            )
        return None
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(facts, dict) or not isinstance(facts.get("settings", {}), dict):
            raise ValueError("it does not hold a run's settings")
    except (OSError, ValueError) as error:
        raise TrainingError(f"{path} is damaged ({error}); delete the folder to start again") from error
    return facts


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Name the settings in which two runs differ, with both values, as a clause; empty where they agree."""
    now = json.loads(json.dumps(now, default=str))
    flat_before, flat_now = _flat(before), _flat(now)
    names = sorted(flat_before.keys() | flat_now.keys())
    changed = [n for n in names if flat_before.get(n) != flat_now.get(n)]
    shown = [f"{n} was {flat_before.get(n)} and is {flat_now.get(n)}" for n in changed[:4]]
    return "; ".join(shown) + (f"; and {len(changed) - 4} more" if len(changed) > 4 else "")


def _flat(facts: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in facts.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat
