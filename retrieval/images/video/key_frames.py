"""The key frames of a video that are worth an item: spread over its length, near-equal neighbours dropped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from retrieval.errors import ImageError
from retrieval.images.video.container import Video, clause, open_video
from retrieval.images.video.frames import KeyFrame, decode_frame, key_frames_from

if TYPE_CHECKING:
    import numpy as np
    from av.video.frame import VideoFrame
    from numpy.typing import NDArray


MOST_FRAMES = 2000
"""Key frames looked at in one video; in a longer one they lie further apart."""

MOST_PIXELS = 3_000_000_000
"""Pixels decoded to choose among them: 1,450 frames of 1080p (13 s of one core), 360 of 4K."""

_GRID = 32  # a side of the small grey pictures that are compared
_LEVELS = 16  # of 255, by which a cell must change to count
_CHANGED_SHARE = 0.03  # of the cells; less is the same picture: noise, a clock, a cursor
_MOST_FAULTS = 50  # key frames in a row that do not decode, after which a file is given up
_LONGEST_SECONDS = 1_000_000.0  # a duration beyond it is not believed


def list_moments(path: Path, per_minute: float, most_pixels: int, memory: int | None = None) -> list[int]:
    """Choose the key frames of a video that become items, by their times in milliseconds, ascending.

    Key frames are looked at that lie at least ``60 / per_minute`` seconds apart, further where the video is so long
    that this would be more than :data:`MOST_FRAMES` or :data:`MOST_PIXELS`; of these, one that looks as the one kept
    before it is dropped. They are the same ones on every run and machine.

    Args:
        path: of the file.
        per_minute: key frames kept of a minute, at most; > 0.
        most_pixels: as :func:`retrieval.images.video.container.open_video` has them.
        memory: likewise.

    Raises:
        ImageTooLarge: a frame would take more than ``memory``.
        ImageError: none can be decoded; with the reason, in one clause.
    """
    with open_video(path, most_pixels, memory) as video:
        found = [frame.milliseconds for frame in _worth_keeping(video, _gap(video, per_minute))]
        return list(dict.fromkeys(found))


def _gap(video: Video, per_minute: float) -> float:
    context = video.stream.codec_context
    most = max(1, min(MOST_FRAMES, MOST_PIXELS // (context.width * context.height)))
    duration = min(video.duration or 0.0, _LONGEST_SECONDS)
    return max(60 / per_minute, duration / most)


def _worth_keeping(video: Video, gap: float) -> Iterator[KeyFrame]:
    kept: NDArray[np.int16] | None = None
    fault: Exception | None = None
    faults = 0
    for frame in _spaced(video, gap):
        try:
            small = _small(decode_frame(video, frame))
        except MemoryError:
            raise
        except Exception as error:  # a damaged part costs its own frames
            fault, faults = error, faults + 1
            if faults >= _MOST_FAULTS:
                break
            continue
        faults = 0
        if kept is None or _differs(small, kept):
            kept = small
            yield frame
    if kept is None:
        raise ImageError(
            f"no key frame can be decoded ({clause(fault)})" if fault else "a video without a key frame"
        )


def _spaced(video: Video, gap: float) -> Iterator[KeyFrame]:
    """Give key frames at least ``gap`` seconds apart, by leaps of the container's index where there is one."""
    due, count = 0.0, 0
    while count < MOST_FRAMES:
        frame = next(key_frames_from(video, due), None)
        if frame is None:
            return
        yield frame
        due, count = frame.seconds + gap, count + 1


def _small(frame: VideoFrame) -> NDArray[np.int16]:
    import numpy as np

    small = frame.reformat(_GRID, _GRID, format="gray", interpolation="AREA", threads=1)
    return small.to_ndarray().astype(np.int16)


def _differs(one: NDArray[np.int16], other: NDArray[np.int16]) -> bool:
    import numpy as np

    return bool((np.abs(one - other) > _LEVELS).mean() >= _CHANGED_SHARE)
