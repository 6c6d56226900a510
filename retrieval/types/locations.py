"""Where the bytes of images are, and the limits within which they are read."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from retrieval.errors import UsageError


@dataclass(frozen=True, slots=True)
class FileBytes:
    """Bytes that are a whole file."""

    path: Path


@dataclass(frozen=True, slots=True)
class PartBytes:
    """One of several pictures that a file holds: a page of a document.

    Attributes:
        path: of the file.
        part: which picture, as its uri says behind ``#`` (``page=3``); empty for the one that the file's uri names.
        place: its number among the pictures, from 1, and how many there are: ``3/120``; empty where it is not known.
            Of a video, behind ``@`` how many frames a minute were wanted at most.
    """

    path: Path
    part: str
    place: str = ""


@dataclass(frozen=True, slots=True)
class MemberBytes:
    """Bytes that are a member of an uncompressed tar, read in place.

    Attributes:
        archive: the tar.
        name: of the member.
        offset: of its bytes in the archive.
        size: in bytes.
        part: which of the pictures in it, as of :class:`PartBytes`.
        place: likewise.
    """

    archive: Path
    name: str
    offset: int
    size: int
    part: str = ""
    place: str = ""


@dataclass(frozen=True, slots=True)
class CellBytes:
    """Bytes stored in a row (from 1) of a Parquet table; ``column`` is the path of a column of bytes.

    An empty ``column`` stands for the column that holds images.
    """

    table: Path
    column: str
    row: int


@dataclass(frozen=True, slots=True)
class UrlBytes:
    """Bytes that an http(s) URL serves."""

    url: str


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object of an S3 store, in one version where that was listed.

    Attributes:
        bucket: that it is in.
        key: its name there, of which nothing is ever a path of this machine.
        size: in bytes; None where it was not listed.
        modified_ns: nanoseconds since 1970, to the millisecond.
        etag: what the store calls this version; empty where it was not listed.
    """

    bucket: str
    key: str
    size: int | None = None
    modified_ns: int = 0
    etag: str = ""

    @property
    def name(self) -> str:
        """What stands behind the key's last slash."""
        return self.key.rpartition("/")[2]

    @property
    def stamp(self) -> str:
        """Size, time and ETag in a form that a catalogue keeps."""
        return f"{self.size or 0}:{self.modified_ns}:e{sha256(self.etag.encode()).hexdigest()[:16]}"


@dataclass(frozen=True, slots=True)
class ObjectBytes:
    """Bytes of an object in an S3 store: all of it, or a member of the uncompressed tar that it is.

    Attributes:
        object: that they are in.
        member: name of the tar's member; empty for the whole object.
        offset: of the member's bytes in the object.
        length: in bytes, of the member.
        part: which of the pictures in it, as of :class:`PartBytes`.
        place: likewise.
    """

    object: StoredObject
    member: str = ""
    offset: int = 0
    length: int | None = None
    part: str = ""
    place: str = ""

    @property
    def name(self) -> str:
        """Of the file that it would be: of the member, or behind the key's last slash."""
        return (self.member or self.object.key).rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class InlineBytes:
    """Bytes that the caller passed in memory; ``part`` is which of the pictures in them, as of :class:`PartBytes`."""

    data: bytes
    part: str = ""


Location = FileBytes | PartBytes | MemberBytes | CellBytes | UrlBytes | ObjectBytes | InlineBytes
"""Where the encoded bytes (JPEG, PNG, ...) of an image are."""

WholeFile = FileBytes | MemberBytes | ObjectBytes
"""Where the bytes of a file are that may hold several pictures."""


def part_of(location: Location) -> str:
    """Give which of the pictures in a file a location is; empty where it is the whole file, or the first of them."""
    return location.part if isinstance(location, PartBytes | MemberBytes | ObjectBytes | InlineBytes) else ""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits on untrusted input; an item that exceeds one is recorded as a failure.

    Raises:
        UsageError: one is below 1, seconds are not above 0, or it is no number.
    """

    file_bytes: int = 256 * 2**20
    pixels: int = 200_000_000  # about 200 megapixels: the largest phone sensors, below decompression bombs
    seconds: float = 30.0  # for one image, to download or to decode
    private_addresses: bool = False  # whether downloads may connect to this machine and its network
    memory: int | None = None  # bytes, of all processes that decode; None: a quarter of the machine's

    def __post_init__(self) -> None:
        for name in ("file_bytes", "pixels", "memory"):
            value = getattr(self, name)
            if value is not None and not 1 <= value < 2**63:
                raise UsageError(f"the limit {name} is {value}; give 1 or more")
        if not 0 < self.seconds < float("inf"):
            raise UsageError(f"the limit seconds is {self.seconds}; give a number above 0")
