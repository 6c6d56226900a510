"""The worker's side: requests from standard input, replies to standard output, pixels into shared memory.

Imports the decoder and nothing heavier. Ends with its parent: at the end of its input, within half a second of its
parent's death, and a little after an image's deadline at the latest.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import signal
import sys
import threading
import time
from dataclasses import replace
from functools import lru_cache
from typing import IO, TYPE_CHECKING

from retrieval.contents import part_digest
from retrieval.decoding.frames import (
    GO,
    LIST_PARTS,
    MAPPED_BYTES,
    PAGE_TEXT,
    SHARED_BYTES,
    Reply,
    Request,
    Status,
    read_request,
    write_reply,
)
from retrieval.decoding.preparations import Preparation, from_json
from retrieval.decoding.prepare import (
    EncodedImage,
    list_parts,
    named,
    prepare_encoded,
    read_encoded,
    source_of,
)
from retrieval.errors import ImageError, ImageTooLarge
from retrieval.types import MemberBytes, PartBytes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from retrieval.types import Limits, Location

_GRACE = 5.0  # seconds behind the deadline, at which the parent kills; after them the process ends itself
_PARENT_CHECK = 0.5  # seconds
_LARGE = 4 * 2**20  # bytes of an array, beyond which its pages are given back


class _LastFile:
    """Reads images, and one file's bytes only once while one of its pictures after the other is asked for."""

    def __init__(self) -> None:
        self._key: object = None
        self._whole: EncodedImage | None = None

    def read(self, location: Location, limits: Limits) -> EncodedImage:
        """Read an image; arguments and errors as of :func:`retrieval.decoding.prepare.read_encoded`."""
        if not (isinstance(location, PartBytes) or (isinstance(location, MemberBytes) and location.part)):
            self._key = self._whole = None
            return read_encoded(location, limits)
        key = _file_key(location)
        whole = self._whole if key is not None and key == self._key else None
        if whole is None:
            self._key = self._whole = None
            whole = read_encoded(replace(location, part=""), limits)
            self._key, self._whole = key, whole
        digest = part_digest(whole.digest, location.part) if whole.digest else b""
        return replace(whole, digest=digest, part=location.part)


def _file_key(location: PartBytes | MemberBytes) -> object:
    path = location.path if isinstance(location, PartBytes) else location.archive
    extent = None if isinstance(location, PartBytes) else (location.offset, location.size)
    try:
        facts = path.stat()
    except OSError:
        return None
    return path, extent, facts.st_ino, facts.st_size, facts.st_mtime_ns


_last_file = _LastFile()
preparation_of = lru_cache(8)(from_json)


def serve(parent: int, shared: int | str) -> None:
    """Answer requests until there are no more.

    Args:
        parent: its process id.
        shared: the descriptor of the shared memory, or its name (Windows).
    """
    requests, replies = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what libraries print must not get between the replies
    try:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
        memory = _map(shared)
        _configure_decoders()
    except Exception as error:
        write_reply(replies, Reply(Status.BROKEN, reason=f"{type(error).__name__}: {error}"))
        return
    write_reply(replies, Reply(Status.READY, needed=SHARED_BYTES if memory is not None else 0))
    while (request := read_request(requests)) is not None:
        _answer(request, requests, replies, memory)


def _answer(request: Request, requests: IO[bytes], replies: IO[bytes], memory: mmap.mmap | None) -> None:
    _limit_memory(request.memory)
    _set_alarm(request.limits.seconds)
    try:
        encoded = _last_file.read(request.location, request.limits)
    except ImageError as error:
        write_reply(replies, Reply(Status.UNREADABLE, reason=str(error)))
        return
    except MemoryError:
        write_reply(replies, Reply(Status.TOO_LARGE))
        return
    if not (encoded.digest or request.preparation.startswith(LIST_PARTS)):
        if memory is not None:
            memory[SHARED_BYTES] = 1  # a crash from here on is the file's own
        found = _named(encoded)
        if isinstance(found, Reply):
            write_reply(replies, found)
            return
        encoded = found
    metadata = _metadata(request, encoded)
    if request.pause or memory is None:
        write_reply(replies, Reply(Status.DIGEST, encoded.digest, metadata=metadata))
    else:
        memory[SHARED_BYTES] = 1
    if request.pause:
        _set_alarm(0)
        if requests.read(1) != GO:
            return
        _set_alarm(request.limits.seconds)
    reply, array = _prepare(request, encoded)
    if array is not None and memory is not None:
        _put(array, memory)
    write_reply(replies, replace(reply, metadata=metadata))
    if array is not None and memory is None:
        replies.write(array.tobytes())
        replies.flush()
    _set_alarm(0)


