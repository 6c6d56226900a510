"""Decode one suspect picture in a process of its own with a deadline: a thread that hangs cannot be stopped.

The process is started afresh and imports the decoder and nothing heavier; multiprocessing would run the caller's
script a second time. The encoded picture goes in, raw RGB bytes come back.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from typing import TYPE_CHECKING

from retrieval.errors import ImageError
from retrieval.images import decode
from retrieval.types import Limits

if TYPE_CHECKING:
    from PIL.Image import Image

MEMORY_BYTES = 8 * 2**30  # address space of the decoding process
START_SECONDS = 20.0  # for the interpreter to come up, before the picture's own deadline
_REASON, _PIXELS = b"!", b"="
_CHILD = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from indexer.suspects import answer
answer(*json.loads(sys.argv[2]))
"""


def decode_apart(data: bytes, limits: Limits, short_side: int | None) -> Image:
    """What :func:`retrieval.images.decode` gives, from a process that is killed at the deadline.

    Raises:
        ImageError: the decoder's reason, or that it hung or died.
    """
    from PIL import Image

    task = json.dumps([limits.file_bytes, limits.pixels, limits.seconds, short_side])
    command = [sys.executable, "-c", _CHILD, json.dumps(sys.path), task]
    try:
        done = subprocess.run(
            command,
            input=data,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=START_SECONDS + limits.seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ImageError(f"took longer than {limits.seconds:g} s to decode (--timeout)") from error
    head, _, rest = done.stdout.partition(b"\n")
    if head[:1] == _REASON:
        raise ImageError(head[1:].decode())
    if done.returncode or head[:1] != _PIXELS:
        raise ImageError(f"the decoder crashed (exit code {done.returncode})")
    width, height = (int(number) for number in head[1:].split())
    return Image.frombytes("RGB", (width, height), rest)


def answer(file_bytes: int, pixels: int, seconds: float, short_side: int | None) -> None:
    """Decode the picture on standard input within these limits: the other side of :func:`decode_apart`."""
    with contextlib.suppress(
        ImportError, ValueError, OSError
    ):  # no such limit here: the deadline still holds
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    out = sys.stdout.buffer
    try:
        image = decode(sys.stdin.buffer.read(), Limits(file_bytes, pixels, seconds), short_side)
    except ImageError as error:
        out.write(_REASON + " ".join(str(error).split()).encode() + b"\n")
        return
    out.write(b"%s%d %d\n" % (_PIXELS, *image.size))
    out.write(image.tobytes())
