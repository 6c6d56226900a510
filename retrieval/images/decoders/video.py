"""Videos (MP4, MOV, MKV, WebM, AVI) by FFmpeg: key frames are pictures, named by their times."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from retrieval import file_kinds
from retrieval.errors import ImageError
from retrieval.images.decoders.decoder import Decoder, EmbeddedMetadata, Opened, Source, Wanted
from retrieval.moments import FRAMES_PER_MINUTE, part_at, seconds_of
from retrieval.signatures import video_container

if TYPE_CHECKING:
    from retrieval.images.video.container import Video

_MOST_PIXELS = 2**28  # where nothing is decoded, and nobody says what is accepted


def _is_content(data: bytes) -> bool:
    return video_container(data) is not None


def _video(source: Source, most_pixels: int, memory: int | None) -> AbstractContextManager[Video]:
    from retrieval.images.video.container import open_video

    if source.path is None:
        raise ImageError("a video, not a picture")
    return open_video(source.path, most_pixels, memory)


def _seconds(source: Source) -> float:
    if not source.part:
        raise ImageError("a video; name a moment of it, as in clip.mp4#t=12.4")
    return seconds_of(source.part)


def _open(source: Source, wanted: Wanted) -> Opened:
    from retrieval.images.video.frames import decode_frame, key_frame_at, upright, upright_size

    seconds = _seconds(source)
    with _video(source, wanted.most_pixels, wanted.memory) as video:
        frame = decode_frame(video, key_frame_at(video, seconds))
        image = upright(video, frame, wanted.most_pixels, wanted.short_side)
        return Opened(image, upright_size(video, frame))


def _parts(source: Source, wanted: Wanted) -> list[str]:
    from retrieval.images.video.key_frames import list_moments

    if source.path is None:
        raise ImageError("a video, not a picture")
    rate = wanted.frames_per_minute or FRAMES_PER_MINUTE
    return [part_at(moment) for moment in list_moments(source.path, rate, wanted.most_pixels, wanted.memory)]


def _digest(source: Source) -> bytes:
    from retrieval.images.video.frames import key_frame_at
    from retrieval.images.video.identity import digest_of

    seconds = _seconds(source)
    with _video(source, _MOST_PIXELS, None) as video:
        return digest_of(video, key_frame_at(video, seconds))


def _metadata(source: Source) -> EmbeddedMetadata:
    from retrieval.images.video.metadata import attributes_of

    with _video(source, _MOST_PIXELS, None) as video:
        values = attributes_of(video.container.metadata, video.stream.metadata)
        return EmbeddedMetadata(values=values | {"time": _seconds(source), "duration": video.duration})


DECODER = Decoder(
    kind=file_kinds.VIDEO,
    packages=("av",),
    distributions=("av",),
    is_content=_is_content,
    open=_open,
    parts=_parts,
    digest=_digest,
    metadata=_metadata,
)
