"""Messages between a run and its worker processes: fixed frames of numbers and bytes, never code.

A request is read by the worker, a reply by the run. Pixels come through memory that both map, so that a reply is
small, and whatever a hostile image might make of a worker, it can only lie about pixels.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import IO

from retrieval.metadata.sidecars import Described
from retrieval.types import (
    FileBytes,
    InlineBytes,
    Limits,
    Location,
    MemberBytes,
    PartBytes,
    StoredObject,
    part_of,
)

SHARED_BYTES = 128 * 2**20
"""Size of the largest array. Untouched pages of the memory that a worker and the run share take nothing."""

MAPPED_BYTES = SHARED_BYTES + 1
"""Size of that memory; its last byte is 1 while a worker decodes what it has read for a request without ``pause``."""

GO, SKIP = b"G", b"S"
"""What follows a reply :attr:`Status.DIGEST` to a request with ``pause``."""

_REQUEST = struct.Struct("!BBQQQQdQQIIIIQ")
_REPLY = struct.Struct("!B32sIIQB4IHI")
_LONGEST_REASON = 2000
_LONGEST_METADATA = 2**20
LIST_PARTS = "parts"
"""The preparation of a request whose reply has, in place of pixels, a JSON list of the names of a file's pictures.

Behind a blank, how many frames of a minute of a video are wanted at most.
"""

PAGE_TEXT = "page text"
"""The name, among the attributes in a reply, of the text that the image shows and of what has read it."""

_PAUSE, _DESCRIBED = 1, 2  # flags


class Status(IntEnum):
    """The kinds of replies."""

    READY = 1  # the process has started
    BROKEN = 2  # it has not; the reason says why
    DIGEST = 3  # the bytes are read; this is their digest
    DONE = 4  # the array lies in the shared memory
    UNREADABLE = 5  # the bytes cannot be read
    REFUSED = 6  # the image cannot be decoded
    TOO_LARGE = 7  # it takes more memory than it may; ``needed`` is 0 where that was found out the hard way


@dataclass(frozen=True, slots=True)
class Request:
    """One image to read, decode and prepare.

    Attributes:
        location: a file, a member or bytes; paths are absolute.
        preparation: as :func:`retrieval.decoding.preparations.to_json` writes it.
        limits: what is accepted of it.
        memory: bytes that the process may take in all.
        allowance: bytes that the image may take, by estimate.
        described: read the image's metadata too, which come with the first reply.
        pause: reply with the digest and wait for :data:`GO`; without it there is one reply, the outcome.
    """

    location: Location
    preparation: str
    limits: Limits
    memory: int
    allowance: int
    pause: bool
    described: Described | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer to a request; ``DIGEST`` comes before another one where there is a pause, or no shared memory.

    ``metadata`` is a JSON object of attributes, or empty.
    """

    status: Status
    digest: bytes = bytes(32)
    width: int = 0
    height: int = 0
    needed: int = 0
    shape: tuple[int, ...] = ()
    reason: str = ""
    metadata: bytes = b""


def write_request(file: IO[bytes], request: Request) -> None:
    """Send a request."""
    kind, path, offset, size, data = _parts(request.location)
    part = part_of(request.location).encode()
    name, rule, limits = os.fsencode(path), request.preparation.encode(), request.limits
    flags = _PAUSE * request.pause + _DESCRIBED * (request.described is not None)
    beside = _beside(request.described) if request.described is not None else b""
    head = _REQUEST.pack(
        kind, flags, offset, size, limits.file_bytes, limits.pixels, limits.seconds,
        request.memory, request.allowance, len(name), len(part), len(rule), len(beside), len(data),
    )  # fmt: skip
    file.write(head + name + part + rule + beside)
    if data:
        file.write(data)
    file.flush()


def read_request(file: IO[bytes]) -> Request | None:
    """Receive the next request; None at the end of the stream."""
    head = file.read(_REQUEST.size)
    if len(head) < _REQUEST.size:
        return None
    (
        kind, flags, offset, size, file_bytes, pixels, seconds, memory, allowance, names, parts, rules, besides,
        bytes_,
    ) = _REQUEST.unpack(head)  # fmt: skip
    path, part = Path(os.fsdecode(file.read(names))), file.read(parts).decode()
    rule = file.read(rules).decode()
    file_name, *sidecars = map(os.fsdecode, file.read(besides).split(b"\0"))
    described = Described(file_name, tuple(map(Path, sidecars))) if flags & _DESCRIBED else None
    data = file.read(bytes_)
    location: Location
    if kind == 1:
        location = FileBytes(path)
    elif kind == 2:
        location = MemberBytes(path, "", offset, size, part)
    elif kind == 4:
        location = PartBytes(path, part)
    else:
        location = InlineBytes(data, part)
    limits = Limits(file_bytes, pixels, seconds)
    return Request(location, rule, limits, memory, allowance, bool(flags & _PAUSE), described)


def _beside(described: Described) -> bytes:
    if any(isinstance(path, StoredObject) for path in described.sidecars):
        raise TypeError("a worker does not read objects of a store")
    paths = (os.path.abspath(path) for path in described.sidecars if isinstance(path, Path))  # noqa: PTH100
    return b"\0".join(map(os.fsencode, (described.name.replace("\0", ""), *paths)))


def _parts(location: Location) -> tuple[int, str, int, int, bytes]:
    match location:
        case FileBytes(path):
            return 1, os.path.abspath(path), 0, 0, b""  # noqa: PTH100 - Path.resolve would follow links
        case PartBytes(path):
            return 4, os.path.abspath(path), 0, 0, b""  # noqa: PTH100
        case MemberBytes(archive, _, offset, size):
            return 2, os.path.abspath(archive), offset, size, b""  # noqa: PTH100
        case InlineBytes(data):
            return 3, "", 0, 0, data
    raise TypeError(f"a worker does not read {type(location).__name__}")


def write_reply(file: IO[bytes], reply: Reply) -> None:
    """Send a reply."""
    reason = reply.reason.encode(errors="replace")[:_LONGEST_REASON]
    metadata = reply.metadata if len(reply.metadata) <= _LONGEST_METADATA else b""
    dims = (*reply.shape, *[0] * (4 - len(reply.shape)))
    head = _REPLY.pack(
        reply.status,
        reply.digest,
        reply.width,
        reply.height,
        reply.needed,
        len(reply.shape),
        *dims,
        len(reason),
        len(metadata),
    )
    file.write(head + reason + metadata)
    file.flush()


def read_reply(file: IO[bytes]) -> Reply | None:
    """Receive the next reply; None at the end of the stream, and for one that no intact worker sends."""
    head = file.read(_REPLY.size)
    if len(head) < _REPLY.size:
        return None
    status, digest, width, height, needed, sides, a, b, c, d, length, described = _REPLY.unpack(head)
    if described > _LONGEST_METADATA:
        return None
    reason, metadata = file.read(length).decode(errors="replace"), file.read(described)
    shape = (a, b, c, d)[:sides]
    count = 1
    for side in shape:
        count *= side
    if not 1 <= status <= len(Status) or sides > 4 or count > SHARED_BYTES:
        return None
    return Reply(Status(status), digest, width, height, needed, shape, " ".join(reason.split()), metadata)
