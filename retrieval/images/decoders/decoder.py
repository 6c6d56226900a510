"""The record by which a kind of file is recognised and opened; one stands in each file of this folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from retrieval.errors import ImageError

if TYPE_CHECKING:
    from PIL import Image

    from retrieval.file_kinds import FileKind


def check_size(size: tuple[int, int], most_pixels: int) -> None:
    """Refuse a picture of more pixels than are accepted.

    Raises:
        ImageError: it has.
    """
    if size[0] * size[1] > most_pixels:
        raise ImageError(
            f"{size[0]}x{size[1]} pixels, over the limit of {most_pixels / 1e6:g} megapixels (--max-pixels)"
        )


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """A file that is to be decoded.

    Attributes:
        data: its bytes; of a kind that is opened in place, its first bytes alone.
        part: which of its pictures; empty for the first.
        path: where it is; None where there are only bytes.
    """

    data: bytes
    part: str = ""
    path: Path | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a picture is opened for.

    Attributes:
        short_side: pixels that are needed of the short side; a decoder may reduce to twice as many. None for all.
        most_pixels: what is accepted of a picture.
        memory: bytes that opening may take; None for any number.
        frames_per_minute: pictures of a video that are listed, at most; None for the usual number.
    """

    short_side: int | None
    most_pixels: int
    memory: int | None
    frames_per_minute: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """A picture whose pixels may still have to be loaded.

    Attributes:
        image: as Pillow opens one; its EXIF says which way is up, unless ``turn`` does.
        size: (width, height) of the whole picture as it is stored, where ``image`` has been reduced.
        turn: orientation as EXIF numbers it, where the file around the image says it.
    """

    image: Image.Image
    size: tuple[int, int] | None = None
    turn: int | None = None


@dataclass(frozen=True, slots=True)
class EmbeddedMetadata:
    """What a file says of itself beside its pixels.

    Attributes:
        exif: as :class:`PIL.Image.Exif` loads it.
        xmp: a packet, or nothing.
        values: attributes by their fixed names, as they are written.
    """

    exif: bytes = b""
    xmp: bytes = b""
    values: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DocumentText:
    """The text that a picture shows, as its file holds it, and what has read it, with its version."""

    text: str
    maker: str


def _no_metadata(_: Source) -> EmbeddedMetadata | None:
    return None


def _no_text(_: Source) -> DocumentText | None:
    return None


@dataclass(frozen=True, slots=True)
class Decoder:
    """Decoder of one kind of file.

    All of it runs in a limited worker process, and may raise anything on hostile bytes.

    Attributes:
        kind: what files these are.
        packages: the modules that it imports; the worker process may import no others.
        distributions: the names that these are installed under, whose versions say when a failure may be over.
        is_content: whether a file that begins with these bytes (all of them, where they are there) is of this kind.
        open: opens one picture.
        digest: computes the sha256 that names the content of a picture, where files are opened in place.
        parts: lists the names of the pictures of a file, in their order, at most one more than
            :data:`retrieval.file_kinds.MOST_PARTS`.
        metadata: reads what the file says of a picture; None where Pillow reads that.
        text: reads the text that a picture shows; None of files that hold no text.
    """

    kind: FileKind
    packages: tuple[str, ...]
    distributions: tuple[str, ...]
    is_content: Callable[[bytes], bool]
    open: Callable[[Source, Wanted], Opened]
    parts: Callable[[Source, Wanted], Sequence[str]] | None = None
    digest: Callable[[Source], bytes] | None = None
    metadata: Callable[[Source], EmbeddedMetadata | None] = _no_metadata
    text: Callable[[Source], DocumentText | None] = _no_text
