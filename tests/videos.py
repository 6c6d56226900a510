"""Videos made with the encoders of PyAV: scenes of plain colours, with a red corner at the top left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

Colour = tuple[int, int, int]

RED: Colour = (255, 0, 0)
COLOURS: tuple[Colour, ...] = ((20, 60, 200), (240, 240, 80), (30, 160, 60), (150, 40, 170), (230, 230, 230))

CODECS = {
    "a.mp4": "libx264", "hevc.mp4": "libx265", "av1.mp4": "libsvtav1", "a.mov": "libx264", "a.mkv": "libx265",
    "a.webm": "libvpx-vp9", "vp8.webm": "libvpx", "a.avi": "mpeg4", "mjpeg.avi": "mjpeg",
}  # fmt: skip
"""An encoder for each kind of file."""


def scene(colour: Colour, width: int, height: int) -> NDArray[np.uint8]:
    """A frame, (height, width, 3) uint8: one colour, and red in the top left quarter."""
    pixels = np.empty((height, width, 3), np.uint8)
    pixels[:] = colour
    pixels[: height // 2, : width // 2] = RED
    return pixels


def make_video(
    path: Path,
    scenes: Sequence[Colour] = COLOURS,
    *,
    codec: str = "",
    seconds: float = 10.0,
    rate: int = 2,
    key_every: float = 5.0,
    size: tuple[int, int] = (160, 96),
    turn: int | None = None,
    metadata: Mapping[str, str] | None = None,
    options: Mapping[str, str] | None = None,
) -> Path:
    """Write a video of scenes, each of so many seconds, with a key frame at least so often.

    Args:
        path: whose suffix says the container.
        scenes: colours.
        codec: encoder; by default one that is usual in such a container.
        seconds: of each scene.
        rate: frames a second.
        key_every: seconds from key frame to key frame, at most.
        size: (width, height) as it is stored.
        turn: degrees counterclockwise by which players turn it.
        metadata: of the container.
        options: of the container's writer.
    """
    usual = {name.rpartition(".")[2]: codec for name, codec in reversed(CODECS.items())}
    codec = codec or CODECS.get(path.name) or usual[path.suffix[1:].lower()]
    width, height = size
    with av.open(str(path), "w", options=dict(options or {})) as container:
        stream: Any = container.add_stream(codec, rate=rate)
        stream.width, stream.height = width, height
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.gop_size = round(key_every * rate)
        stream.options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
        if turn is not None:
            stream.set_display_rotation(turn)
        container.metadata.update(metadata or {})
        for number in range(round(len(scenes) * seconds * rate)):
            colour = scenes[int(number / (seconds * rate))]
            frame = av.VideoFrame.from_ndarray(scene(colour, width, height), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
