"""Moments of videos: how the uri of a frame says its time (``clip.mp4#t=12.4``), and how a time is shown."""

from __future__ import annotations

import re

PART_PATTERN = r"t=(?:0|[1-9][0-9]{0,6})(?:\.[0-9]{1,3})?"
"""What names a frame of a video behind ``#``: seconds from its beginning."""

FRAMES_PER_MINUTE = 10.0
"""Frames of a minute of a video that become items, at most, unless the caller says otherwise."""

_IN_URI = PART_PATTERN.replace("t=", "t(?:=|%3D)")  # fragments are percent-encoded
_MOMENT = re.compile(rf"(?P<video>.+)#(?P<part>{_IN_URI})", re.DOTALL)


def part_at(milliseconds: int) -> str:
    """Name the frame at a time, as in ``t=12.4``."""
    seconds, rest = divmod(milliseconds, 1000)
    return f"t={seconds}" + (f".{rest:03}".rstrip("0") if rest else "")


def seconds_of(part: str) -> float:
    """Give the time of the frame that a part names, in seconds.

    Raises:
        ValueError: it names none.
    """
    if re.fullmatch(PART_PATTERN, part) is None:
        raise ValueError(f"{part!a} does not name a time, such as t=12.4")
    return float(part.removeprefix("t="))


def video_of(uri: str) -> str | None:
    """Give the uri of the video that a uri names a frame of; None for any other uri."""
    found = _frame(uri)
    return None if found is None else found["video"]


def moment_of(uri: str) -> float | None:
    """Give the time of the frame that a uri names, in seconds; None for any other uri."""
    found = _frame(uri)
    return None if found is None else seconds_of(found["part"].replace("%3D", "="))


def clock(seconds: float) -> str:
    """Format a time as players show it: ``0:12``, ``1:02:05``."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _frame(uri: str) -> re.Match[str] | None:
    return _MOMENT.fullmatch(uri) if "#" in uri else None  # most are of whole files: a tenth of the time
