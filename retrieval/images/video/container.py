"""Open an untrusted video: a plain file in a known container, read through Python, with known decoders alone.

FFmpeg is given a stream of bytes, never a name, and may use no protocol: what a file refers to is not opened. The
container is told by the first bytes and forced, so that no other demuxer (playlists, scripts, devices) is ever tried.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from retrieval.errors import ImageError, ImageTooLarge, MissingExtra
from retrieval.extras import require
from retrieval.signatures import HEAD_BYTES, video_container

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream


DECODERS = (
    "h264", "hevc", "libdav1d", "vp8", "vp9", "mpeg4", "msmpeg4v1", "msmpeg4v2", "msmpeg4", "mpeg2video",
    "mpeg1video", "h263", "mjpeg", "prores", "dvvideo", "theora",
)  # fmt: skip
"""FFmpeg's names of the decoders that are used: what cameras, telephones and browsers write."""

MOST_STREAMS = 64
MOST_SIDE = 16384  # pixels; of 8K video, 7680
BYTES_A_PIXEL = 20
"""Bytes that a decoder takes for each pixel of a key frame, conversion included; measured at 3840x2160."""

_FIXED_BYTES = 48 * 2**20  # libraries, tables of the container, buffers
_BUFFER_BYTES = 2**16


@dataclass(frozen=True, slots=True, eq=False)
class Video:
    """An open video.

    Attributes:
        file: that it is read from.
        format: FFmpeg's name of its container: mov, matroska or avi.
        container: with its metadata, at the beginning.
        stream: the one whose frames are shown, its decoder not opened yet.
        duration: seconds; None where the file does not say.
    """

    file: IO[bytes]
    format: str
    container: InputContainer
    stream: VideoStream
    duration: float | None


@contextmanager
def open_video(path: Path, most_pixels: int, memory: int | None = None) -> Iterator[Video]:
    """Open the video in a regular file; what the block raises of FFmpeg's errors becomes an ImageError.

    Args:
        path: of the file.
        most_pixels: of a frame.
        memory: bytes that decoding may take, by an estimate from the header; unlimited by default.

    Raises:
        ImageTooLarge: a frame would take more than ``memory``.
        ImageError: with the reason, in one clause.
    """
    _require_extra()
    import av  # late: 80 MB of libraries, which only a worker that meets a video loads

    av.logging.set_level(None)
    with _opened(path) as file:
        name = video_container(file.read(HEAD_BYTES))
        if name is None:
            raise ImageError("not a video in a container that is read here (MP4, MOV, MKV, WebM, AVI)")
        file.seek(0)
        with (
            errors_translated(),
            av.open(
                file,
                "r",
                format=name,
                options=_options(most_pixels, memory),
                metadata_errors="replace",
                buffer_size=_BUFFER_BYTES,
            ) as container,
        ):
            yield _checked(file, name, container, most_pixels, memory)


@contextmanager
def errors_translated() -> Iterator[None]:
    """Translate what the block raises of FFmpeg's errors.

    Raises:
        ImageTooLarge: there is not enough memory.
        ImageError: any other reason, in one clause.
    """
    try:
        yield
    except ImageError:
        raise
    except MemoryError as error:
        raise ImageTooLarge(None) from error
    except Exception as error:  # FFmpeg's errors are of many classes, and hostile bytes raise others too
        raise ImageError(f"damaged or cut short ({clause(error)})") from error


def clause(error: Exception) -> str:
    """Give what an error of FFmpeg says, without the name of a file that it does not know."""
    said = getattr(error, "strerror", None) or str(error)
    return " ".join(str(said).split())[:200].rstrip(".") or type(error).__name__


def check_frame(width: int, height: int, most_pixels: int, memory: int | None) -> None:
    """Refuse frames of too many pixels, or that take too much memory.

    Raises:
        ImageTooLarge: they take more than ``memory``.
        ImageError: they have no size, or more pixels than ``most_pixels``.
    """
    if width < 1 or height < 1 or max(width, height) > MOST_SIDE:
        raise ImageError(f"a video of {width}x{height} pixels")
    if width * height > most_pixels:
        raise ImageError(
            f"{width}x{height} pixels, over the limit of {most_pixels / 1e6:g} megapixels (--max-pixels)"
        )
    needed = width * height * BYTES_A_PIXEL + _FIXED_BYTES
    if memory is not None and needed > memory:
        raise ImageTooLarge(needed)


def _require_extra() -> None:
    try:
        require("video", "Reading videos")
    except MissingExtra as error:
        raise ImageError(str(error)) from error


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a regular file; a fifo or a device would block or never end."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except (OSError, ValueError) as error:
        raise ImageError(f"cannot be read ({getattr(error, 'strerror', None) or error})") from error
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ImageError("not a regular file")
        yield file


def _options(most_pixels: int, memory: int | None) -> dict[str, str]:
    most = most_pixels if memory is None else min(most_pixels, max(1, memory // BYTES_A_PIXEL))
    return {
        "protocol_whitelist": "none",
        "codec_whitelist": ",".join(DECODERS),
        "max_streams": str(MOST_STREAMS),
        "max_pixels": str(most),
        "threads": "1",
    }


def _checked(
    file: IO[bytes], format_: str, container: InputContainer, most_pixels: int, memory: int | None
) -> Video:
    stream: Any = container.streams.best("video")
    if stream is None:
        raise ImageError("a video file without a picture, such as sound alone")
    context = stream.codec_context
    if context is None or context.name not in DECODERS:
        raise ImageError(f"a video whose encoding ({_encoding(stream)}) is not read here")
    check_frame(context.width, context.height, most_pixels, memory)
    context.thread_count = 1
    duration = container.duration
    seconds = duration / 1_000_000 if duration is not None and duration > 0 else None
    return Video(file, format_, container, stream, seconds)


def _encoding(stream: Any) -> str:
    context = stream.codec_context
    return str(context.name) if context is not None else "unknown"
