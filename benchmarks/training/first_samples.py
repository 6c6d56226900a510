"""Copies the first samples of a WebDataset tar into another tar.

Usage: python benchmarks/training/first_samples.py IN.tar COUNT OUT.tar
"""

from __future__ import annotations

import sys
import tarfile
from pathlib import Path


def main(source: Path, count: int, target: Path) -> None:
    """Copy members, in order, until ``count`` keys are whole."""
    keys: set[str] = set()
    with tarfile.open(source) as whole, tarfile.open(target, "w") as part:
        for member in whole:
            keys.add(member.name.partition(".")[0])
            if len(keys) > count:
                return
            part.addfile(member, whole.extractfile(member))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
