"""What a reader of text in images is; it knows no collection and opens no file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from retrieval.types import Box

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class ReadLine:
    """A line of text that was read in an image: what it says, not empty, and where it stands."""

    text: str
    box: Box


class TextReader(Protocol):
    """Reads text in images."""

    @property
    def maker(self) -> str:
        """Name and version, whatever its outcome depends on included; text is read again where this has changed."""
        ...

    @property
    def side(self) -> int:
        """Pixels that the longer side of an image has at most; larger images come reduced."""
        ...

    def read(self, image: NDArray[np.uint8]) -> list[ReadLine]:
        """Read the lines of an upright image, (height, width, 3) uint8 RGB, in the order in which people read them.

        Raises:
            ImageError: this image cannot be read.
        """
        ...