def _named(encoded: EncodedImage) -> EncodedImage | Reply:
    """Give an image with the digest of its content, or the reply that says why it has none."""
    try:
        return named(encoded)
    except ImageTooLarge as error:
        return Reply(Status.TOO_LARGE, needed=error.needed or 0)
    except MemoryError:
        return Reply(Status.TOO_LARGE)
    except ImageError as error:
        return Reply(Status.REFUSED, reason=str(error))


def _metadata(request: Request, encoded: EncodedImage) -> bytes:
    """Read what is known of the image beside its pixels, as JSON; empty where it is not asked for, or too much."""
    if request.described is None:
        return b""
    from retrieval.metadata.read import read_described, read_page_text

    try:
        source = source_of(encoded)
        text = read_page_text(source)
        page = {} if text is None else {PAGE_TEXT: text}
        return json.dumps(read_described(source, request.described) | page).encode()
    except MemoryError:
        return b"{}"


def _prepare(request: Request, encoded: EncodedImage) -> tuple[Reply, NDArray[np.uint8] | None]:
    digest = encoded.digest
    try:
        if request.preparation.startswith(LIST_PARTS):
            return _listing(request, encoded)
        preparation: Preparation = preparation_of(request.preparation)
        prepared = prepare_encoded(encoded, preparation, request.limits, request.allowance)
    except ImageTooLarge as error:
        return Reply(Status.TOO_LARGE, digest, needed=error.needed or 0), None
    except MemoryError:
        return Reply(Status.TOO_LARGE, digest), None
    except ImageError as error:
        return Reply(Status.REFUSED, digest, reason=str(error)), None
    array = prepared.array
    assert array is not None, "an image that is prepared has its array"
    if array.nbytes > SHARED_BYTES:
        return Reply(Status.TOO_LARGE, digest, needed=array.nbytes), None
    return Reply(Status.DONE, digest, prepared.width or 0, prepared.height or 0, 0, array.shape), array


def _listing(request: Request, encoded: EncodedImage) -> tuple[Reply, NDArray[np.uint8]]:
    """Answer with the names of a file's pictures, as JSON in place of pixels."""
    import numpy as np

    _, _, rate = request.preparation.partition(" ")
    names = list_parts(encoded, request.limits, request.allowance, float(rate) if rate else None)
    listed = np.frombuffer(json.dumps(names).encode(), np.uint8)
    return Reply(Status.DONE, encoded.digest, shape=listed.shape), listed


def _put(array: NDArray[np.uint8], memory: mmap.mmap) -> None:
    """Write an array to the beginning of the memory; free the pages that a larger one before it has used."""
    if memory.tell() > _LARGE and hasattr(mmap, "MADV_REMOVE"):
        with contextlib.suppress(OSError):
            memory.madvise(mmap.MADV_REMOVE)
    memory.seek(0)
    memory.write(array.data if array.flags.c_contiguous else array.tobytes())


def _map(shared: int | str) -> mmap.mmap | None:
    """Map the shared memory and set its size; None where no file may be that large (``ulimit -f``)."""
    if isinstance(shared, str):
        return mmap.mmap(-1, MAPPED_BYTES, tagname=shared)  # type: ignore[call-arg,unused-ignore]  # Windows only
    try:
        os.ftruncate(shared, MAPPED_BYTES)
    except OSError:
        return None
    return mmap.mmap(shared, MAPPED_BYTES)


def _configure_decoders() -> None:
    """Set what holds for a whole process: no limits of the decoder's own beside ours."""
    import numpy  # noqa: F401 - now, and not while the first image's clock runs
    from PIL import Image, ImageFile, PngImagePlugin  # noqa: F401

    from retrieval.images import formats

    Image.MAX_IMAGE_PIXELS = None
    PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY = 2 * formats.MOST_METADATA


def _limit_memory(limit: int) -> None:
    """Limit what this process allocates; where the system cannot, only the estimate from the header does."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        if resource.getrlimit(resource.RLIMIT_DATA)[0] != limit:
            resource.setrlimit(resource.RLIMIT_DATA, (limit, resource.RLIM_INFINITY))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _set_alarm(seconds: float) -> None:
    """End this process some time after a deadline, even if the decoder never returns; 0 cancels that."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds + _GRACE if seconds else 0)


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_PARENT_CHECK)
    os._exit(1)
