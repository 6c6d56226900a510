"""A folder of photographs with edited copies and burst-like frames, named so that the truth can be read from names."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.duplicates.edits import EDITS, burst

COPIES = 5  # edits of each edited photograph


def make_folder(shared: Path, folder: Path, edited: int, others: int, seed: int = 22) -> None:
    """Write ``edited`` photographs with five edits each and a burst frame, and ``others`` alone.

    Names are ``NUMBER.original.jpg``, ``NUMBER.NAME-OF-EDIT.jpg`` and ``NUMBER.burst.jpg``.
    """
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    names = list(EDITS)
    for number, data in enumerate(_photographs(shared)):
        if number >= edited + others:
            break
        (folder / f"{number:05}.original.jpg").write_bytes(data)
        if number >= edited:
            continue
        image = Image.open(io.BytesIO(data)).convert("RGB")
        for place in rng.choice(len(names), COPIES, replace=False):
            copy = EDITS[names[int(place)]](image, rng)
            copy.save(folder / f"{number:05}.{names[int(place)].replace(' ', '_')}.jpg", quality=90)
        burst(image, rng).save(folder / f"{number:05}.burst.jpg", quality=90)


def _photographs(shared: Path) -> Iterator[bytes]:
    for archive in sorted((shared / "data" / "flickr8k").glob("*.tar"), reverse=True):  # val first
        with tarfile.open(archive) as tar:
            for member in tar:
                file = tar.extractfile(member) if member.name.endswith(".jpg") else None
                if file is not None:
                    yield file.read()
