"""Single key frames: where the next one is, what names it, and its pixels, upright and square."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from retrieval.errors import ImageError
from retrieval.images.video.container import Video, check_frame

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream
    from PIL.Image import Image, Transpose


MOST_PACKETS = 200_000
"""Packets read in a row in search of a key frame: two hours of 25 frames a second."""

_HD_ROWS = 720  # from here on players take BT.709 where a file does not say, and BT.601 below
_ITU601, _ITU709 = 5, 1
_MATRICES = {1: _ITU709, 4: 4, 5: _ITU601, 6: _ITU601, 7: 7, 9: 9, 10: 9}
"""The numbers of swscale's conversions by those of H.273."""


@dataclass(frozen=True, slots=True, eq=False)
class KeyFrame:
    """A key frame, not decoded: its time in seconds from the beginning, and its packet."""

    seconds: float
    packet: Packet[VideoStream]

    @property
    def milliseconds(self) -> int:
        """Its time in whole milliseconds, rounded up, so that it is the last key frame at or before that time."""
        return math.ceil(round(self.seconds * 1000, 3))


def key_frames_from(video: Video, seconds: float) -> Iterator[KeyFrame]:
    """Give the key frames at or after a time, in the order of the file, from a place that the container finds fast.

    Where it has no index that leads there, packets are read from where the file stands.
    """
    seek(video, seconds, backward=False)
    for packet in _packets(video):
        frame = _key_frame(video, packet)
        if frame is not None and frame.seconds >= seconds:
            yield frame


def key_frame_at(video: Video, seconds: float) -> KeyFrame:
    """Find the last key frame at or before a time, or the first one of all.

    Raises:
        ImageError: there is none.
    """
    seek(video, seconds, backward=True)
    found: KeyFrame | None = None
    for packet in _packets(video):
        frame = _key_frame(video, packet)
        if frame is None:
            if found is not None and _time(video, packet) > seconds:
                break
            continue
        if found is None or frame.seconds <= seconds:
            found = frame
        if frame.seconds >= seconds:
            break
    if found is None:
        raise ImageError("no key frame can be read at this time")
    return found


def seek(video: Video, seconds: float, backward: bool) -> bool:
    """Move to a key frame by the container's index; whether there was one to move to."""
    stream = video.stream
    assert stream.time_base is not None, "of an open stream"
    target = int(seconds / stream.time_base) + (stream.start_time or 0)
    try:
        video.container.seek(target, stream=stream, backward=backward)
    except (OSError, ValueError, OverflowError):
        return False
    return True


def decode_frame(video: Video, frame: KeyFrame) -> VideoFrame:
    """Decode one key frame.

    Raises:
        ImageError: it gives no frame.
        Exception: as FFmpeg has them.
    """
    context: Any = video.stream.codec_context
    context.flush_buffers()
    frames = [*context.decode(frame.packet), *context.decode(None)]
    context.flush_buffers()
    whole = [one for one in frames if not one.is_corrupt]
    if not whole:
        raise ImageError("a key frame that cannot be decoded")
    decoded: VideoFrame = whole[0]
    return decoded


def upright(video: Video, frame: VideoFrame, most_pixels: int, short_side: int | None) -> Image:
    """Convert a decoded frame to RGB as players show it: with square pixels, and turned as the file says.

    Args:
        video: that it is of.
        frame: decoded.
        most_pixels: of a frame.
        short_side: reduce it while it is converted, to twice this at least; None keeps its size.
    """
    from PIL import Image

    check_frame(frame.width, frame.height, most_pixels, None)
    width, height = _reduced(*_square(video, frame), short_side)
    check_frame(width, height, most_pixels, None)
    matrix = _MATRICES.get(frame.colorspace, _ITU709 if frame.height >= _HD_ROWS else _ITU601)
    rgb = frame.reformat(
        width, height, format="rgb24", src_colorspace=matrix, interpolation="AREA", threads=1
    )
    image = Image.fromarray(rgb.to_ndarray())
    turn = _turn(frame)
    return image if turn is None else image.transpose(turn)


def upright_size(video: Video, frame: VideoFrame) -> tuple[int, int]:
    """Give (width, height) of a whole frame as players show it, in pixels."""
    width, height = _square(video, frame)
    return (height, width) if _is_across(_matrix(frame)) else (width, height)


def _packets(video: Video) -> Iterator[Packet[VideoStream]]:
    for number, packet in enumerate(video.container.demux(video.stream)):
        if number >= MOST_PACKETS:
            return
        if packet.size:  # the last one is empty
            yield packet


def _key_frame(video: Video, packet: Packet[VideoStream]) -> KeyFrame | None:
    if not packet.is_keyframe or packet.is_corrupt:
        return None
    seconds = _time(video, packet)
    return KeyFrame(max(0.0, seconds), packet) if math.isfinite(seconds) else None


def _time(video: Video, packet: Packet[VideoStream]) -> float:
    stamp = packet.pts if packet.pts is not None else packet.dts
    if stamp is None or packet.time_base is None:
        return math.nan
    return float((stamp - (video.stream.start_time or 0)) * packet.time_base)


def _square(video: Video, frame: VideoFrame) -> tuple[int, int]:
    """Give the frame's size in square pixels, the longer pixels of an anamorphic one stretched out."""
    ratio = video.stream.sample_aspect_ratio
    if ratio is None or not 1 / 8 <= ratio <= 8:
        return frame.width, frame.height
    if ratio >= 1:
        return round(frame.width * ratio), frame.height
    return frame.width, round(frame.height / ratio)


def _reduced(width: int, height: int, short_side: int | None) -> tuple[int, int]:
    scale = 1.0 if short_side is None else max(1.0, min(width, height) / (2 * short_side))
    return max(1, round(width / scale)), max(1, round(height / scale))


_Matrix = tuple[int, int, int, int]


def _matrix(frame: VideoFrame) -> _Matrix:
    """Give the signs of a frame's display matrix (ISO 14496-12): x' = a x + c y, y' = b x + d y, as (a, b, c, d)."""
    found: Any = frame.side_data.get("DISPLAYMATRIX")
    data = b"" if found is None else bytes(found)
    if len(data) < 36:
        return 1, 0, 0, 1
    a, b, _, c, d = struct.unpack("=5i", data[:20])
    largest = max(abs(a), abs(b), abs(c), abs(d))
    signs = [0 if 2 * abs(one) < largest else (one > 0) - (one < 0) for one in (a, b, c, d)]
    return signs[0], signs[1], signs[2], signs[3]


def _turn(frame: VideoFrame) -> Transpose | None:
    from PIL.Image import Transpose

    turns: dict[_Matrix, Transpose] = {
        (0, 1, -1, 0): Transpose.ROTATE_270,
        (-1, 0, 0, -1): Transpose.ROTATE_180,
        (0, -1, 1, 0): Transpose.ROTATE_90,
        (-1, 0, 0, 1): Transpose.FLIP_LEFT_RIGHT,
        (1, 0, 0, -1): Transpose.FLIP_TOP_BOTTOM,
        (0, 1, 1, 0): Transpose.TRANSPOSE,
        (0, -1, -1, 0): Transpose.TRANSVERSE,
    }
    return turns.get(_matrix(frame))


def _is_across(matrix: _Matrix) -> bool:
    return matrix[0] == 0 and matrix[3] == 0
