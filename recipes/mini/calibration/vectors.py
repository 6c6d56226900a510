"""Vectors of photographs and texts by a finished model, kept in a folder so that they are computed once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recipes.mini.photographs import Photograph
from retrieval.encoders.base import Encoder

_BATCH = 64
Rows = NDArray[np.float32]


class KeptVectors:
    """The vectors of one encoder; ``folder`` is None where nothing is kept."""

    def __init__(self, encoder: Encoder, folder: Path | None) -> None:
        self._encoder, self._folder = encoder, folder
        self._rows: dict[str, Rows] = {}
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            if (folder / "texts.npz").exists():
                kept = np.load(folder / "texts.npz")
                self._rows = dict(zip(kept["texts"].tolist(), kept["rows"], strict=True))

    def images(self, name: str, photographs: Sequence[Photograph]) -> Rows:
        """Give the rows of a set of photographs, (n, d)."""
        path = None if self._folder is None else self._folder / f"{name}.npy"
        if path is not None and path.exists():
            kept: Rows = np.load(path)
            return kept
        rows = np.concatenate(
            [
                self._encoder.encode_images([one.open() for one in photographs[start : start + _BATCH]])
                for start in range(0, len(photographs), _BATCH)
            ]
        )
        if path is not None:
            np.save(path, rows)
        return rows

    def texts(self, texts: Sequence[str]) -> Rows:
        """Give the rows of texts, (n, d)."""
        missing = [text for text in dict.fromkeys(texts) if text not in self._rows]
        if missing:
            self._rows |= dict(zip(missing, self._encoder.encode_texts(missing), strict=True))
        return np.stack([self._rows[text] for text in texts])

    def keep(self) -> None:
        """Write the texts' rows into the folder."""
        if self._folder is not None:
            np.savez(
                self._folder / "texts.npz",
                texts=np.array(list(self._rows)),
                rows=np.stack(list(self._rows.values())),
            )
