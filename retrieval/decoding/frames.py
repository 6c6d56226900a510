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

from retrieval.types import FileBytes, InlineBytes, Limits, Location, MemberBytes

SHARED_BYTES = 128 * 2**20
"""Size of the largest array. Untouched pages of the memory that a worker and the run share take nothing."""

MAPPED_BYTES = SHARED_BYTES + 1
"""Size of that memory; its last byte is 1 while a worker decodes what it has read for a request without ``pause``."""

GO, SKIP = b"G", b"S"
"""What follows a reply :attr:`Status.DIGEST` to a request with ``pause``."""

_REQUEST = struct.Struct("!BBQQQQdQQIIQ")
_REPLY = struct.Struct("!B32sIIQB4IH")
_LONGEST_REASON = 2000


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
        pause: reply with the digest and wait for :data:`GO`; without it there is one reply, the outcome.
    """

    location: Location
    preparation: str
    limits: Limits
    memory: int
    allowance: int
    pause: bool


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer to a request; ``DIGEST`` comes before another one where there is a pause, or no shared memory."""

    status: Status
    digest: bytes = bytes(32)
    width: int = 0
    height: int = 0
    needed: int = 0
    shape: tuple[int, ...] = ()
    reason: str = ""


def write_request(file: IO[bytes], request: Request) -> None:
    """Send a request."""
    kind, path, offset, size, data = _parts(request.location)
    name, rule, limits = os.fsencode(path), request.preparation.encode(), request.limits
    head = _REQUEST.pack(
        kind, request.pause, offset, size, limits.file_bytes, limits.pixels, limits.seconds,
        request.memory, request.allowance, len(name), len(rule), len(data),
    )  # fmt: skip
    file.write(head + name + rule)
    if data:
        file.write(data)
    file.flush()


def read_request(file: IO[bytes]) -> Request | None:
    """Receive the next request; None at the end of the stream."""
    head = file.read(_REQUEST.size)
    if len(head) < _REQUEST.size:
        return None
    (
        kind, pause, offset, size, file_bytes, pixels, seconds, memory, allowance, names, rules, bytes_
    ) = _REQUEST.unpack(head)  # fmt: skip
    path, rule, data = Path(os.fsdecode(file.read(names))), file.read(rules).decode(), file.read(bytes_)
    location: Location
    if kind == 1:
        location = FileBytes(path)
    elif kind == 2:
        location = MemberBytes(path, "", offset, size)
    else:
        location = InlineBytes(data)
    return Request(location, rule, Limits(file_bytes, pixels, seconds), memory, allowance, bool(pause))


def _parts(location: Location) -> tuple[int, str, int, int, bytes]:
    match location:
        case FileBytes(path):
            return 1, os.path.abspath(path), 0, 0, b""  # noqa: PTH100 - Path.resolve would follow links
        case MemberBytes(archive, _, offset, size):
            return 2, os.path.abspath(archive), offset, size, b""  # noqa: PTH100
        case InlineBytes(data):
            return 3, "", 0, 0, data
    raise TypeError(f"a worker does not read {type(location).__name__}")


def write_reply(file: IO[bytes], reply: Reply) -> None:
    """Send a reply."""
    reason = reply.reason.encode(errors="replace")[:_LONGEST_REASON]
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
    )
    file.write(head + reason)
    file.flush()


def read_reply(file: IO[bytes]) -> Reply | None:
    """Receive the next reply; None at the end of the stream, and for one that no intact worker sends."""
    head = file.read(_REPLY.size)
    if len(head) < _REPLY.size:
        return None
    status, digest, width, height, needed, sides, a, b, c, d, length = _REPLY.unpack(head)
    reason = file.read(length).decode(errors="replace")
    shape = (a, b, c, d)[:sides]
    count = 1
    for side in shape:
        count *= side
    if not 1 <= status <= len(Status) or sides > 4 or count > SHARED_BYTES:
        return None
    return Reply(Status(status), digest, width, height, needed, shape, " ".join(reason.split()))
