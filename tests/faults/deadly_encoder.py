"""An encoder whose first process is killed, importable by workers."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.builders import HashEncoder


class DeadlyEncoder(HashEncoder):
    """Kills the first process that encodes with it; ``marker`` is a file that says that one was."""

    def __init__(self, marker: Path) -> None:
        super().__init__()
        self.marker = marker

    def encode_prepared(
        self, prepared: Sequence[NDArray[np.uint8] | NDArray[np.float32]], batch_size: int | None = None
    ) -> NDArray[np.float32]:
        """Give the rows of prepared images, or end the process."""
        try:
            self.marker.touch(exist_ok=False)
        except FileExistsError:
            return super().encode_prepared(prepared, batch_size)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("it was killed")
