"""Decode one suspect picture in a spawned process with a deadline: a thread that hangs cannot be stopped.

The process imports the decoder and nothing heavier; pixels come back as raw RGB bytes.
"""

from __future__ import annotations

import multiprocessing
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from retrieval.errors import ImageError
from retrieval.images import decode

if TYPE_CHECKING:
    from PIL.Image import Image

    from retrieval.types import Limits

MEMORY_BYTES = 8 * 2**30  # address space of the decoding process
START_SECONDS = 20.0  # for the interpreter to come up, before the picture's own deadline


def decode_apart(data: bytes, limits: Limits, short_side: int | None) -> Image:
    """What :func:`retrieval.images.decode` gives, from a process that is killed at the deadline.

    Raises:
        ImageError: the decoder's reason, or that it hung or died.
    """
    from PIL import Image

    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_decode_and_send, args=(theirs,), daemon=True)
    process.start()
    theirs.close()
    try:
        if not ours.poll(START_SECONDS):
            raise ImageError("the decoder did not start")
        ours.recv_bytes()
        ours.send((limits, short_side))
        ours.send_bytes(data)
        if not ours.poll(limits.seconds):
            raise ImageError(f"took longer than {limits.seconds:g} s to decode (--timeout)")
        answer = ours.recv_bytes()
        if answer[:1] == b"!":
            raise ImageError(answer[1:].decode())
        width, height = (int(number) for number in answer[1:].split(b" "))
        return Image.frombytes("RGB", (width, height), ours.recv_bytes())
    except (EOFError, OSError) as error:
        process.join(START_SECONDS)
        raise ImageError(f"the decoder crashed (exit code {process.exitcode})") from error
    finally:
        process.kill()
        process.join()
        ours.close()


def _decode_and_send(pipe: Connection) -> None:
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    except (ImportError, ValueError, OSError):
        pass  # no such limit on this platform: the deadline still holds
    pipe.send_bytes(b"ready")
    limits, short_side = pipe.recv()
    try:
        image = decode(pipe.recv_bytes(), limits, short_side)
    except ImageError as error:
        pipe.send_bytes(b"!" + str(error).encode())
        return
    pipe.send_bytes(b"=%d %d" % image.size)
    pipe.send_bytes(image.tobytes())
